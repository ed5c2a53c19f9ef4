"""Content and style without a network that was trained: structure of brightness, and statistics of small patches.

They need no weights, so that a style network can be trained on a fresh machine. What VGG's features know of objects and
textures they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

_LUMA = (0.299, 0.587, 0.114)


class StructureLoss(nn.Module):
    """Mean absolute difference of brightness with local mean 0 and deviation 1: edges count, colours do not.

    Brightness is normalised within Gaussian windows, and the deviation has a floor, below which it is noise that must
    not be blown up.

    Args:
        of: name of the output ``(..., 3, H, W)``.
        target: name of the batch entry with the content, same shape.
        sigma: of the window in pixels.
        floor: added to the deviation, in units of [0, 1].

    Raises:
        ConfigError: a value that is not positive; when called: no such output or entry.
    """

    window: Tensor

    def __init__(self, of: str = "fake_b", target: str = "a", sigma: float = 4.0, floor: float = 0.05) -> None:
        super().__init__()
        if sigma <= 0 or floor <= 0:
            raise ConfigError(f"sigma and floor must be positive, got {sigma} and {floor}")
        self.of, self.target, self.floor = of, target, floor
        places = torch.arange(-int(3 * sigma), int(3 * sigma) + 1, dtype=torch.float32)
        window = torch.exp(-0.5 * (places / sigma) ** 2)
        self.register_buffer("window", window / window.sum(), persistent=False)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        made, real = select.pair(outputs, self.of, batch, self.target)
        return F.l1_loss(self._normalised(made), self._normalised(real))

    def _normalised(self, images: Tensor) -> Tensor:
        weights = images.new_tensor(_LUMA).view(3, 1, 1)
        luma = (images.flatten(0, -4) * weights).sum(1, keepdim=True)
        mean = self._blurred(luma)
        centred = luma - mean
        variance = self._blurred(centred.square())
        return centred / (variance + self.floor**2).sqrt()

    def _blurred(self, x: Tensor) -> Tensor:
        window = self.window.to(x)
        reach = len(window) // 2
        x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), window.view(1, 1, 1, -1))
        return F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), window.view(1, 1, -1, 1))


class PatchStatisticsLoss(nn.Module):
    """Sliced Wasserstein distance of the patches of an output and of the style, wherever they lie.

    Patches are projected onto random directions, and the sorted values of both are compared (Elnekave and Weiss,
    "Generating natural images with direct patch distribution matching", ECCV 2022; Heitz et al., "A sliced Wasserstein
    loss for neural texture synthesis", CVPR 2021). Patches of one pixel compare palettes, larger ones strokes.

    Args:
        of: name of the output ``(B, T, 3, H, W)`` or ``(B, 3, H, W)``.
        target: name of the batch entry with the style, of the same shape.
        patches: sides of the patches in pixels, each with the same weight.
        scales: halvings of both images that are compared, each with the same weight.
        directions: for each patch size and scale.
        seed: of the directions, which are drawn once.

    Raises:
        ConfigError: a value out of range; when called: no such output or entry.
    """

    def __init__(
        self,
        of: str = "fake_b",
        target: str = "b",
        patches: Sequence[int] = (1, 5),
        scales: int = 2,
        directions: int = 24,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not patches or min(patches) < 1 or scales < 1 or directions < 1:
            raise ConfigError(
                f"expected patches, scales and directions of 1 or more, got {list(patches)}, {scales}, {directions}"
            )
        self.of, self.target, self.scales = of, target, scales
        draw = torch.Generator().manual_seed(seed)
        for place, side in enumerate(patches):
            kernel = torch.randn(directions, 3, side, side, generator=draw)
            kernel /= torch.linalg.vector_norm(kernel.flatten(1), dim=1).view(-1, 1, 1, 1)
            self.register_buffer(f"directions_{place}", kernel, persistent=False)
        self._count = len(patches)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        made, style = (x if x.dim() == 5 else x[:, None] for x in select.pair(outputs, self.of, batch, self.target))
        loss = made.new_zeros(())
        for scale in range(self.scales):
            if scale:
                made, style = (_halved(x) for x in (made, style))
            for place in range(self._count):
                kernel: Tensor = getattr(self, f"directions_{place}")
                if min(made.shape[-2:]) < kernel.shape[-1]:
                    raise ValueError(
                        f"patches of {kernel.shape[-1]} pixels do not fit into {made.shape[-2]}x{made.shape[-1]}"
                    )
                loss = loss + F.l1_loss(_sorted(made, kernel), _sorted(style, kernel))
        return loss / (self.scales * self._count)


def _sorted(clips: Tensor, kernel: Tensor) -> Tensor:
    """Projections of all patches of a clip ``(B, directions, N)``, in order."""
    values = torch.unflatten(F.conv2d(clips.flatten(0, 1), kernel), 0, clips.shape[:2])
    ordered: Tensor = values.transpose(1, 2).flatten(2).sort(2).values
    return ordered


def _halved(clips: Tensor) -> Tensor:
    return torch.unflatten(F.avg_pool2d(clips.flatten(0, 1), 2), 0, clips.shape[:2])
