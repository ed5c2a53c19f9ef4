"""Matting without weights from samples of known colours and guided filters."""

from __future__ import annotations

from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.colour_samples import propagate, sampled_matte
from ..card import ModelCard
from .contract import check_trimap, classes_of


class GuidedSampling(nn.Module):
    """Pairs of known colours explain the unknown pixels; weighted guided filters make a smooth matte of that.

    The two steps of sampling-based matting (Gastal and Oliveira, "Shared Sampling for Real-Time Alpha Matting",
    Eurographics 2010), the second one with the filter of He, Sun and Tang (TPAMI 2013). Everything is local and runs on
    the image's device; no system of equations is solved, so it takes a fraction of the time of ``closed_form``.

    Args:
        rounds: of the filter.
        radius: of its windows, pixels.
        epsilon: of the filter, squared colours; larger for noisy images.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, rounds: int = 6, radius: int = 3, epsilon: float = 1e-6) -> None:
        super().__init__()
        if rounds < 1 or radius < 1 or epsilon <= 0:
            raise ConfigError(
                "rounds and radius must be at least 1 and epsilon above 0, "
                f"got rounds={rounds}, radius={radius}, epsilon={epsilon}"
            )
        self.rounds, self.radius, self.epsilon = rounds, radius, epsilon

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha ``(B, 1, H, W)`` in [0, 1]; known pixels keep 0 and 1.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trimap(image, trimap)
        background, _, foreground = classes_of(trimap)
        matte = sampled_matte(image, foreground, background)
        alpha = propagate(image, matte, foreground, background, self.radius, self.epsilon, self.rounds)
        return alpha.to(image.dtype)


CARD = ModelCard(
    name="guided_sampling",
    task="matting",
    build=GuidedSampling,
    summary="alpha from samples of known colours, smoothed by guided filters",
    paper="Gastal, Oliveira: Shared Sampling for Real-Time Alpha Matting, Eurographics 2010, "
    "https://doi.org/10.1111/j.1467-8659.2009.01627.x; He, Sun, Tang: Guided Image Filtering, TPAMI 2013, "
    "https://doi.org/10.1109/TPAMI.2012.213",
    baseline=True,
)
