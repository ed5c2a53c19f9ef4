"""Metrics without networks against the libraries that papers use, one 432x240 frame on one core; run by hand.

Run ``python perf/metrics_image.py [--rounds 5]``. Ours and the reference take turns within one process; printed are
the medians of processor time and the median of the rounds' ratios. scikit-image and torchmetrics are dependencies;
the rows against piq appear where it is installed (``pip install piq``). SSIM is computed in float64 on both sides,
FSIM and MS-SSIM in float64 by us and in either precision by piq.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from framewright.metrics import VideoPair, create_frame_metric, create_metric
from torch import Tensor

SIZE = (240, 432)
Row = tuple[str, Callable[[], Any], Callable[[], Any]]


def frames(count: int = 2) -> tuple[Tensor, Tensor]:
    """A smooth texture as 8-bit frames, and a noisy copy."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, SIZE[0] // 8, SIZE[1] // 8, generator=generator)
    target = F.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1)
    prediction = (target + 0.05 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    return (prediction * 255).round() / 255, (target * 255).round() / 255


def timed(call: Callable[[], Any]) -> float:
    """Processor time in milliseconds."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def patch_search(frame: np.ndarray, following: np.ndarray) -> float:
    """The search of patch consistency as a loop over scikit-image's PSNR, a patch in the middle."""
    from skimage.metrics import peak_signal_noise_ratio

    top, left = 90, 190
    patch = frame[top : top + 50, left : left + 50]
    return max(
        peak_signal_noise_ratio(patch, following[y : y + 50, x : x + 50], data_range=1.0)
        for y in range(top - 20, top + 20)
        for x in range(left - 20, left + 20)
    )


def rows() -> Iterator[Row]:
    """What is compared: a name, ours, the reference."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    from torchmetrics.functional.image import structural_similarity_index_measure

    both = frames()
    prediction, target = (x[:1] for x in both)
    a, b = (np.ascontiguousarray(x[0].permute(1, 2, 0).double().numpy()) for x in (prediction, target))

    def ours(key: str, **options: object) -> Callable[[], Any]:
        metric = create_frame_metric(key, **options)
        return lambda: metric.frame_values(prediction, target)

    def skimage_ssim(window: int) -> Callable[[], Any]:
        return lambda: structural_similarity(b, a, win_size=window, channel_axis=-1, data_range=1.0)

    yield "psnr, skimage", ours("psnr"), lambda: peak_signal_noise_ratio(b, a, data_range=1.0)
    for window in (65, 7):
        yield f"ssim_uniform({window}), skimage", ours("ssim_uniform", window=window), skimage_ssim(window)

    def gaussian() -> Any:
        return structural_similarity_index_measure(prediction, target, data_range=1.0)

    yield "ssim, torchmetrics float32", ours("ssim"), gaussian

    search = create_metric("pcons_psnr_mask")
    hole = torch.zeros(2, 1, *SIZE)
    hole[:, :, 115, 215] = 1
    pair = VideoPair(both[0], both[0], hole)
    frame, following = both[0].permute(0, 2, 3, 1).numpy()
    yield "pcons_psnr_mask, skimage in a loop", lambda: search.values(pair), lambda: patch_search(frame, following)

    try:
        import piq
    except ImportError:
        print("piq is not installed: no rows for FSIM and MS-SSIM")
        return
    for dtype in (torch.float32, torch.float64):
        x, y = prediction.to(dtype), target.to(dtype)
        name = str(dtype).removeprefix("torch.")
        yield f"fsimc, piq {name}", ours("fsimc"), lambda x=x, y=y: piq.fsim(x, y)
        yield f"ms_ssim, piq {name}", ours("ms_ssim"), lambda x=x, y=y: piq.multi_scale_ssim(x, y)


def main() -> None:
    """One line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'metric, reference':38s} {'ours ms':>9s} {'theirs ms':>10s} {'ratio':>7s}")
    for name, ours, reference in rows():
        ours(), reference()
        times = []
        for number in range(arguments.rounds):
            # taking turns at being first
            if number % 2:
                theirs, mine = timed(reference), timed(ours)
            else:
                mine, theirs = timed(ours), timed(reference)
            times.append((mine, theirs, mine / theirs))
        mine, theirs, ratio = np.median(times, axis=0)
        print(f"{name:38s} {mine:9.2f} {theirs:10.2f} {ratio:7.3f}", flush=True)


if __name__ == "__main__":
    main()
