"""Write docs/calibration.md: our value of every metric beside that of a reference program for the same input.

Run ``FRAMEWRIGHT_ASSETS=<folder> python perf/calibration.py``; inputs and recorded values lie below ``metrics/`` of
that folder. Networks have weights by formula (`tests/recipes.py`), because the pretrained ones
may not be shipped: that calibrates arithmetic and preprocessing, not the published figures.
"""

from __future__ import annotations

import json
import os
import runpy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from framewright.metrics import SetMetric, ValueMetric, VideoPair, create_metric
from framewright.ops.frechet import frechet_distance
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]

TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}
HEAD = """# Calibration

What our metrics give beside what reference programs gave for the same frames. Made by `perf/calibration.py`.

- *small*: 16 frames 64x64 of a synthetic video with exact flow. *devil sample*: the 21 frames 432x240 of DEVIL's
  development kit, composited; *rect*: two clips of 10 frames 216x120 made of it, with rectangular holes.
- Networks (LPIPS trunks, Inception, I3D) have weights by formula in both programs; the heads of LPIPS are the official
  ones. Flow is recorded.
- The difference is relative, for PSNR in dB.

| metric | input | ours | reference | difference | reference program |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Line:
    """One row of the page."""

    metric: str
    given: str
    ours: float
    reference: float
    program: str

    def text(self) -> str:
        """As Markdown."""
        difference = abs(self.ours - self.reference)
        if "psnr" not in self.metric:
            difference /= abs(self.reference)
        shown = "0" if difference == 0 else f"{difference:.1e}"
        return f"| `{self.metric}` | {self.given} | {self.ours:.9g} | {self.reference:.9g} | {shown} | {self.program} |"


def frames(array: Any) -> Tensor:
    """``(T, H, W, C)`` uint8 as ``(T, C, H, W)`` in [0, 1]."""
    return torch.from_numpy(np.array(array)).movedim(-1, -3).float() / 255


def small_video(folder: Path) -> VideoPair:
    """The synthetic video."""
    with np.load(folder / "golden" / "small_1x16x64x64.npz") as arrays:
        hole = torch.from_numpy(np.unpackbits(arrays["hole"][0], axis=-1).reshape(16, 1, 64, 64)).float()
        return VideoPair(frames(arrays["pred"][0]), frames(arrays["gt"][0]), hole)


def devil_video(folder: Path, name: str, clip: int = 0, before: int = 0) -> VideoPair:
    """A clip of the development kit with the flow that its values were computed with."""
    place = folder / "devil_devkit" / name
    parts = {"gt": "gt", "mask": "gt", "pred": "pred"}
    read: dict[str, Any] = {}
    for kind, where in parts.items():
        paths = sorted((place / where / f"clip{clip}").glob(f"*_{kind}.png"))
        read[kind] = np.stack([np.array(Image.open(path).convert("L" if kind == "mask" else "RGB")) for path in paths])
    target, mask = frames(read["gt"]), torch.from_numpy(read["mask"] == 0).unsqueeze(1)
    made = torch.where(mask, frames(read["pred"]), target)
    flow_of = place if name == "full_432x240" else folder / "devil_devkit" / "small_216x120"
    with np.load(flow_of / f"flow_clip{clip}_int16_div64.npz") as flows:
        given = {
            name: torch.from_numpy(flows[key]).movedim(-1, 1).float() / 64
            for name, key in (("flow", "fw"), ("flow_backward", "bw"))
        }
    return VideoPair(made, target, mask.float(), given=given, pairs_before=before)


def value(key: str, pair: VideoPair, **options: Any) -> float:
    """Our value for one video."""
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return float(metric.mean_of(metric.values(pair)))


def distance(key: str, pairs: list[VideoPair], **options: Any) -> float:
    """Our value for a set of videos."""
    metric = create_metric(key, **options)
    assert isinstance(metric, SetMetric)
    predicted = torch.cat([metric.features(pair.prediction, pair.made) for pair in pairs])
    return float(metric.distance(predicted, torch.cat([metric.features(pair.target, pair.truth) for pair in pairs])))


def image_lines(folder: Path, golden: dict[str, Any]) -> Iterator[Line]:
    """Metrics without networks."""
    exact = {"rounded": False}
    for given, pair in (("small", small_video(folder)), ("devil sample", devil_video(folder, "full_432x240"))):
        known = golden["image_metrics"]["small" if given == "small" else "devil_sample_composite"][0]
        yield Line("psnr", given, value("psnr", pair, **exact), known["psnr_mean_of_frames"], "scikit-image")
        pooled = value("psnr_pooled", pair, **exact)
        yield Line("psnr_pooled", given, pooled, known["psnr_pooled_mse"], "scikit-image, pooled")
        hole = value("psnr_hole", pair, **exact)
        yield Line("psnr_hole", given, hole, known["psnr_hole_only_mean_of_frames"], "numpy")
        first = known["n_first_frames_for_ssim_family"]
        part = VideoPair(pair.prediction[:first], pair.target[:first])
        table: list[tuple[str, dict[str, Any], str, str]] = [
            ("ssim_uniform", {"window": 33, **exact}, "ssim_sk_win33_dr255", "scikit-image"),
            ("ssim_uniform", {"window": 65, **exact}, "ssim_sk_win65_dr255", "scikit-image"),
            ("ssim_uniform", {"window": 7, **exact}, "ssim_sk_win7_dr255", "scikit-image"),
            ("ssim_uniform", {"data_range": 2.0, **exact}, "ssim_sk_win7_float_dr2_DEVIL", "scikit-image 0.17 rule"),
            ("ssim", exact, "ssim_sk_gauss1.5_popcov_dr255", "scikit-image"),
            ("ms_ssim", exact, "msssim_piq_f32", "piq"),
            ("fsim", exact, "fsim_piq_luma_f32", "piq"),
            ("fsimc", exact, "fsimc_piq_chromatic_f32", "piq"),
        ]
        for key, options, name, program in table:
            if name in known:
                video = pair if len(known[name]) == len(pair) else part
                told = ", ".join(f"{k}={v:g}" for k, v in options.items() if k != "rounded")
                label = f"{key}({told})" if told else key
                yield Line(label, given, value(key, video, **options), float(np.mean(known[name])), program)


def other_lines(folder: Path, golden: dict[str, Any]) -> Iterator[Line]:
    """NIQE of single frames, and the distance of two sets of vectors."""
    place = folder / "devil_devkit" / "full_432x240"
    for name, known in golden["niqe_basicsr"].items():
        kind, index = name.split("_")[-2:]
        frame = frames(np.array(Image.open(place / kind / "clip0" / f"frame_{index}_{kind}.png")))[None]
        prior = folder.parent / "weights" / "niqe_pris_params.npz"
        ours = value("niqe", VideoPair(frame, frame), weights=prior)
        yield Line("niqe", f"devil sample, {kind} {index}", ours, known, "BasicSR")
    with np.load(folder / "golden" / "frechet_features.npz") as arrays:
        sets = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    for name in ("full", "lowrank"):
        pair = [sets[key] for key in sorted(sets) if key.startswith(name)]
        reference = next(v for key, v in golden["frechet"].items() if key.startswith(name))
        shape = "x".join(map(str, pair[0].shape))
        for key, program in (("exact_nuclear_norm", "exact"), ("scipy_sqrtm", "scipy sqrtm")):
            ours = float(frechet_distance(*pair))
            yield Line("Frechet distance", f"two sets {shape}", ours, reference[key], program)


def devil_lines(folder: Path, devil: dict[str, Any], weights: Callable[[str], Path]) -> Iterator[Line]:
    """The official metric classes of DEVIL."""
    program = "DEVIL's metric classes"
    sets = {"devil sample": ("full_432x240", 1), "rect": ("small_rect_216x120", 2)}
    for given, (name, clips) in sets.items():
        known = devil["values"][name]
        pairs = [devil_video(folder, name, clip, before=9 * clip) for clip in range(clips)]
        for key, reference, options in (
            ("warp_error_precomputed", "warp_error", {"convention": "devil"}),
            ("warp_error_mask_precomputed", "warp_error_mask", {"convention": "devil"}),
            ("pcons_psnr", "pcons_psnr", {}),
            ("pcons_psnr_mask", "pcons_psnr_mask", {}),
            ("lpips_alex", "lpips", {"weights": weights("alexnet")}),
            ("pvcs", "pvcs", {"weights": weights("i3d")}),
        ):
            ours = float(np.mean([value(key, pair, **options) for pair in pairs]))
            yield Line(key, given, ours, float(np.mean(known[reference])), program)
        for key, model, options in (
            ("vfid", "i3d", {}),
            ("vfid_clips", "i3d", {}),
            ("fid", "fid_inception", {"preprocessing": "pytorch_fid"}),
        ):
            if key in known:
                ours = distance(key, pairs, weights=weights(model), **options)
                yield Line(key, given, ours, known[key]["value"], program)


def learned_lines(folder: Path, golden: dict[str, Any], weights: Callable[[str], Path]) -> Iterator[Line]:
    """Networks with weights by the other formula."""
    pair = small_video(folder)
    learned = golden["learned"]
    for net, trunk in TRUNKS.items():
        known = learned["lpips_v0.1_official_heads_recipe_backbone"][net]["small_16"]
        ours = value(f"lpips_{net}", pair, weights=weights(trunk))
        yield Line(f"lpips_{net}", "small", ours, float(np.mean(known)), "lpips")
    known = learned["i3d_recipe"]
    i3d = weights("i3d")
    yield Line("pvcs", "small", value("pvcs", pair, weights=i3d), known["pvcs_small"], "DEVIL's I3D class")
    ours = distance("vfid_clips", [pair], weights=i3d)
    yield Line("vfid_clips", "small", ours, known["vfid_clips_small_exact"], "DEVIL's I3D class")
    sample = devil_video(folder, "full_432x240")
    count = golden["inception_recipe"]["n_frames"]
    part = VideoPair(sample.prediction[:count], sample.target[:count])
    for preprocessing, name, program in (
        ("tf1", "fid_torch_fidelity_tf1resize_2048", "torch-fidelity"),
        ("pytorch_fid", "fid_pytorch_fid_preproc_2048", "pytorch-fid"),
        ("antialias", "fid_torchmetrics_antialias_True_2048", "torchmetrics"),
        ("clean_fid", "fid_cleanfid_preproc_2048", "clean-fid"),
    ):
        ours = distance("fid", [part], weights=weights("fid_inception"), preprocessing=preprocessing)
        reference = golden["inception_recipe"][name]
        yield Line(f"fid({preprocessing})", f"devil sample, {count} frames", ours, reference, program)


def main() -> None:
    """Measure and write the page."""
    if "FRAMEWRIGHT_ASSETS" not in os.environ:
        raise SystemExit("set FRAMEWRIGHT_ASSETS to the folder of recorded values")
    folder = Path(os.environ["FRAMEWRIGHT_ASSETS"]) / "metrics"
    golden = json.loads((folder / "golden" / "golden.json").read_text())
    devil = json.loads((folder / "devil_devkit" / "devil_metrics_golden.json").read_text())
    write_recipe = runpy.run_path(str(ROOT / "tests" / "recipes.py"))["write_recipe"]
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        place = Path(temporary)
        for part in (
            image_lines(folder, golden),
            other_lines(folder, golden),
            learned_lines(folder, golden, lambda model: write_recipe(place, model, "golden")),
            devil_lines(folder, devil, lambda model: write_recipe(place, model, "devil")),
        ):
            for line in part:
                print(line.text(), flush=True)
                lines.append(line)
    text = HEAD + "\n".join(line.text() for line in lines) + "\n"
    (ROOT / "docs" / "calibration.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
