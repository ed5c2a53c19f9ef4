"""Alpha from samples of known colours."""

from __future__ import annotations

import pytest
import torch
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.ops import colour_samples, propagate, sampled_matte
from torch import Tensor

RED, GREEN = torch.tensor([0.9, 0.1, 0.2]).view(3, 1, 1), torch.tensor([0.2, 0.6, 0.3]).view(3, 1, 1)


def scene(alpha: Tensor) -> Tensor:
    return (GREEN + alpha * (RED - GREEN))[None]


def test_a_mixture_of_plain_colours_is_found_again() -> None:
    alpha = torch.zeros(1, 40, 60)
    alpha[..., :20] = 1
    alpha[..., 20:40] = torch.linspace(1, 0, 20)
    alpha[:, 10, 20:40] = 1  # a strand
    front, back = torch.zeros(2, 1, 1, 40, 60, dtype=torch.bool)
    front[..., :18], back[..., 42:] = True, True
    matte = sampled_matte(scene(alpha), front, back)
    # the constant that keeps alike colours from dividing by nothing costs a thousandth
    torch.testing.assert_close(matte.alpha[0], alpha, atol=2e-3, rtol=0)
    torch.testing.assert_close(matte.mean[0], alpha, atol=5e-3, rtol=0)
    assert float(matte.spread.max()) < 1e-2
    assert float(matte.fit.min()) > 0.97
    assert matte.contrast[0, 0, 5, 30] == pytest.approx(float((RED - GREEN).norm()), rel=1e-3)


@pytest.mark.parametrize("step", [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)])
def test_samples_come_from_all_eight_directions(step: tuple[int, int]) -> None:
    # one known foreground pixel in that direction, background beside it; nothing else is known
    image = scene(torch.zeros(1, 15, 23))
    front, back = torch.zeros(2, 2, 1, 15, 23, dtype=torch.bool)
    y, x = 7 + 5 * step[0], 11 + 5 * step[1]
    image = image.repeat(2, 1, 1, 1)
    image[1, :, y, x] = RED[:, 0, 0]
    image[1, :, 7, 11] = RED[:, 0, 0]
    front[1, 0, y, x] = True
    back[1, 0, 7 - 5 * step[0], 11 - 5 * step[1]] = True
    matte = sampled_matte(image, front, back)
    assert matte.alpha[1, 0, 7, 11] > 0.99
    # the other image of the batch has no known pixel, and is given none of its neighbour's
    assert matte.alpha[0].unique().tolist() == [0.5]
    assert matte.fit[0].unique().tolist() == [0]


def test_alike_colours_are_not_to_be_trusted() -> None:
    image = scene(torch.zeros(1, 20, 30))
    front, back = torch.zeros(2, 1, 1, 20, 30, dtype=torch.bool)
    front[..., :10], back[..., 20:] = True, True
    matte = sampled_matte(image, front, back)
    unknown = ~(front | back)
    assert float(matte.contrast[unknown].max()) < 1e-3
    # noise makes every pair say something else
    noisy = image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    assert float(sampled_matte(noisy, front, back).spread[unknown].mean()) > 0.1


def test_known_pixels_say_so_and_no_gradient_flows_through_samples() -> None:
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    front, back = torch.zeros(2, 1, 1, 8, 8, dtype=torch.bool)
    front[..., :4], back[..., 4:] = True, True
    matte = sampled_matte(image, front, back)
    assert torch.equal(matte.alpha, front.float())
    assert torch.equal(matte.mean, front.float())
    assert float(matte.spread.max()) == float(matte.contrast.max()) == 0
    assert float(matte.fit.min()) == 1
    assert not any(plane.requires_grad for plane in matte)


def test_the_result_does_not_depend_on_how_much_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    image, kind = torch.rand(2, 3, 19, 26, generator=generator), torch.rand(2, 1, 19, 26, generator=generator)
    whole = sampled_matte(image, kind < 0.1, kind > 0.9)
    monkeypatch.setitem(colour_samples._TOGETHER, "cpu", 37)
    for one, other in zip(whole, sampled_matte(image, kind < 0.1, kind > 0.9), strict=True):
        torch.testing.assert_close(one, other)


def test_propagation_keeps_known_alpha_and_corrects_samples() -> None:
    video = ScenesEvaluation("scenes_val_v1", "matting", videos=2)[1]
    image, trimap, alpha = video.frames[:2], video.truth["trimap"][:2], video.truth["alpha"][:2]
    front, back = trimap == 1, trimap == 0
    samples = sampled_matte(image, front, back)
    made = propagate(image, samples, front, back)
    known = front | back
    assert torch.equal(made[known], front.float()[known])
    assert float((made - alpha).abs().mean()) < 0.5 * float((samples.alpha - alpha).abs().mean())
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    with pytest.raises(ValueError, match="rounds"):
        propagate(image, samples, front, back, rounds=0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    known = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    for image in (torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 9)):
        with pytest.raises(ValueError, match="expected an image"):
            sampled_matte(image, known, known)
