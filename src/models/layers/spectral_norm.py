"""Convolutions whose weight is divided by its largest singular value.

Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018
(https://arxiv.org/abs/1802.05957), algorithm 1. The tensors are called ``weight_orig``, ``weight_u`` and ``weight_v``
as in torch's first implementation (``torch.nn.utils.spectral_norm``), in whose layout discriminators were published.
Other than that one, a module stays picklable and copyable after a forward pass.
"""

from __future__ import annotations

import contextlib
import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-12


class _SpectralNorm(nn.Module):
    """What a convolution with spectral normalisation has beside its own: the tensors and the estimate."""

    power_iterations: int
    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor

    def _normalise(self, weight: Tensor, power_iterations: int) -> None:
        """Replace the parameter ``weight`` by the three tensors."""
        del self._parameters["weight"]
        self.power_iterations = power_iterations
        self.weight_orig = nn.Parameter(weight)
        rows = weight.flatten(1)
        self.register_buffer("weight_u", F.normalize(torch.randn(rows.shape[0]), dim=0, eps=_EPSILON))
        self.register_buffer("weight_v", F.normalize(torch.randn(rows.shape[1]), dim=0, eps=_EPSILON))

    def normalised_weight(self) -> Tensor:
        """``weight_orig`` divided by the estimate of its largest singular value; float32 under autocast."""
        device = self.weight_orig.device.type
        # not every device that holds tensors knows autocast
        known = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if known else contextlib.nullcontext():
            matrix = self.weight_orig.flatten(1)
            if self.training:
                self._refine(matrix)
            # copies, because the next forward pass of the same step changes the buffers in place
            sigma = torch.dot(self.weight_u.clone(), torch.mv(matrix, self.weight_v.clone()))
            normalised: Tensor = self.weight_orig / sigma
        return normalised

    @torch.no_grad()
    def _refine(self, matrix: Tensor) -> None:
        for _ in range(self.power_iterations):
            self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=_EPSILON))
            self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=_EPSILON))


class SpectralConv2d(_SpectralNorm, nn.Conv2d):
    """A 2D convolution with spectral normalisation.

    Args:
        channels_in, channels_out, kernel_size, stride, padding, bias: as of :class:`torch.nn.Conv2d`.
        power_iterations: per forward pass in training mode; 0 freezes the estimate of the singular vectors. In
            evaluation mode it is always frozen.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        power_iterations: int = 1,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel_size, stride, padding, bias=bias)
        self._normalise(self.weight.detach(), power_iterations)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution with the normalised weight; in training mode the estimate is refined first."""
        out: Tensor = self._conv_forward(x, self.normalised_weight(), self.bias)
        return out


class SpectralConv3d(_SpectralNorm, nn.Conv3d):
    """A 3D convolution with spectral normalisation.

    Args:
        channels_in, channels_out, kernel_size, stride, padding, bias: as of :class:`torch.nn.Conv3d`.
        power_iterations: as of :class:`SpectralConv2d`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        padding: tuple[int, int, int] = (0, 0, 0),
        bias: bool = True,
        power_iterations: int = 1,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel_size, stride, padding, bias=bias)
        self._normalise(self.weight.detach(), power_iterations)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution with the normalised weight; in training mode the estimate is refined first."""
        out: Tensor = self._conv_forward(x, self.normalised_weight(), self.bias)
        return out


_MODERN = re.compile(r"\.parametrizations\.weight\.(original|0\._([uv]))$")


def from_parametrizations(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that torch's second implementation gives to these tensors, replaced by ours."""
    return {_MODERN.sub(lambda m: f".weight_{m[2] or 'orig'}", key): value for key, value in state.items()}
