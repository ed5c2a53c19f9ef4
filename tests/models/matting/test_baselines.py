from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.models.matting.baselines import BackgroundSubtraction, GrabCut, TrimapAlpha
from framewright.models.matting.closed_form import ClosedForm, _laplacian
from framewright.models.matting.guided_sampling import GuidedSampling
from torch import Tensor


def soft_disc(size: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """A red disc with a soft edge over blue, its alpha and a trimap."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    distance = torch.hypot(y - size / 2, x - size / 2)
    alpha = ((20 - distance) / 6 + 0.5).clamp(0, 1)[None, None]
    red, blue = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1), torch.tensor([0.1, 0.1, 0.8]).view(1, 3, 1, 1)
    trimap = torch.where(distance < 14, 1.0, torch.where(distance > 26, 0.0, 0.5))[None, None]
    return alpha * red + (1 - alpha) * blue, alpha, trimap


def test_closed_form_recovers_a_soft_edge() -> None:
    image, alpha, trimap = soft_disc()
    made = ClosedForm()(image, trimap)
    assert (made - alpha).abs().max() < 0.02
    assert (TrimapAlpha()(image, trimap) - alpha).abs().mean() > 10 * (made - alpha).abs().mean()


def test_closed_form_around_the_unknown_region_equals_that_of_the_whole_image() -> None:
    image = torch.rand(1, 3, 72, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    trimap = torch.zeros(1, 1, 72, 96, dtype=torch.float64)
    trimap[..., 30:52, 50:74] = 0.5
    trimap[..., 36:46, 56:68] = 1
    net = ClosedForm(iterations=2000)
    around, whole = net(image, trimap), net._solve(image, trimap)
    unknown = trimap == 0.5
    assert float((around - whole)[unknown].abs().max()) < 1e-3
    # known pixels are held by a weight, those far away are what they are
    assert not bool(around[..., :16, :].any())


def test_guided_sampling_recovers_a_soft_edge_and_needs_nothing_known() -> None:
    image, alpha, trimap = soft_disc()
    net = GuidedSampling()
    made = net(image, trimap)
    assert (made - alpha).abs().max() < 0.03
    for value in (0.0, 0.5, 1.0):
        one_class = torch.full_like(trimap, value)
        torch.testing.assert_close(net(image, one_class), one_class, atol=1e-4, rtol=0)
    with pytest.raises(ConfigError, match="rounds=0"):
        GuidedSampling(rounds=0)


def test_guided_sampling_makes_as_good_a_matte_as_closed_form() -> None:
    video = ScenesEvaluation("scenes_val_v1", "matting", videos=1)[0]
    frame, trimap, alpha = video.frames[4:5], video.truth["trimap"][4:5], video.truth["alpha"][4:5]
    unknown = (trimap > 0) & (trimap < 1)

    def error(made: Tensor) -> float:
        return float((made - alpha).abs()[unknown].mean())

    assert error(GuidedSampling()(frame, trimap)) < min(0.2 * error(trimap), 1.1 * error(ClosedForm(60)(frame, trimap)))


def test_the_matting_laplacian_is_that_of_the_paper() -> None:
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    product, epsilon = _laplacian(image, 1e-3), 1e-3
    pixels = image[0].permute(1, 2, 0)
    dense = torch.zeros(20, 20, dtype=torch.float64)
    for y in range(2):
        for x in range(3):
            window = pixels[y : y + 3, x : x + 3].reshape(9, 3)
            centred = window - window.mean(0)
            middle = centred.T @ centred / 9 + epsilon / 9 * torch.eye(3)
            affinity = (1 + centred @ torch.linalg.inv(middle) @ centred.T) / 9
            index = torch.tensor([(y + i) * 5 + x + j for i in range(3) for j in range(3)])
            dense[index.unsqueeze(1), index] += torch.eye(9) - affinity
    matte = torch.rand(1, 1, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(product(matte).flatten(), dense @ matte.flatten())


def test_grabcut_finds_the_object_in_its_box() -> None:
    image, alpha, trimap = soft_disc()
    # mixtures of Gaussians need some spread
    image = (image + 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    made = GrabCut()(image, trimap)
    assert set(made.unique().tolist()) == {0.0, 1.0}
    # where the soft edge is cut is its own affair
    hard = (alpha == 0) | (alpha == 1)
    assert (made == alpha)[hard].float().mean() > 0.97
    assert torch.equal(GrabCut()(image, trimap), made)
    # nothing to learn a background from, and nothing to look for
    assert GrabCut()(image, torch.full_like(trimap, 0.5)).all()
    assert not GrabCut()(image, torch.zeros_like(trimap)).any()


def test_background_subtraction_sees_what_enters() -> None:
    video = torch.full((1, 12, 3, 40, 40), 0.3)
    video[:, 8:, :, 10:25, 10:25] = 0.9
    net = BackgroundSubtraction()
    whole = net(video)
    assert not whole.alpha[0, :8].any()
    assert whole.alpha[0, 8, 0, 12:23, 12:23].all()
    assert whole.alpha[0, 8].sum() < 300
    start = net(video[:, :8])
    assert torch.equal(net(video[:, 8:], start.state).alpha, whole.alpha[:, 8:])


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="iterations"):
        GrabCut(iterations=0)
    with pytest.raises(ConfigError, match="history"):
        BackgroundSubtraction(history=0)
    with pytest.raises(ConfigError, match="epsilon"):
        ClosedForm(epsilon=0.0)
