"""Metrics with learned networks against the libraries that define them; run by hand.

Run ``python perf/metrics_deep.py [--rounds 5] [--size 240x432] [--threads 1]``. Both sides of a line get the same
frames and the same (random) weights, take turns within one process, and must agree in their results. Printed is
the median over rounds of the ratio of times (ours / theirs), with the smallest and largest.

References: scipy (Frechet distance with ``sqrtm``), the package lpips, torch-fidelity's Inception, which are installed
for this script only. For I3D no package exists: the reference is the same network of plain torch layers (a padded copy,
``conv3d``, ``batch_norm``, ``max_pool3d``), layer for layer what the common PyTorch release runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from framewright import create_model
from framewright.metrics import VideoPair, create_metric
from framewright.metrics.pair import Shared
from framewright.models.features import i3d
from framewright.ops.frechet import frechet_distance
from torch import Tensor

SLICES = {"alex": (0, 2, 5, 8, 10), "vgg": (0, 4, 9, 16, 23), "squeeze": (0, 2, 5, 8, 10, 11, 12)}
TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}


def compare(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> None:
    """Time both in turns and print the ratio."""
    ours(), theirs()
    ratios, times = [], []
    for number in range(rounds):
        measured = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            (ours, theirs)[which]()
            measured[which] = time.perf_counter() - start
        ratios.append(measured[0] / measured[1])
        times.append(measured)
    mine, other = np.median(times, axis=0)
    print(
        f"{name:44s} {mine * 1e3:9.1f} ms   reference {other * 1e3:9.1f} ms   "
        f"ratio {np.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})",
        flush=True,
    )


def frechet(rounds: int) -> None:
    """50 videos with 1024 features each."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 1024)), rng.standard_normal((50, 1024)) + 0.1

    def reference() -> float:
        c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = np.trace(np.real(sqrtm(c1 @ c2)))
        return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * root)

    assert abs(float(frechet_distance(x, y)) / reference() - 1) < 1e-4
    compare("Frechet 50x1024 / scipy sqrtm", lambda: frechet_distance(x, y), reference, rounds)


def lpips_pairs(net: str, folder: Path, prediction: Tensor, target: Tensor, rounds: int) -> None:
    """One net: all frames, and all frames with the features of the ground truth at hand."""
    import lpips

    trunk = create_model(TRUNKS[net])
    torch.save(trunk.state_dict(), folder / f"{net}.pth")
    metric = create_metric(f"lpips_{net}", weights=str(folder / f"{net}.pth"))
    reference = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = {}
    for key, value in trunk.state_dict().items():
        _, layer, rest = key.split(".", 2)
        state[f"slice{sum(int(layer) >= first for first in SLICES[net])}.{layer}.{rest}"] = value
    reference.net.load_state_dict(state)

    def theirs() -> Tensor:
        return torch.cat([reference(p[None], t[None], normalize=True) for p, t in zip(prediction, target, strict=True)])

    torch.testing.assert_close(
        metric.frame_values(prediction, target).float(), theirs().flatten(), rtol=1e-3, atol=1e-7
    )
    compare(f"LPIPS {net} / lpips", lambda: metric.frame_values(prediction, target), theirs, rounds)
    pair = VideoPair(prediction, target, truth=Shared())
    compare(f"LPIPS {net}, second method / lpips", lambda: metric.values(pair), theirs, rounds)


def inception(folder: Path, target: Tensor, rounds: int) -> None:
    """Features of 2048 dimensions, with the resizing."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = folder / "inception.pth"
    torch.save(create_model("fid_inception").state_dict(), path)
    metric = create_metric("fid", weights=str(path))
    reference = FeatureExtractorInceptionV3("reference", ["2048"], feature_extractor_weights_path=str(path))
    frames = (target * 255).round().byte()

    def ours() -> Tensor:
        return metric.features(target, Shared())

    for batch in (1, len(frames)):

        def theirs(batch: int = batch) -> Tensor:
            return torch.cat([reference(part)[0] for part in frames.split(batch)])

        torch.testing.assert_close(ours(), theirs(), rtol=1e-3, atol=1e-5)
        compare(f"Inception / torch-fidelity, batches of {batch}", ours, theirs, rounds)


def i3d_clips(folder: Path, target: Tensor, rounds: int) -> None:
    """Pooled features of one clip of ten frames, and PVCS with VFID over clips beside the forwards that they need."""
    path = folder / "i3d.pth"
    torch.save(create_model("i3d").state_dict(), path)
    metric = create_metric("vfid_clips", weights=str(path))
    clip = target.repeat(3, 1, 1, 1)[:10].contiguous()

    def plain_pool(self: Any, x: Tensor) -> Tensor:
        return F.max_pool3d(i3d._pad(x, self.kernel, self.stride), self.kernel, self.stride)

    def ours() -> Tensor:
        return metric.features(clip, Shared())

    def theirs() -> Tensor:
        with mock.patch.object(i3d._MaxPool, "forward", plain_pool):
            return metric.features(clip, Shared())

    torch.testing.assert_close(ours(), theirs(), rtol=1e-4, atol=1e-6)
    compare("I3D, a clip of 10 / plain layers", ours, theirs, rounds)
    pvcs = create_metric("pvcs", weights=str(path))
    other = (clip + 0.1).clamp(max=1)

    def both() -> None:
        pair = VideoPair(other, clip)
        pvcs.values(pair)
        metric.features(pair.prediction, pair.made)
        metric.features(pair.target, pair.truth)

    def forwards() -> None:
        with mock.patch.object(i3d._MaxPool, "forward", plain_pool):
            metric.features(other, Shared())
            metric.features(clip, Shared())

    compare("PVCS and VFID over clips / two I3D forwards", both, forwards, rounds)


@torch.no_grad()
def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="240x432")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    height, width = map(int, arguments.size.split("x"))
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, height // 8, width // 8, generator=generator)
    target = (F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255).round() / 255
    prediction = (target + 0.05 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    frechet(arguments.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for net, count in (("alex", 4), ("squeeze", 4), ("vgg", 1)):
            lpips_pairs(net, folder, prediction[:count], target[:count], arguments.rounds)
        inception(folder, target, arguments.rounds)
        i3d_clips(folder, target, arguments.rounds)


if __name__ == "__main__":
    main()
