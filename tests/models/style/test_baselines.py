from __future__ import annotations

import numpy as np
import pytest
import torch
from framewright.models.registry import create_model
from framewright.ops.lab import lab_to_rgb, rgb_to_lab
from torch import Tensor


def images(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [(torch.rand(3, *size, generator=generator) ** 2 * 255).round() / 255 for size in sizes]


def to_numpy(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def test_lab_equals_scikit_image_and_leads_back() -> None:
    from skimage.color import rgb2lab

    (image,) = images((40, 50))
    image[:, 0, :8] = torch.tensor([0, 1, 2, 8, 10, 11, 254, 255]) / 255
    lab = rgb_to_lab(image)
    expected = torch.from_numpy(rgb2lab(image.permute(1, 2, 0).double().numpy())).permute(2, 0, 1).float()
    torch.testing.assert_close(lab, expected, rtol=0, atol=2e-3)
    torch.testing.assert_close(lab_to_rgb(lab), image, rtol=0, atol=1e-5)


def test_histogram_matching_equals_scikit_image() -> None:
    from skimage.exposure import match_histograms

    frame, reference = images((30, 44), (17, 21))
    frame[2], reference[1] = 0.2, reference[1].round()  # one level, and two
    made = create_model("histogram_matching")(frame[None, None], reference[None]).video[0, 0]
    expected = match_histograms(to_numpy(frame).astype(float), to_numpy(reference).astype(float), channel_axis=-1)
    np.testing.assert_allclose(made.permute(1, 2, 0).numpy() * 255, expected, rtol=0, atol=1e-3)
    again = create_model("histogram_matching")(frame[None, None], frame[None]).video[0, 0]
    torch.testing.assert_close(again, frame, rtol=0, atol=1e-6)


def test_colour_transfer_has_the_statistics_of_the_reference() -> None:
    frame, reference = (0.35 + image * 0.3 for image in images((30, 44), (17, 21)))
    made = create_model("reinhard")(frame[None, None], reference[None]).video[0, 0]
    torch.testing.assert_close(rgb_to_lab(made).mean((1, 2)), rgb_to_lab(reference).mean((1, 2)), rtol=0, atol=0.05)
    torch.testing.assert_close(rgb_to_lab(made).std((1, 2)), rgb_to_lab(reference).std((1, 2)), rtol=0, atol=0.1)


@pytest.mark.parametrize("name", ["reinhard", "histogram_matching"])
def test_frames_and_references_of_one_colour(name: str) -> None:
    net, (image,) = create_model(name), images((8, 8))
    flat = torch.full_like(image, 0.4)
    assert bool(torch.isfinite(net(flat[None, None], image[None]).video).all())
    made = net(image[None, None], flat[None]).video[0, 0]
    torch.testing.assert_close(made, flat, rtol=0, atol=2e-3)
