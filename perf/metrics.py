"""A whole table, `inpainting_table` without the I3D forward, against the reference libraries one after the other.

Run ``python perf/metrics.py [--videos 20] [--frames 20] [--rounds 5]``. Videos of procedural scenes at 432x240 with
masks that do not move and results that are wrong in the holes lie as PNG in folders, as people have them. Flow and
occlusion of the ground truth (OpenCV DIS) are known to both sides, I3D features are random vectors.

- *reference*: scikit-image for PSNR and SSIM (window 65) in one pass over the files, the warp error with OpenCV's
  ``remap`` in a second pass, and the Frechet distance with scipy's ``sqrtm``; on uint8 frames, as scripts do it.
- *ours*: the runner over the same folders, on a warm cache of the ground truth.
- *second method*: ours with a cold cache, flow and all, against ours with a warm one.

Both take turns; printed are medians over rounds of the ratio of times, and the peak memory of a process that makes our
table for a quarter of the videos and for all of them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from framewright import metrics
from framewright.benchmark import Benchmark, Protocol, RunOptions, run
from framewright.datamodules.folder_pairs import FolderPairs
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.inference import FolderMethod
from framewright.metrics import MetricEntry, SetMetric, Shared
from framewright.ops.frechet import frechet_distance
from framewright.video import write_image
from skimage.metrics import structural_similarity

SIZE = (240, 432)


class RandomFeatures(SetMetric):
    """The distance of VFID, on vectors that cost nothing."""

    key, dimension, items = "random_features", 1024, "video"

    def features(self, frames: torch.Tensor, shared: Shared) -> torch.Tensor:
        """One vector that depends on the frames a little."""
        return _vector(frames)

    def distance(self, predicted: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """The Frechet distance."""
        return frechet_distance(predicted, real)


def _vector(frames: torch.Tensor) -> torch.Tensor:
    seed = int(frames[0].double().sum() * 1000) % 2**31
    return torch.randn(1, 1024, generator=torch.Generator().manual_seed(seed)) + frames.mean()


PROTOCOL = Protocol.from_mapping(
    {
        "name": "inpainting_table_without_i3d",
        "version": 1,
        "task": "inpainting",
        "composite": True,
        "quantise": "truncate",
        "metrics": [
            {"key": "psnr", "options": {"rounded": False}},
            {"key": "ssim", "metric": "ssim_uniform", "options": {"window": 65, "rounded": False}},
            {"key": "warp_error_dis", "mean_over": "videos"},
            {"key": "random_features"},
        ],
    }
)


def make_folders(root: Path, videos: int, frames: int) -> None:
    """Ground truth, masks and one result per video."""
    scenes = ScenesEvaluation(task="interpolation")
    yy, xx = np.mgrid[: SIZE[0], : SIZE[1]]
    for index in range(videos):
        scene = (scenes[index % len(scenes)].frames.numpy() * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
        rng = np.random.default_rng(index)
        centre, radius = rng.uniform((60, 110), (180, 320)), rng.uniform((25, 35), (50, 75))
        hole = ((yy - centre[0]) / radius[0]) ** 2 + ((xx - centre[1]) / radius[1]) ** 2 < 1
        write_image(root / "masks" / f"{index:03d}.png", (hole * 255).astype(np.uint8))
        for time_ in range(frames):
            # there and back, so that short scenes last
            place = time_ % (2 * len(scene) - 2)
            frame = cv2.resize(scene[min(place, 2 * len(scene) - 2 - place)], SIZE[::-1])
            result = np.where(hole[..., None], cv2.blur(frame, (9, 9)), frame)
            write_image(root / "gt" / f"{index:03d}" / f"{time_:05d}.png", frame)
            write_image(root / "result" / f"{index:03d}" / f"{time_:05d}.png", result)


def ours(root: Path, cache: Path | None, videos: int | None = None) -> dict[str, float]:
    """The table by the runner."""
    data = FolderPairs(root / "gt", root / "masks", videos=videos)
    method = FolderMethod("result", root / "result")
    options = RunOptions(cache=cache, resamples=1000, progress=False, command="perf")
    outcome = run(Benchmark("folders", data, PROTOCOL, [method]), options)
    return {key: float(m.mean or 0) for key, m in outcome.results.methods[0].metrics.items()}


def reference(root: Path, flows: dict[str, Any]) -> dict[str, float]:
    """The same by scikit-image, OpenCV and scipy."""
    from scipy import linalg

    psnr, ssim, warp, real, made = [], [], [], [], []
    names = sorted(path.name for path in (root / "gt").iterdir())
    for name in names:
        for truth, result in zip(*(_read(root / kind / name) for kind in ("gt", "result")), strict=True):
            error = np.mean((truth.astype(np.float64) - result) ** 2)
            psnr.append(100.0 if error == 0 else 20 * np.log10(255 / np.sqrt(error)))
            ssim.append(structural_similarity(truth, result, data_range=255, channel_axis=-1, win_size=65))
    for name in names:
        frames = _read(root / "result" / name).astype(np.float32) / 255
        errors = []
        for place, (flow, hidden) in enumerate(zip(*flows[name], strict=True)):
            errors.append(_warp_error(frames[place], frames[place + 1], flow, hidden))
        warp.append(np.mean(errors))
        for kind, vectors in (("gt", real), ("result", made)):
            video = torch.from_numpy(_read(root / kind / name)).permute(0, 3, 1, 2).float() / 255
            vectors.append(_vector(video)[0].double().numpy())
    first, second = np.stack(made), np.stack(real)
    covariances = [np.cov(vectors, rowvar=False) for vectors in (first, second)]
    root_of = linalg.sqrtm(covariances[0] @ covariances[1])
    distance = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(sum(covariances) - 2 * np.real(root_of))
    values = (np.mean(psnr), np.mean(ssim), np.mean(warp), distance)
    return dict(zip(("psnr", "ssim", "warp_error_dis", "random_features"), map(float, values), strict=True))


def _read(folder: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    images = [cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))]
    return np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images])


def _warp_error(frame: Any, following: Any, flow: Any, hidden: Any) -> float:
    height, width = frame.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    warped = cv2.remap(following, x + flow[0], y + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.square(warped - frame).mean(2)[~hidden].mean())


def known_flows(root: Path) -> dict[str, Any]:
    """Flow and occlusion of the ground truth, as our metric has them."""
    from framewright.metrics.warp_error import WarpError, _unpack

    metric = WarpError("dis")
    found = {}
    for video in FolderPairs(root / "gt"):
        motion = metric._estimated(metrics.VideoPair(video.frames, video.frames))
        found[video.id] = (motion["flow"].numpy(), _unpack(motion["occlusion"], *SIZE).numpy()[:, 0])
    return found


def peak_memory(root: Path, videos: int) -> float:
    """MB of a process that makes our table of the first so many videos, without a cache of anything."""
    program = [sys.executable, __file__, "--videos", str(videos), "--only-ours", str(root)]
    return float(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-ours", type=Path, help="used by this program to measure its memory")
    options = parser.parse_args()
    metrics._METRICS["random_features"] = MetricEntry(RandomFeatures, {})
    if options.only_ours is not None:
        ours(options.only_ours, None, options.videos)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_folders(root, options.videos, options.frames)
        flows = known_flows(root)
        ours(root, root / "warm")
        ratios, cold_ratios, times = [], [], []
        for turn in range(options.rounds):
            started = time.perf_counter()
            expected = reference(root, flows)
            theirs = time.perf_counter() - started
            _forget_rows(root / "warm")
            started = time.perf_counter()
            found = ours(root, root / "warm")
            warm = time.perf_counter() - started
            started = time.perf_counter()
            ours(root, root / f"cold{turn}")
            cold = time.perf_counter() - started
            ratios.append(warm / theirs)
            cold_ratios.append(cold / warm)
            times.append((theirs, warm, cold))
        for key, value in expected.items():
            print(f"{key:16} reference {value:.9g}  ours {found[key]:.9g}  difference {abs(value - found[key]):.2g}")
        theirs, warm, cold = np.median(np.array(times), axis=0)
        print(f"seconds: reference {theirs:.1f}, ours {warm:.1f}, ours with a cold cache {cold:.1f}")
        print(f"time ratio ours / reference {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
        spread = f"({min(cold_ratios):.2f} to {max(cold_ratios):.2f})"
        print(f"first method / second method {np.median(cold_ratios):.2f} {spread}")
        few = max(1, options.videos // 4)
        peaks = [peak_memory(root, number) for number in (few, options.videos)]
        print(f"peak memory of {few} videos {peaks[0]:.0f} MB, of {options.videos} videos {peaks[1]:.0f} MB")


def _forget_rows(cache: Path) -> None:
    """Leave only what is known of the ground truth."""
    for path in cache.rglob("*.*"):
        if path.is_file() and "truth" not in path.parts:
            path.unlink()


if __name__ == "__main__":
    main()
