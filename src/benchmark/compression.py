"""What smaller weights cost a super-resolution network: ``python -m framewright.benchmark.compression``.

One table with the file's size, the parameters, the time of a frame against float32 and the loss of PSNR on an
evaluation set. Times are measured in turns, so that what else the machine does meets all rows alike.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, FramewrightError
from ..datamodules.base import EvaluationDataset
from ..datamodules.evaluation_sets import create_evaluation_set
from ..inference import Context, NetworkMethod, SuperResolutionOptions, chunked, split_scales
from ..inference.super_resolution import is_fast
from ..metrics import StudioLumaPSNR, VideoPair
from ..models.compress import prune
from ..models.packed import Storage
from ..models.registry import create_model, load_model, save_model

USAGE = """\
python -m framewright.benchmark.compression weights=<file or run folder> data.name=<set> data.root=<folder> [...]
  model=srvgg                      the network, for weights that do not know it
  pruned=<file or run folder>      a pruned network after fine-tuning
  num_feat=48                      prune here, without fine-tuning
  data.name=set5 data.root=...     the evaluation set, as in evaluate.py
  images=5                         its first images only
  size=[120,160] rounds=5          of the frame that is timed (height, width), and how often
  device=cuda threads=1            where it runs (cpu)
  slow=true                        float16 and bfloat16 also where the processor has no instructions for them"""


class CompressionSection(Section):
    """What the command line says, see :data:`USAGE`."""

    weights: str
    data: dict[str, Any]
    model: str | None = None
    pruned: str | None = None
    num_feat: int | None = None
    images: int | None = Field(default=None, ge=1)
    size: tuple[int, int] = (120, 160)
    rounds: int = Field(default=5, ge=1)
    device: str = "cpu"
    threads: int | None = Field(default=None, ge=1)
    slow: bool = False


@dataclass(frozen=True)
class Variant:
    """A row before it is measured: a network as its file gives it, and how it is run."""

    name: str
    net: nn.Module
    file_bytes: int
    options: SuperResolutionOptions = field(default_factory=SuperResolutionOptions)

    def method(self) -> NetworkMethod:
        return NetworkMethod(self.name, self.net, options=self.options)


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: what was done.
        file_bytes: size of the weight file.
        parameters: of the network.
        milliseconds: median of a frame; None where it was not measured.
        ratio: of these to float32 in the same run.
        psnr: mean Y-PSNR over images in dB, borders of the scale left out.
        loss: of PSNR against float32; negative where it is better.
    """

    name: str
    file_bytes: int
    parameters: int
    milliseconds: float | None
    ratio: float | None
    psnr: float | None
    loss: float | None


def variants(
    net: nn.Module, folder: Path, pruned: nn.Module | None = None, num_feat: int | None = None
) -> list[Variant]:
    """Float32, the two half precisions, int8 weights, and the same for pruned networks where there are any.

    Every network is written below ``folder`` and loaded again, so that a row shows what a file gives.
    """
    made = [
        _stored("fp32", net, folder),
        _stored("bf16", net, folder, autocast="bfloat16"),
        _stored("fp16", net, folder, "float16", autocast="float16"),
        _stored("int8 weights", net, folder, "int8"),
    ]
    smaller = [("pruned", pruned), ("pruned, not tuned", None if num_feat is None else prune(net, num_feat))]
    for name, other in smaller:
        if other is not None:
            made += [_stored(name, other, folder), _stored(f"{name} + int8", other, folder, "int8")]
    return made


def _stored(name: str, net: nn.Module, folder: Path, storage: Storage | None = None, **options: Any) -> Variant:
    path = folder / f"{name.replace(' ', '_')}.safetensors"
    save_model(net, path, storage=storage)
    return Variant(name, load_model(path), path.stat().st_size, SuperResolutionOptions(**options))


