"""Feature similarity (Zhang, Zhang, Mou and Zhang, IEEE TIP 2011), of luma and with colour.

Phase congruency is that of Kovesi (Videre 1999): log-Gabor filters of 4 scales and 4 orientations, and a noise
threshold from the median response of the smallest scale.
"""

from __future__ import annotations

import functools
import math
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import FrameMetric, check_frames, to_double
from .pair import Tensors, VideoPair

_SCALES, _ORIENTATIONS = 4, 4
_SHORTEST_WAVE = 6.0  # pixels; each scale doubles it
_RADIAL_SIGMA = 0.55
_ANGULAR_SIGMA = math.pi / (_ORIENTATIONS * 1.2)
_LOW_PASS, _LOW_PASS_ORDER = 0.45, 15
_NOISE_DEVIATIONS = 2.0
_NOISE_RESCALING = 1.7
# of phase congruency, gradient, I and Q, for grey levels 0..255
_T1, _T2, _T3, _T4 = 0.85, 160.0, 200.0, 200.0
_COLOUR_EXPONENT = 0.03
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_MINIMUM = 8


class FSIM(FrameMetric):
    """FSIM: similarity of phase congruency and gradient of luma, weighted by the larger phase congruency.

    Frames are averaged over ``round(min(H, W) / 256)`` pixels first, as in the authors' program. Constants
    T1 = 0.85, T2 = 160; values equal those of piq. Computed in float64.

    Args:
        rounded: compare the prediction as 8-bit image.
    """

    simple = True
    key = "fsim"
    higher_is_better = True
    decimals = 4
    _variant: ClassVar[str] = "fsim"

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The value of each frame ``(N,)``."""
        return self._both(prediction, target)[self._variant]

    def values(self, pair: VideoPair) -> Tensor:
        """The value of each frame; FSIM and FSIMc of one video are computed together."""
        self.check(pair)
        shared = {"rounded": self.rounded}
        return pair.made.get("fsim", shared, lambda: self._both(pair.prediction, pair.target))[self._variant]

    def _both(self, prediction: Tensor, target: Tensor) -> Tensors:
        check_frames(prediction, target)
        height, width = prediction.shape[2:]
        if min(height, width) < _MINIMUM:
            raise ValueError(f"{self.key} needs frames of at least {_MINIMUM}x{_MINIMUM} pixels, got {height}x{width}")
        values = torch.zeros(2, len(prediction), dtype=torch.float64, device=prediction.device)
        for index, (frame, truth) in enumerate(zip(prediction, target, strict=True)):
            values[:, index] = _similarity(torch.stack(to_double(frame, truth, self.rounded)))
        return {"fsim": values[0], "fsimc": values[1]}


class FSIMc(FSIM):
    """FSIMc: as :class:`FSIM`, times the similarity of the colour channels I and Q to the power 0.03."""

    key = "fsimc"
    _variant = "fsimc"


def _similarity(frames: Tensor) -> Tensor:
    """FSIM and FSIMc ``(2,)`` of two frames ``(2, 3, H, W)`` float64 in [0, 1]."""
    size = max(1, round(min(frames.shape[2:]) / 256))
    frames = F.avg_pool2d(frames * 255, size)
    luma, i, q = torch.einsum("kc,nchw->knhw", frames.new_tensor(_YIQ), frames).unbind(0)
    congruency = _phase_congruency(luma)
    weight = congruency.amax(0)
    score = _alike(congruency, _T1) * _alike(_gradient(luma), _T2) * weight
    colour = (_alike(i, _T3) * _alike(q, _T4)).abs() ** _COLOUR_EXPONENT
    return torch.stack((score.sum(), (score * colour).sum())) / weight.sum()


def _alike(pair: Tensor, constant: float) -> Tensor:
    a, b = pair.unbind(0)
    return (2 * a * b + constant) / (a * a + b * b + constant)


def _gradient(luma: Tensor) -> Tensor:
    """Magnitude of the Scharr gradient of ``(N, H, W)``, zeros outside."""
    kernel = luma.new_tensor([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    both: Tensor = F.conv2d(luma.unsqueeze(1), torch.stack((kernel, kernel.T)).unsqueeze(1), padding=1)
    return both.square().sum(1).sqrt()


class _Filters(NamedTuple):
    """Log-Gabor filters over the frequencies of a frame, as factors.

    Attributes:
        radial: ``(scales, H, W)``.
        angular: ``(orientations, H, W)``.
        noise: threshold of an orientation per root of the median squared response at the smallest scale.
    """

    radial: Tensor
    angular: Tensor
    noise: list[float]


def _axis(size: int) -> Tensor:
    """Frequencies of one axis, 0 first; for an odd size from -1/2 to 1/2 inclusive, as in Kovesi's program."""
    half = size // 2
    steps = torch.arange(size, dtype=torch.float64) - half
    frequencies: Tensor = torch.fft.ifftshift(steps / (size - size % 2))
    return frequencies


