"""Blocks that the inpainting transformers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from .contract import attend

Init = Literal["official", "scaled"]

_SLOPE = 0.2

# patches of tokens: overlapping windows of the feature map
KERNEL, STRIDE, PADDING = 7, 3, 3
GROUPS = (1, 2, 4, 8, 1)


def activation() -> nn.LeakyReLU:
    """LeakyReLU with slope 0.2, in place."""
    return nn.LeakyReLU(_SLOPE, inplace=True)


def base_encoder(channel: int) -> list[nn.Module]:
    """Four convolutions with activations, from RGB to ``channel`` features at a quarter of the size."""
    layers: list[nn.Module] = []
    widths = (3, channel // 4, channel // 4, channel // 2, channel)
    for inner, outer, stride in zip(widths, widths[1:], (2, 1, 2, 1), strict=False):
        layers += (nn.Conv2d(inner, outer, 3, stride, 1), activation())
    return layers


def hierarchy(channel: int, widths: Sequence[int]) -> list[nn.Module]:
    """The convolutions of :func:`run_hierarchy` on ``channel`` base features, each followed by an activation."""
    layers: list[nn.Module] = []
    for i, (width, groups) in enumerate(zip(widths, GROUPS, strict=True)):
        inner = channel + widths[i - 1] if i else channel
        layers += (nn.Conv2d(inner, width, 3, 1, 1, groups=groups), activation())
    return layers


def run_hierarchy(layers: Iterable[nn.Module], base: Tensor) -> Tensor:
    """Grouped convolutions, before each of which the base features are mixed in again, group by group.

    Args:
        layers: of :func:`hierarchy`.
        base: ``(N, C, h, w)``.
    """
    x = base
    for i, layer in enumerate(layers):
        if i and i % 2 == 0:
            groups = GROUPS[i // 2]
            parts = (torch.unflatten(part, 1, (groups, -1)) for part in (base, x))
            x = torch.cat(tuple(parts), 2).flatten(1, 2)
        x = layer(x)
    return x


class _Upsample(nn.Module):
    """Bilinear upsampling to twice the size with fixed corners, and a convolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        larger: Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))
        return larger


def decoder(channels_in: int, channel: int) -> nn.Sequential:
    """From features at a quarter of the size to RGB before the tanh."""
    half, quarter = channel // 2, channel // 4
    return nn.Sequential(
        *(_Upsample(channels_in, half), activation()),
        *(nn.Conv2d(half, quarter, 3, 1, 1), activation()),
        *(_Upsample(quarter, quarter), activation()),
        nn.Conv2d(quarter, 3, 3, 1, 1),
    )


def init_weights(net: nn.Module, init: Init = "official") -> None:
    """Set weights of convolutions and linear layers, with biases 0.

    Args:
        net: all its layers.
        init: ``"official"``: N(0, 0.02) everywhere, made for the official widths; in a narrow network signals then fade
            from layer to layer. ``"scaled"``: by the number of inputs (He et al. 2015 for convolutions, Glorot and
            Bengio 2010 for linear layers), which keeps their size.

    Raises:
        ConfigError: an unknown ``init``.
    """
    if init not in ("official", "scaled"):
        raise ConfigError(f"init must be 'official' or 'scaled', got {init!r}")
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            for name, parameter in module.named_parameters(recurse=False):
                if name == "bias":
                    nn.init.zeros_(parameter)
                elif init == "official":
                    nn.init.normal_(parameter, 0.0, 0.02)
                elif isinstance(module, nn.Linear):
                    nn.init.xavier_normal_(parameter)
                else:
                    nn.init.kaiming_normal_(parameter, a=_SLOPE)


# --- tokens


def token_grid(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches of a feature map of ``size``."""
    rows, columns = ((length + 2 * PADDING - KERNEL) // STRIDE + 1 for length in size)
    return rows, columns


def coverage(size: tuple[int, int], like: Tensor) -> Tensor:
    """``(h, w)``: how many patches cover each position; equals the fold of ones, without folding.

    A patch covers rows and columns independently, so that the count is a product of two counts along a line.
    """

    def along(length: int, patches: int) -> Tensor:
        centres = torch.arange(patches, device=like.device) * STRIDE + KERNEL // 2 - PADDING
        distance = (centres.unsqueeze(1) - torch.arange(length, device=like.device)).abs()
        return (distance <= KERNEL // 2).sum(0).to(like.dtype)

    rows, columns = token_grid(size)
    return along(size[0], rows).unsqueeze(1) * along(size[1], columns)


class TokenAttention(nn.Module):
    """Multi-head attention among all tokens of a sequence.

    Args:
        hidden: width of a token.
        num_head: number of heads.
        dropout: of the attention weights.
        fused: see :func:`~framewright.models.inpainting.contract.attend`.
    """

    def __init__(self, hidden: int, num_head: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.num_head, self.dropout, self.fused = num_head, dropout, fused
        self.query_embedding = nn.Linear(hidden, hidden)
        self.key_embedding = nn.Linear(hidden, hidden)
        self.value_embedding = nn.Linear(hidden, hidden)
        self.output_linear = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` ``(B, N, C)``; the same shape."""
        layers = (self.query_embedding, self.key_embedding, self.value_embedding)
        query, key, value = (torch.unflatten(layer(x), -1, (self.num_head, -1)).transpose(1, 2) for layer in layers)
        dropout = self.dropout if self.training else 0.0
        attended = attend(query, key, value, fused=self.fused, dropout=dropout)
        out: Tensor = self.output_linear(attended.transpose(1, 2).flatten(2))
        return out


class PatchComposite(nn.Module):
    """Tokens back to a feature map: each becomes a patch, and overlapping patches are summed.

    Args:
        hidden: width of a token.
        channels: of the feature map.
        fused: sum in a transposed convolution, which never holds the patches.
        output_size: height and width of a learned bias of the feature map; None for no bias. Other sizes take the
            bias interpolated bilinearly.
    """

    def __init__(self, hidden: int, channels: int, fused: bool, output_size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.fused = fused
        self.embedding = nn.Linear(hidden, channels * KERNEL**2)
        self.bias = None if output_size is None else nn.Parameter(torch.zeros(channels, *output_size))

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """``tokens`` ``(N, rows * columns, C)``; the feature map ``(N, channels, *size)``."""
        x = self._summed(tokens, size) if self.fused else self._folded(tokens, size)
        if self.bias is None:
            return x
        bias = self.bias.unsqueeze(0)
        if bias.shape[2:] != size:
            bias = F.interpolate(bias, size, mode="bilinear", align_corners=False)
        return x + bias

    def _folded(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        return F.fold(self.embedding(tokens).transpose(1, 2), size, KERNEL, padding=PADDING, stride=STRIDE)

    def _summed(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        grid = token_grid(size)
        missing = tuple(
            length - ((count - 1) * STRIDE - 2 * PADDING + KERNEL) for length, count in zip(size, grid, strict=True)
        )
        # transposed as a matrix, which is three times as fast as the convolution's own reordering
        kernel = torch.unflatten(self.embedding.weight.t().contiguous(), 1, (-1, KERNEL, KERNEL))
        maps = torch.unflatten(tokens.transpose(1, 2), 2, grid)
        x = F.conv_transpose2d(maps, kernel, None, STRIDE, PADDING, missing)
        # the bias of a patch counts as often as patches overlap, so it is summed like a map of ones
        bias = torch.unflatten(self.embedding.bias, 0, (1, -1, KERNEL, KERNEL))
        return x + F.conv_transpose2d(maps.new_ones(1, 1, *grid), bias, None, STRIDE, PADDING, missing)