def measure(
    rows: Sequence[Variant],
    dataset: EvaluationDataset,
    *,
    images: int | None = None,
    size: tuple[int, int] = (120, 160),
    rounds: int = 5,
    device: torch.device | None = None,
    slow: bool = False,
) -> list[Row]:
    """Measure rows; the first one is what the others are compared with.

    Args:
        rows: all of one scale.
        dataset: images or videos with ground truth.
        images: the first of them only.
        size: height and width of the frame that is timed.
        rounds: how often each is timed, in turns, after one run that does not count.
        device: where.
        slow: measure float16 and bfloat16 also where the processor has no instructions for them.

    Raises:
        ConfigError: networks of different scales.
    """
    scales = {int(row.net.scale) for row in rows}  # type: ignore[arg-type]
    if len(scales) != 1:
        raise ConfigError(f"networks of one scale can be compared, these have {sorted(scales)}")
    context = Context("super_resolution", device=device or torch.device("cpu"), scale=scales.pop())
    # what takes minutes for nothing is not begun
    measured = [row for row in rows if slow or row.options.autocast is None or _is_fast(row, context.device)]
    times = _milliseconds(measured, context, size, rounds)
    quality = _psnr(measured, dataset, context, images)
    first = rows[0].name
    return [
        Row(
            row.name,
            row.file_bytes,
            sum(parameter.numel() for parameter in row.net.parameters()),
            times.get(row.name),
            times[row.name] / times[first] if row.name in times else None,
            quality.get(row.name),
            quality[first] - quality[row.name] if row.name in quality else None,
        )
        for row in rows
    ]


def _is_fast(row: Variant, device: torch.device) -> bool:
    return is_fast(torch.float16 if row.options.autocast == "float16" else torch.bfloat16, device)


def _run(row: Variant, frames: Tensor, context: Context) -> Tensor:
    return torch.cat([chunk.frames for chunk in row.method().process(chunked(frames), context)])


def _milliseconds(rows: Sequence[Variant], context: Context, size: tuple[int, int], rounds: int) -> dict[str, float]:
    """Median per row; results come back to the CPU, so that a GPU has finished."""
    frame = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    seconds: dict[str, list[float]] = {row.name: [] for row in rows}
    for number in range(rounds + 1):
        for row in rows:
            begun = time.perf_counter()
            _run(row, frame, context)
            if number:
                seconds[row.name].append(time.perf_counter() - begun)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def _psnr(
    rows: Sequence[Variant], dataset: EvaluationDataset, context: Context, images: int | None
) -> dict[str, float]:
    assert context.scale is not None
    metric = StudioLumaPSNR(crop_border=context.scale)
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    for number, video in enumerate(dataset):
        if images is not None and number == images:
            break
        sources, targets = split_scales(video.frames, context.scale, video.truth.get("lr"))
        for row in rows:
            values = metric.values(VideoPair(_run(row, sources, context), targets, video_id=video.id))
            found[row.name].append(float(values.mean()))
    return {name: statistics.fmean(values) for name, values in found.items()}


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| | file, kB | parameters | ms per frame | time / fp32 | PSNR-Y, dB | loss, dB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row.name, f"{row.file_bytes / 1000:.0f}", f"{row.parameters:,}"]
        cells += [
            _cell(row.milliseconds, ".1f"),
            _cell(row.ratio, ".2f"),
            _cell(row.psnr, ".4f"),
            _cell(row.loss, ".4f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    from omegaconf import OmegaConf

    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"-h", "--help"} & set(words):
        print(USAGE)
        return 0 if words else 2
    try:
        if any("=" not in word for word in words):
            raise ConfigError(f"expected name=value, got {next(word for word in words if '=' not in word)}\n{USAGE}")
        values = OmegaConf.to_container(OmegaConf.from_dotlist(words))
        assert isinstance(values, dict)
        print(
            compare(parse_section(CompressionSection, {str(key): value for key, value in values.items()}, "arguments"))
        )
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def compare(section: CompressionSection) -> str:
    """The table, and below it how it came about.

    Raises:
        FramewrightError: weights, data or a device that cannot be had.
    """
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    try:
        device = torch.device(section.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={section.device}: {error}") from None
    net = load_model(section.weights) if section.model is None else create_model(section.model, section.weights)
    pruned = None if section.pruned is None else load_model(section.pruned)
    dataset = create_evaluation_set(section.data, "super_resolution")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(
            variants(net, Path(folder), pruned, section.num_feat),
            dataset,
            images=section.images,
            size=section.size,
            rounds=section.rounds,
            device=device,
            slow=section.slow,
        )
    height, width = section.size
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    notes = [
        f"{dataset.name}: mean Y-PSNR of images. Times: median of {section.rounds}, taken in turns, for a frame of "
        f"{width}x{height} on {device}{threads}.",
        "int8 is a form of the file: such weights are multiplied out when they are loaded, and computed in float32.",
    ]
    if any(row.psnr is None for row in rows):
        notes.append("-: this processor has no instructions for that format; slow=true measures it all the same.")
    return "\n".join([table(rows), "", *notes])


if __name__ == "__main__":
    sys.exit(main())