@functools.lru_cache(maxsize=4)
def _filters(height: int, width: int, device: torch.device) -> _Filters:
    # angles from the vertical axis, as piq takes them; from the horizontal one the same filters come in another
    # order, only the highest frequency of even sizes falls to another side: 2e-6 in the value of a 64x64 frame
    rows, columns = _axis(height)[:, None], _axis(width)[None, :]
    radius, theta = (rows**2 + columns**2).sqrt(), torch.atan2(-columns, rows)
    low_pass = 1 / (1 + (radius / _LOW_PASS) ** (2 * _LOW_PASS_ORDER))
    radius[0, 0] = 1
    radial = []
    for scale in range(_SCALES):
        wave = _SHORTEST_WAVE * 2**scale
        gabor = torch.exp(-((radius * wave).log() ** 2) / (2 * math.log(_RADIAL_SIGMA) ** 2)) * low_pass
        gabor[0, 0] = 0
        radial.append(gabor)
    angular, noise = [], []
    for orientation in range(_ORIENTATIONS):
        angle = theta - orientation * math.pi / _ORIENTATIONS
        angle = torch.atan2(angle.sin(), angle.cos())
        angular.append(torch.exp(-(angle**2) / (2 * _ANGULAR_SIGMA**2)))
        noise.append(_noise_factor(torch.stack(radial) * angular[-1]))
    return _Filters(torch.stack(radial).to(device), torch.stack(angular).to(device), noise)


def _noise_factor(filters: Tensor) -> float:
    """The constant of the noise threshold of one orientation's filters ``(scales, H, W)``.

    The squared response to Gaussian noise at the smallest scale has a chi-squared distribution of two degrees of
    freedom, its mean is its median over ln 2. The energy, a sum of responses over scales, is then Rayleigh
    distributed, with a parameter proportional to the norm of the sum of the even filters.
    """
    total = filters.sum(0)
    even = (total + total.flip((0, 1)).roll((1, 1), (0, 1))) / 2  # the transform of the filters' real part
    parameter = even.square().sum().sqrt() / (math.log(2) * filters[0].square().sum()).sqrt()
    spread = math.sqrt(math.pi / 2) + _NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)
    return float(parameter) * spread / _NOISE_RESCALING


def _phase_congruency(luma: Tensor) -> Tensor:
    """Phase congruency of frames ``(N, H, W)`` in [0, 1]."""
    filters = _filters(luma.shape[1], luma.shape[2], luma.device)
    spectrum = torch.fft.fft2(luma).unsqueeze(1)
    energy, amplitude = torch.zeros_like(luma), torch.full_like(luma, torch.finfo(luma.dtype).eps)
    for angular, noise in zip(filters.angular, filters.noise, strict=True):
        response = torch.fft.ifft2(spectrum * (filters.radial * angular))
        strength = response.abs()
        total = response.sum(1, keepdim=True)
        size = total.abs()
        # what of each response lies along the sum, less what lies across it; the former adds up to the sum
        unit = total / (size + torch.finfo(luma.dtype).eps)
        across = (response.real * unit.imag - response.imag * unit.real).abs().sum(1)
        threshold = noise * strength[:, 0].flatten(1).median(1).values
        energy += (size[:, 0] - across - threshold[:, None, None]).clamp(min=0)
        amplitude += strength.sum(1)
    return energy / amplitude
