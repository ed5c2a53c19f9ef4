"""Optical flow for the test servers of KITTI 2015 and MPI-Sintel: ``python -m framewright.benchmark.flow_submission``.

KITTI's development kit wants ``flow/000000_10.png`` (16 bit) for each of its 200 test pairs, Sintel's bundler
``clean/<scene>/frame0001.flo`` and ``final/...`` for each pair of its 12 test scenes; ground truth of either is with
the servers. The program writes these files and checks that none is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, DataError, FramewrightError, nearest
from ..datamodules.base import EvaluationDataset
from ..datamodules.evaluation_sets import create_evaluation_set
from ..inference import Context, Method, chunked
from ..inference.specs import method_from_spec
from ..video.flow_files import write_flow

USAGE = """\
python -m framewright.benchmark.flow_submission kitti2015|sintel <data root> out=<folder> network=<name> [weights=...]
  weights=things                    a weight file, or the tag of official weights
  network=zero_flow                 a registered network or baseline
  options.num_flow_updates=32       constructor options of the network
  device=cuda precision=bf16-mixed  where and how it runs (cpu, 32-true)"""

# the parts of the test set, as data sections
_PARTS: dict[str, tuple[dict[str, Any], ...]] = {
    "kitti2015": ({"name": "kitti2015", "split": "test"},),
    "sintel": tuple({"name": "sintel", "split": "test", "pass_name": part} for part in ("clean", "final")),
}


class SubmissionSection(Section):
    """What the command line says: a method as in ``evaluate.py``, and where its files go."""

    network: str
    out: str
    weights: str | None = None
    options: dict[str, Any] = {}
    device: str = "cpu"
    precision: str = "32-true"


def write_submission(
    benchmark: str, root: str | Path, method: Method, out: str | Path, context: Context | None = None
) -> list[Path]:
    """Run a method over a test set and write its flows as the server wants them.

    Args:
        benchmark: ``kitti2015`` or ``sintel``.
        root: of the data set.
        method: for the task ``flow``.
        out: folder, made if necessary; it must not hold files yet.
        context: device and precision.

    Returns:
        The files.

    Raises:
        ConfigError: an unknown benchmark.
        DataError: the data set is not there or not whole, or ``out`` holds files.
    """
    if benchmark not in _PARTS:
        raise ConfigError(
            f"there is no submission for {benchmark!r}{nearest(benchmark, _PARTS)} (possible: {', '.join(_PARTS)})"
        )
    place = Path(out)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DataError(f"{str(out)!r} is not an empty folder; files of an older submission would be mixed in")
    datasets = [create_evaluation_set({**part, "root": str(root)}, "flow") for part in _PARTS[benchmark]]
    for dataset in datasets:
        if not dataset.complete:
            raise DataError(
                f"{dataset.name} below {str(root)!r} is not whole ({len(dataset)} pairs); the server wants all pairs"
            )
    written: list[Path] = []
    with tqdm(total=sum(len(dataset) for dataset in datasets), desc=benchmark, unit="pair", disable=None) as progress:
        for dataset in datasets:
            for path in _write(dataset, benchmark, method, place, context or Context("flow")):
                written.append(path)
                progress.update()
    return written


def _write(dataset: EvaluationDataset, benchmark: str, method: Method, out: Path, context: Context) -> Iterator[Path]:
    for video in dataset:
        made = Context("flow", video_id=video.id, device=context.device, precision=context.precision)
        flows = [flow for chunk in method.process(chunked(video.frames), made) for flow in chunk.extras["flow"]]
        if len(flows) != 1:
            raise DataError(f"method {method.name!r} returned {len(flows)} flows for the pair {video.id!r}, expected 1")
        path = out / _file(benchmark, video.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_flow(path, flows[0].permute(1, 2, 0).numpy())
        yield path


def _file(benchmark: str, pair: str) -> Path:
    """``000000_10`` or ``clean/alley_1/frame_0001`` as the server names it."""
    if benchmark == "kitti2015":
        return Path("flow") / f"{pair}.png"
    place = Path(pair)
    return place.with_name(place.name.replace("frame_", "frame") + ".flo")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    from omegaconf import OmegaConf

    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"-h", "--help"} & set(words):
        print(USAGE)
        return 0 if words else 2
    places = [word for word in words if "=" not in word]
    try:
        if len(places) != 2:
            raise ConfigError(f"expected a benchmark and the data root, got {' '.join(places) or 'neither'}\n{USAGE}")
        values = OmegaConf.to_container(OmegaConf.from_dotlist([word for word in words if "=" in word]))
        assert isinstance(values, dict)
        section = parse_section(SubmissionSection, {str(key): value for key, value in values.items()}, "arguments")
        spec: dict[str, Any] = {"network": section.network, "weights": section.weights, "options": section.options}
        method = method_from_spec(section.network, spec, "flow").method
        context = _context(section)
        written = write_submission(places[0], places[1], method, Path(section.out).expanduser(), context)
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(written)} flows below {section.out}")
    return 0


def _context(section: SubmissionSection) -> Context:
    import torch

    try:
        return Context("flow", device=torch.device(section.device), precision=section.precision)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"device={section.device} precision={section.precision}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
