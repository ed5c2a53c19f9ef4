"""Optical flow without weights: no motion at all, and two classical methods of OpenCV."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import check_images

_Gray = npt.NDArray[np.uint8]
# below this size the coarsest patches of DIS and the windows of Farneback do not fit
_MINIMUM = 32


class ZeroFlow(nn.Module):
    """No motion: what every flow method has to beat."""

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)``; zeros ``(B, 2, H, W)``.

        Raises:
            ValueError: shapes do not fit.
        """
        check_images(image1, image2)
        return image1.new_zeros(image1.shape[0], 2, *image1.shape[2:])


class _ClassicalFlow(nn.Module, ABC):
    """A method of OpenCV on 8-bit luma; it runs on the CPU and gives no gradient."""

    luma_only = True

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` RGB in [0, 1], any size; the flow ``(B, 2, H, W)`` in pixels.

        Raises:
            ValueError: shapes do not fit.
        """
        check_images(image1, image2)
        height, width = image1.shape[2:]
        estimate = self._estimator()
        flows = [estimate(a, b) for a, b in zip(_gray(image1), _gray(image2), strict=True)]
        if not flows:
            return image1.new_zeros(0, 2, height, width)
        flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)[..., :height, :width]
        return flow.to(image1).contiguous()

    @abstractmethod
    def _estimator(self) -> Any:
        """A function of two grey images ``(H, W)`` that returns their flow ``(H, W, 2)``."""


class Farneback(_ClassicalFlow):
    """Polynomial expansion (Farnebäck, SCIA 2003), as OpenCV computes it.

    Args:
        pyr_scale: size of each pyramid level relative to the one below.
        levels: of the pyramid.
        winsize: of the averaging window, in pixels.
        iterations: at each level.
        poly_n: neighbourhood of the polynomial, 5 or 7.
        poly_sigma: deviation of its Gaussian.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        pyr_scale: float = 0.5,
        levels: int = 3,
        winsize: int = 15,
        iterations: int = 3,
        poly_n: int = 5,
        poly_sigma: float = 1.2,
    ) -> None:
        super().__init__()
        if not 0 < pyr_scale < 1:
            raise ConfigError(f"pyr_scale must lie between 0 and 1, got {pyr_scale}")
        if poly_n not in (5, 7) or min(levels, winsize, iterations) < 1 or poly_sigma <= 0:
            raise ConfigError(
                "farneback needs poly_n 5 or 7 and levels, winsize, iterations and poly_sigma above zero, got "
                f"poly_n={poly_n}, levels={levels}, winsize={winsize}, iterations={iterations}, poly_sigma={poly_sigma}"
            )
        self.arguments = (pyr_scale, levels, winsize, iterations, poly_n, poly_sigma)

    def _estimator(self) -> Any:
        import cv2

        # OpenCV's own stubs know only the variant that fills a given flow
        farneback: Any = cv2.calcOpticalFlowFarneback
        return lambda a, b: farneback(a, b, None, *self.arguments, 0)


class DISFlow(_ClassicalFlow):
    """Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV computes it.

    Args:
        preset: OpenCV's effort: ``"ultrafast"``, ``"fast"`` or ``"medium"``.

    Raises:
        ConfigError: an unknown preset.
    """

    def __init__(self, preset: str = "medium") -> None:
        super().__init__()
        if preset not in ("ultrafast", "fast", "medium"):
            raise ConfigError(f"preset must be 'ultrafast', 'fast' or 'medium', got {preset!r}")
        self.preset = preset

    def _estimator(self) -> Any:
        import cv2

        # OpenCV's own stubs lack this factory
        create: Any = getattr(cv2, "DISOpticalFlow_create")  # noqa: B009
        method = create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}"))
        return lambda a, b: method.calc(a, b, None)


def _gray(images: Tensor) -> list[_Gray]:
    """8-bit luma ``(H, W)`` of each image by OpenCV's own conversion, edges repeated up to the smallest size."""
    import cv2

    levels = (images.detach().float().cpu().clamp(0, 1) * 255).round()
    bottom, right = (max(0, _MINIMUM - size) for size in images.shape[2:])
    levels = F.pad(levels, (0, right, 0, bottom), mode="replicate")
    frames = levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8) for frame in frames]


CARDS = (
    ModelCard(
        name="zero_flow",
        task="flow",
        build=ZeroFlow,
        summary="no motion, the error that a flow has to undercut",
        baseline=True,
    ),
    ModelCard(
        name="farneback",
        task="flow",
        build=Farneback,
        summary="polynomial expansion of both frames, OpenCV",
        paper="Farnebäck: Two-Frame Motion Estimation Based on Polynomial Expansion, SCIA 2003, "
        "https://doi.org/10.1007/3-540-45103-X_50",
        baseline=True,
    ),
    ModelCard(
        name="dis",
        task="flow",
        build=DISFlow,
        summary="dense inverse search, OpenCV",
        paper="Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016, "
        "https://arxiv.org/abs/1603.03590",
        baseline=True,
    ),
)
