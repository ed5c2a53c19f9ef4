"""DSTT: attention decoupled into blocks over time, inside zones of the frame, and blocks over space, inside a frame.

Liu et al., "Decoupled Spatial-Temporal Transformer for Video Inpainting", 2021 (https://arxiv.org/abs/2104.06637),
written from the structure of the official release (class ``InpaintGenerator``). The parameters have the names of the
official checkpoints.

Kept from the official code, because published numbers depend on it:
    * the skip connection around attention carries the *normalised* tokens (``normalised_skip=False`` for the usual
      pre-norm block, which the connection around the feed-forward layers is);
    * patches that overlap are summed without dividing by their number.

Different from the official code:
    * any size: patches are summed at the size of the feature map, frames are padded to multiples of 24, so that zones
      are equal;
    * fused attention; patches are summed by a transposed convolution.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard
from .contract import Implementation, InpaintingNetwork
from .layers import (
    KERNEL,
    PADDING,
    STRIDE,
    Init,
    PatchComposite,
    TokenAttention,
    base_encoder,
    decoder,
    hierarchy,
    init_weights,
    run_hierarchy,
)

_ENCODER_STRIDE = 4
_ZONES = 2  # along each side


class DSTT(InpaintingNetwork):
    """The generator of DSTT (34,529,155 parameters with the defaults).

    Args:
        channel: width of the base encoder; a multiple of 8.
        hidden: width of the tokens.
        stack_num: number of transformer blocks, which alternate between time (first) and space.
        num_head: heads of attention; divides ``hidden``.
        dropout: of attention weights and feed-forward layers.
        normalised_skip: the official skip connection; False for the usual one.
        init: ``"official"``, or ``"scaled"`` for narrow networks; see ``layers.init_weights``.
        implementation: how it is computed, see :class:`~framewright.models.inpainting.contract.InpaintingNetwork`.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        channel: int = 256,
        hidden: int = 512,
        stack_num: int = 8,
        num_head: int = 4,
        dropout: float = 0.0,
        normalised_skip: bool = True,
        init: Init = "official",
        implementation: Implementation = "fused",
    ) -> None:
        check_transformer_options(channel, 8, hidden, stack_num, num_head, dropout)
        super().__init__(_ENCODER_STRIDE * STRIDE * _ZONES, implementation)
        self.encoder = nn.Sequential(*base_encoder(channel))
        self.hier_enc = _Hierarchy(channel)
        features = channel // 2
        self.patch2vec = nn.Conv2d(features, hidden, KERNEL, STRIDE, PADDING)
        self.vec2patch = PatchComposite(hidden, features, self.fused)
        self.transformer = nn.ModuleList(
            _Block(hidden, num_head, "s" if i % 2 else "t", dropout, normalised_skip, self.fused)
            for i in range(stack_num)
        )
        self.decoder = decoder(features, channel)
        init_weights(self, init)

    def transform(self, features: Tensor, masks: Tensor | None = None) -> Tensor:
        """Tokens of all frames exchange information; ``masks`` are not used."""
        frames = features.shape[1]
        x = self.arrange(features.flatten(0, 1))
        maps = self.patch2vec(x)
        grid = (maps.shape[2], maps.shape[3])
        tokens = maps.flatten(2).transpose(1, 2)
        for block in self.transformer:
            tokens = block(tokens, frames, grid)
        x = x + self.vec2patch(tokens, (x.shape[2], x.shape[3]))
        return torch.unflatten(x, 0, (-1, frames))

    def _features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.hier_enc(self.encoder(frames))
        return features


class _Hierarchy(nn.Module):
    def __init__(self, channel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(hierarchy(channel, (channel, channel, channel, channel, channel // 2)))

    def forward(self, x: Tensor) -> Tensor:
        return run_hierarchy(self.layers, x)


class _FeedForward(nn.Module):
    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Linear(hidden, 4 * hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(4 * hidden, hidden), nn.Dropout(dropout)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class _Block(nn.Module):
    """Attention over time (``mode="t"``) or space (``"s"``), then feed-forward layers."""

    def __init__(
        self,
        hidden: int,
        num_head: int,
        mode: Literal["t", "s"],
        dropout: float,
        normalised_skip: bool,
        fused: bool,
    ) -> None:
        super().__init__()
        self.mode, self.normalised_skip = mode, normalised_skip
        self.attention = TokenAttention(hidden, num_head, dropout, fused)
        self.ffn = _FeedForward(hidden, dropout)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: int, grid: tuple[int, int]) -> Tensor:
        """``x`` ``(B * T, rows * columns, C)``; the same shape."""
        normalised = self.norm1(x)
        if self.mode == "t":
            attended = _from_zones(self.attention(_to_zones(normalised, frames, grid)), frames, grid)
        else:
            attended = self.attention(normalised)
        x = (normalised if self.normalised_skip else x) + self.dropout(attended)
        out: Tensor = x + self.ffn(self.norm2(x))
        return out


def _to_zones(x: Tensor, frames: int, grid: tuple[int, int]) -> Tensor:
    """``(B * T, rows * columns, C)`` as ``(B * zones, T * rows * columns / zones, C)``."""
    rows, columns = (count // _ZONES for count in grid)
    x = x.reshape(-1, frames, _ZONES, rows, _ZONES, columns, x.shape[-1])
    return x.permute(0, 2, 4, 1, 3, 5, 6).flatten(3, 5).flatten(0, 2)


def _from_zones(x: Tensor, frames: int, grid: tuple[int, int]) -> Tensor:
    """Undoes :func:`_to_zones`."""
    rows, columns = (count // _ZONES for count in grid)
    x = x.reshape(-1, _ZONES, _ZONES, frames, rows, columns, x.shape[-1])
    return x.permute(0, 3, 1, 4, 2, 5, 6).flatten(2, 5).flatten(0, 1)


def check_transformer_options(
    channel: int, multiple: int, hidden: int, stack_num: int, num_head: int, dropout: float
) -> None:
    """Raise ``ConfigError`` for options that no token transformer can have."""
    if channel < multiple or channel % multiple:
        raise ConfigError(f"channel must be a multiple of {multiple}, got {channel}")
    if num_head < 1 or hidden < num_head or hidden % num_head:
        raise ConfigError(f"hidden must be a multiple of num_head, got {hidden} and {num_head}")
    if stack_num < 1:
        raise ConfigError(f"stack_num must be at least 1, got {stack_num}")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout must be from 0 to less than 1, got {dropout}")


def _is_official(keys: set[str]) -> bool:
    return {"hier_enc.layers.0.weight", "patch2vec.weight", "vec2patch.embedding.weight"} <= keys


_LICENCE = "none stated"

CARD = ModelCard(
    name="dstt",
    task="inpainting",
    build=DSTT,
    summary="DSTT: blocks of attention over time in zones and over space in turn",
    paper="Liu et al.: Decoupled Spatial-Temporal Transformer for Video Inpainting, 2021, https://arxiv.org/abs/2104.06637",
    tiny={"channel": 16, "hidden": 32, "stack_num": 2, "num_head": 2},
    licence=_LICENCE,
    weights=(
        OfficialWeights(
            tag="youtubevos",
            filename="dstt.pth",
            licence=_LICENCE,
            source="drive page linked from https://github.com/ruiliu-ai/DSTT",
            trained_on="YouTube-VOS",
        ),
    ),
    layouts=(CheckpointLayout("official", _is_official, dict),),
    proven=("parity", "official weights never seen"),
)
