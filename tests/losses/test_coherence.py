from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import FeatureTemporalLoss, OutputTemporalLoss
from torch import Tensor


def moving(channels: int, height: int, width: int, step: int) -> Tensor:
    """Two frames of noise that moves ``step`` pixels to the right, ``(1, 2, C, H, W)``."""
    generator = torch.Generator().manual_seed(channels)
    noise = torch.rand(1, channels, height, width + step, generator=generator)
    return torch.stack((noise[..., step:], noise[..., :-step]), 1)


def motion(height: int, width: int, step: int) -> dict[str, Tensor]:
    flow = torch.zeros(1, 1, 2, height, width)
    flow[:, :, 0] = -step
    occlusion = torch.zeros(1, 1, 1, height, width)
    occlusion[..., :step] = 1
    return {"flow_backward": flow, "occlusion_backward": occlusion}


def test_what_moves_along_costs_nothing() -> None:
    video = moving(3, 8, 12, 4)
    batch = {"source": video, **motion(8, 12, 4)}
    assert float(OutputTemporalLoss()({"video": 1 - video}, batch)) == pytest.approx(0, abs=1e-10)
    # without the mask the column that came in counts
    assert float(OutputTemporalLoss(occlusion=None)({"video": video * 0.5}, batch)) > 1e-3
    # 1 pixel of features is 4 of frames
    features = moving(5, 2, 3, 1)
    assert float(FeatureTemporalLoss()({"features": features}, batch)) == pytest.approx(0, abs=1e-9)


def test_the_figure_of_a_change_of_light() -> None:
    source = torch.full((1, 2, 3, 4, 4), 0.25)
    source[:, 1, 1] += 0.5  # green only
    made = torch.full((1, 2, 3, 4, 4), 0.1)
    batch = {"source": source, **motion(4, 4, 1), "occlusion_backward": torch.zeros(1, 1, 1, 4, 4)}
    assert float(OutputTemporalLoss()({"video": made}, batch)) == pytest.approx((0.7152 * 0.5) ** 2)
    assert float(OutputTemporalLoss(luminance=False)({"video": made}, batch)) == 0
    made[:, 1] += 0.7152 * 0.5
    assert float(OutputTemporalLoss()({"video": made}, batch)) == pytest.approx(0, abs=1e-12)
    # hidden pixels stay in the mean, with 0
    batch["occlusion_backward"][..., :2] = 1
    assert float(OutputTemporalLoss(luminance=False)({"video": made}, batch)) == pytest.approx((0.7152 * 0.5) ** 2 / 2)


def test_what_does_not_fit_says_so() -> None:
    video = moving(3, 8, 12, 4)
    batch = {"source": video, **motion(8, 12, 4)}
    with pytest.raises(ConfigError, match="flow_backwards"):
        OutputTemporalLoss(flow="flow_backwards")({"video": video}, batch)
    with pytest.raises(ValueError, match="the one before it"):
        OutputTemporalLoss()({"video": video[:, :1]}, {**batch, "source": video[:, :1]})
    with pytest.raises(ValueError, match="but the flow is"):
        OutputTemporalLoss()({"video": video}, {**batch, "occlusion_backward": torch.zeros(1, 1, 1, 8, 8)})
