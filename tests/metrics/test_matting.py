from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.metrics import VideoPair, create_metric
from framewright.metrics.base import ValueMetric
from PIL import Image
from torch import Tensor

KEYS = {"SAD": "sad", "MattingMSE": "matting_mse", "GradientError": "matting_grad", "ConnectivityError": "matting_conn"}
VIDEO_KEYS: dict[str, tuple[str, dict[str, Any]]] = {
    "pha_mad": ("matting_mad", {}),
    "pha_mse": ("matting_mse_video", {}),
    "pha_grad": ("matting_grad", {"region": "all"}),
    "pha_conn": ("matting_conn", {"region": "all", "single": True}),
    "pha_dtssd": ("dtssd", {}),
}


def pair_of(alpha: Tensor, true: Tensor, trimap: Tensor | None = None) -> VideoPair:
    frames = torch.zeros(len(true), 3, *true.shape[2:])
    given = {"alpha": true} | ({} if trimap is None else {"trimap": trimap})
    return VideoPair(frames, frames, given=given, results={"alpha": alpha})


def measured(key: str, pair: VideoPair, **options: Any) -> list[float]:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return [float(value) for value in metric.values(pair)]


def test_the_unit_case_of_mmagic() -> None:
    true, trimap = torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    trimap[..., :16, :16] = 128 / 255
    trimap[..., 16:, 16:] = 1.0
    pair = pair_of(torch.zeros_like(true), true, trimap)
    expected = {"sad": 0.768, "matting_mse": 3.0, "matting_grad": 0.002888745028950888, "matting_conn": 0.256}
    assert {key: measured(key, pair)[0] for key in expected} == pytest.approx(expected, rel=1e-6)
    # without the trimap's foreground its quarter is wrong too
    assert measured("sad", pair, known=False) == [pytest.approx(1.024)]


def load(path: Path) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("L"), np.float32))[None, None] / 255


@pytest.mark.parametrize("name", ["dandelion-1335575_1920_1.png", "spring-289527_1920_15.png"])
def test_real_predictions(assets: Path, name: str) -> None:
    folder = assets / "matting" / "dim_composition1k"
    golden = json.loads((assets / "parity" / "matting" / "matting_metrics_mmagic.json").read_text(encoding="utf-8"))
    pair = pair_of(*(load(folder / kind / name) for kind in ("pred", "alpha", "trimap")))
    expected = golden[f"dim_stage1_skip/{name}"]
    found = {theirs: measured(ours, pair)[0] for theirs, ours in KEYS.items()}
    assert found == pytest.approx(expected, rel=1e-6)


def test_video_metrics_of_rvm(assets: Path) -> None:
    folder = assets / "parity" / "matting"
    golden = json.loads((folder / "rvm_video_metrics.json").read_text(encoding="utf-8"))
    with np.load(folder / "rvm_video_metric_clip.npz") as archive:
        true, made = (torch.from_numpy(archive[name])[:, None].float() / 255 for name in ("true", "pred"))
    pair = pair_of(made, true)
    for theirs, (ours, options) in VIDEO_KEYS.items():
        assert measured(ours, pair, **options) == pytest.approx(golden[theirs], rel=2e-6), theirs
        metric = create_metric(ours, **options)
        assert isinstance(metric, ValueMetric)
        metric.add_pair(pair)
        assert float(metric.compute()) == pytest.approx(golden["mean"][theirs], rel=2e-6)


def test_an_empty_unknown_region_and_a_constant_matte() -> None:
    true, trimap = torch.ones(1, 1, 12, 12), torch.ones(1, 1, 12, 12)
    pair = pair_of(torch.zeros_like(true), true, trimap)
    assert [measured(key, pair)[0] for key in KEYS.values()] == [0, 0, 0, 0]
    everywhere = [measured(key, pair, region="all")[0] for key in KEYS.values()]
    assert everywhere == pytest.approx([0.144, 1.0, 0.0, 0.144])


def test_missing_and_misfitting_mattes_say_so() -> None:
    true = torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match="true trimap"):
        measured("sad", pair_of(true, true))
    with pytest.raises(ValueError, match="of one shape"):
        measured("sad", pair_of(true[..., :7], true), region="all")
    with pytest.raises(ConfigError, match="region"):
        create_metric("sad", region="known")
