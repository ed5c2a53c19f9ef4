"""Feature losses with a VGG19 of random weights, whose figures are worked out layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.losses import PerceptualLoss, StyleLoss
from framewright.models.registry import create_model
from torch import Tensor

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(create_model("vgg19").state_dict(), path)
    return path


def maps(trunk: Path, images: Tensor, *layers: str, normalise: bool = True) -> tuple[Tensor, ...]:
    net = create_model("vgg19", trunk, layers=list(layers))
    with torch.no_grad():
        found: tuple[Tensor, ...] = net((images - MEAN) / DEVIATION if normalise else images)
    return found


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    made, truth = torch.rand(2, 2, 3, 32, 40)
    return made, truth


def value(loss: Any, images: tuple[Tensor, Tensor]) -> Tensor:
    term: Tensor = loss({"prediction": images[0]}, {"target": images[1]})
    return term


def test_the_default_is_that_of_esrgan(trunk: Path, images: tuple[Tensor, Tensor]) -> None:
    (made,), (truth,) = (maps(trunk, image, "conv5_4") for image in images)
    assert made.min() < 0
    found = value(PerceptualLoss(weights=trunk), images)
    torch.testing.assert_close(found, (made - truth).abs().mean())


def test_layers_are_weighted_whatever_their_order(trunk: Path, images: tuple[Tensor, Tensor]) -> None:
    made, truth = (maps(trunk, image, "relu1_1", "conv2_2", normalise=False) for image in images)
    expected = 0.5 * (made[0] - truth[0]).square().mean() + 2 * (made[1] - truth[1]).square().mean()
    layers = {"conv2_2": 2, "conv5_4": 0, "relu1_1": 0.5}
    loss = PerceptualLoss(layers, "l2", normalise=False, weights=trunk)
    assert loss.trunk.layers == ("relu1_1", "conv2_2")
    torch.testing.assert_close(value(loss, images), expected)


def test_style_compares_gram_matrices(trunk: Path, images: tuple[Tensor, Tensor]) -> None:
    (made,), (truth,) = (maps(trunk, image, "relu1_2") for image in images)
    grams = [torch.einsum("bchw,bdhw->bcd", m, m) / (64 * 32 * 40) for m in (made, truth)]
    loss = StyleLoss({"relu1_2": 1}, weights=trunk)
    torch.testing.assert_close(value(loss, images), (grams[0] - grams[1]).abs().mean())
    # places do not count (where no border does)
    described = loss.described(made)
    torch.testing.assert_close(described, loss.described(made.flip(-1).roll(3, -2)))


def test_videos_are_images_of_a_larger_batch(trunk: Path, images: tuple[Tensor, Tensor]) -> None:
    loss = PerceptualLoss({"conv1_2": 1}, weights=trunk)
    torch.testing.assert_close(value(loss, (images[0][None], images[1][None])), value(loss, images))


@pytest.mark.parametrize("kind", [PerceptualLoss, StyleLoss])
def test_gradients_reach_the_prediction_alone(
    trunk: Path, images: tuple[Tensor, Tensor], kind: type[PerceptualLoss]
) -> None:
    loss = kind(weights=trunk)
    made, truth = (image.requires_grad_() for image in images)
    value(loss, (made, truth)).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()
    assert made.grad.any()
    assert truth.grad is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loss.parameters())


def test_equal_images_cost_nothing(trunk: Path, images: tuple[Tensor, Tensor]) -> None:
    made = images[0].requires_grad_()
    for loss in (PerceptualLoss(weights=trunk), StyleLoss(weights=trunk)):
        term = value(loss, (made, images[0].detach()))
        assert term == 0
        term.backward()
        assert made.grad is not None
        assert made.grad.isfinite().all()


def test_building_it_draws_no_random_numbers_and_it_stays_in_eval_mode(trunk: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    loss = PerceptualLoss(weights=trunk).train()
    assert torch.equal(torch.rand(4), expected)
    assert not loss.training
    assert not loss.trunk.training


def test_absent_weights_say_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"vgg19-dcbb9e9d\.pth.*weights=<path>"):
        PerceptualLoss()
    with pytest.raises(WeightsError, match=r"'nowhere\.pth'.*weights=<path>"):
        StyleLoss(weights="nowhere.pth")


def test_wrong_options_and_inputs(trunk: Path) -> None:
    for layers in ({}, {"conv5_4": -1.0}, {"conv5_4": 0.0}):
        with pytest.raises(ConfigError, match="layers must have weights"):
            PerceptualLoss(layers, weights=trunk)
    with pytest.raises(ConfigError, match=r"no layer 'conv5_9'.*did you mean"):
        PerceptualLoss({"conv5_9": 1}, weights=trunk)
    with pytest.raises(ConfigError, match="criterion"):
        PerceptualLoss(criterion="fro", weights=trunk)  # type: ignore[arg-type]
    small = torch.rand(1, 3, 15, 32)
    with pytest.raises(ValueError, match="at least 16x16"):
        value(PerceptualLoss(weights=trunk), (small, small))
