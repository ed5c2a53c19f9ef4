from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from framewright.ops.composite import composite, linear_to_srgb, srgb_to_linear
from framewright.ops.foreground import _sheared, _upright, estimate_foreground
from PIL import Image
from torch import Tensor


def plain_sweeps(image: Tensor, alpha: Tensor, sweeps: int) -> npt.NDArray[np.float64]:
    """The relaxation pixel by pixel, as the paper's program writes it, from colours of 0.5."""
    pixels, a = image[0].double().numpy(), alpha[0, 0].double().numpy()
    height, width = a.shape
    state = np.full((2, 3, height, width), 0.5)
    for _ in range(sweeps):
        for y in range(height):
            for x in range(width):
                m = np.array([[a[y, x] ** 2, a[y, x] * (1 - a[y, x])], [0, (1 - a[y, x]) ** 2]])
                m[1, 0] = m[0, 1]
                right = np.stack((a[y, x] * pixels[:, y, x], (1 - a[y, x]) * pixels[:, y, x]))
                for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
                    j, i = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
                    pull = 1e-5 + abs(a[y, x] - a[j, i])
                    m += pull * np.eye(2)
                    right += pull * state[:, :, j, i]
                state[:, :, y, x] = np.clip(np.linalg.solve(m, right), 0, 1)
    return state


def test_equals_a_plain_loop() -> None:
    from framewright.ops.foreground import _relax

    generator = torch.Generator().manual_seed(4)
    image, alpha = torch.rand(1, 3, 5, 7, generator=generator), torch.rand(1, 1, 5, 7, generator=generator)
    start = torch.full_like(image, 0.5)
    made = _relax(image, alpha, start, start, 2, 1e-5, 1.0)
    expected = plain_sweeps(image, alpha, 2)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours[0].numpy(), theirs, atol=2e-4)


def test_shearing_is_undone() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    sheared = _sheared(x)
    assert sheared.shape == (2, 3, 9, 4)
    assert sheared[0, 0, 5, 2] == x[0, 0, 2, 3]
    assert torch.equal(_upright(sheared, 6), x)


def test_removes_the_old_background_from_soft_edges() -> None:
    alpha = torch.linspace(1.4, -0.4, 48).clamp(0, 1).view(1, 1, 1, 48).expand(1, 1, 40, 48)
    red, green = (torch.zeros(1, 3, 40, 48).index_fill(1, torch.tensor([c]), 0.9) for c in (0, 1))
    image = composite(red, alpha, green)
    front, back = estimate_foreground(image, alpha)
    soft = (alpha > 0.05) & (alpha < 0.95)
    assert (front - red).abs()[soft.expand_as(red)].max() < 0.02
    assert (back - green).abs()[soft.expand_as(red)].max() < 0.02


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_alpha_gives_the_image_itself(value: float) -> None:
    image = torch.rand(1, 3, 9, 13)
    front, back = estimate_foreground(image, torch.full((1, 1, 9, 13), value))
    torch.testing.assert_close(front if value else back, image, rtol=0, atol=2e-3)
    assert torch.isfinite(front).all()
    assert torch.isfinite(back).all()


def test_alpha_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        estimate_foreground(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 9))


def test_stored_foreground_of_pymatting(assets: Path) -> None:
    folder = assets / "matting"
    with np.load(folder / "lemur" / "pymatting_outputs.npz") as archive:
        alpha = torch.from_numpy(archive["lemur_alpha_cf"].astype(np.float32))[None, None]
        golden = torch.from_numpy(archive["lemur_fg_ml"].astype(np.float32)).permute(2, 0, 1)[None]
    pixels = np.asarray(Image.open(folder / "lemur" / "lemur.png").convert("RGB"), np.float32) / 255
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    front, back = estimate_foreground(image, alpha)
    assert (front - golden).abs().mean() < 1e-3
    # recomposition as close as theirs: 1.44e-4
    assert (composite(front, alpha, back) - image).abs().mean() == pytest.approx(1.444e-4, rel=0.02)


def test_linear_light_keeps_bright_edges_bright() -> None:
    white, black, half = torch.ones(3, 1, 1), torch.zeros(3, 1, 1), torch.full((1, 1, 1), 0.5)
    assert composite(white, half, black).flatten()[0] == pytest.approx(0.5)
    assert float(composite(white, half, black, "linear")[0]) == pytest.approx(0.7353569, abs=1e-5)
    x = torch.linspace(0, 1, 101)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(x)), x, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="space"):
        composite(white, half, black, "gamma")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        composite(white, half, torch.zeros(3, 2, 2))
