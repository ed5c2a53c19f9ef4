"""FuseFormer: joint attention over overlapping patches of all frames, which the feed-forward layers fuse.

Liu et al., "FuseFormer: Fusing Fine-Grained Information in Transformers for Video Inpainting", ICCV 2021
(https://arxiv.org/abs/2109.02974), written from the structure of the official release (class ``InpaintGenerator``).
The parameters have the names of the official checkpoints.

Kept from the official code, because published numbers depend on it:
    * patches that overlap are averaged in the feed-forward layers, but summed where tokens become features again.

Different from the official code:
    * any size: patches are folded at the size of the feature map, position embedding and bias are interpolated, frames
      are padded to multiples of 12 (the last patch of a row then covers what it covers at 432x240);
    * fused attention; patches are cut and summed by convolutions; overlaps are counted once per call, not folded in
      every block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import Implementation, InpaintingNetwork
from .dstt import check_transformer_options
from .layers import (
    KERNEL,
    PADDING,
    STRIDE,
    Init,
    PatchComposite,
    TokenAttention,
    base_encoder,
    coverage,
    decoder,
    hierarchy,
    init_weights,
    run_hierarchy,
    token_grid,
)

_ENCODER_STRIDE = 4
_BASE = 8  # layers of the base encoder, activations included


class FuseFormer(InpaintingNetwork):
    """The generator of FuseFormer (36,591,299 parameters with the defaults).

    Args:
        channel: width of the base encoder; a multiple of 16.
        hidden: width of the tokens.
        stack_num: number of transformer blocks.
        num_head: heads of attention; divides ``hidden``.
        fusion_channels: of the patches inside the feed-forward layers.
        dropout: of attention weights and feed-forward layers.
        output_size: height and width of the feature map, a quarter of the frames', for which position embedding and
            bias are stored; frames of any other size use them interpolated.
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
        fusion_channels: int = 40,
        dropout: float = 0.0,
        output_size: Sequence[int] = (60, 108),
        init: Init = "official",
        implementation: Implementation = "fused",
    ) -> None:
        check_transformer_options(channel, 16, hidden, stack_num, num_head, dropout)
        if fusion_channels < 1:
            raise ConfigError(f"fusion_channels must be at least 1, got {fusion_channels}")
        if len(output_size) != 2 or min(output_size) < 1:
            raise ConfigError(f"output_size needs height and width of at least 1, got {list(output_size)}")
        super().__init__(_ENCODER_STRIDE * STRIDE, implementation)
        height, width = output_size
        features = channel // 2
        self.encoder = _Encoder(channel)
        self.ss = _SoftSplit(features, hidden, self.fused)
        self.add_pos_emb = _PositionEmbedding(token_grid((height, width)), hidden)
        self.transformer = nn.ModuleList(
            _Block(hidden, num_head, fusion_channels, dropout, self.fused) for _ in range(stack_num)
        )
        self.sc = PatchComposite(hidden, features, self.fused, (height, width))
        self.decoder = decoder(features, channel)
        init_weights(self, init)

    def transform(self, features: Tensor, masks: Tensor | None = None) -> Tensor:
        """Tokens of all frames exchange information; ``masks`` are not used."""
        frames = features.shape[1]
        x = self.arrange(features.flatten(0, 1))
        size = (x.shape[2], x.shape[3])
        tokens = torch.unflatten(self.add_pos_emb(self.ss(x), token_grid(size)), 0, (-1, frames)).flatten(1, 2)
        overlaps = coverage(size, x) if self.fused else None
        for block in self.transformer:
            tokens = block(tokens, frames, size, overlaps)
        x = x + self.sc(torch.unflatten(tokens, 1, (frames, -1)).flatten(0, 1), size)
        return torch.unflatten(x, 0, (-1, frames))

    def _features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.encoder(frames)
        return features


class _Encoder(nn.Module):
    def __init__(self, channel: int) -> None:
        super().__init__()
        half = channel // 2
        widths = (3 * half, 4 * half, 3 * half, 2 * half, half)
        self.layers = nn.ModuleList((*base_encoder(channel), *hierarchy(channel, widths)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:_BASE]:
            x = layer(x)
        return run_hierarchy(self.layers[_BASE:], x)


class _SoftSplit(nn.Module):
    """Overlapping patches of a feature map, each embedded as a token."""

    def __init__(self, channels: int, hidden: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.embedding = nn.Linear(channels * KERNEL**2, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` ``(N, C, h, w)``; tokens ``(N, rows * columns, hidden)``."""
        if not self.fused:
            tokens: Tensor = self.embedding(F.unfold(x, KERNEL, padding=PADDING, stride=STRIDE).transpose(1, 2))
            return tokens
        kernel = torch.unflatten(self.embedding.weight, 1, (-1, KERNEL, KERNEL))
        return F.conv2d(x, kernel, self.embedding.bias, STRIDE, PADDING).flatten(2).transpose(1, 2)


class _PositionEmbedding(nn.Module):
    """A learned vector for each token of a frame, the same in all frames."""

    def __init__(self, grid: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.grid = grid
        self.pos_emb = nn.Parameter(0.02 * torch.randn(1, 1, grid[0] * grid[1], hidden))

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """``tokens`` ``(N, rows * columns, C)`` of a ``grid``, which need not be that of the embedding."""
        embedding = self.pos_emb[0]
        if grid != self.grid:
            maps = torch.unflatten(embedding.transpose(1, 2), 2, self.grid)
            maps = F.interpolate(maps, grid, mode="bicubic", align_corners=False)
            embedding = maps.flatten(2).transpose(1, 2)
        return tokens + embedding


class _Fusion(nn.Module):
    """Feed-forward layers between which overlapping patches are averaged (F3N, section 3.3 of the paper)."""

    def __init__(self, hidden: int, channels: int, dropout: float) -> None:
        super().__init__()
        width = channels * KERNEL**2
        self.conv1 = nn.Sequential(nn.Linear(hidden, width))
        self.conv2 = nn.Sequential(
            nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(width, hidden), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor, frames: int, size: tuple[int, int], overlaps: Tensor | None) -> Tensor:
        """``x`` ``(B, T * rows * columns, C)``; ``overlaps`` ``(h, w)``, None to count them here."""
        patches = torch.unflatten(self.conv1(x), 1, (frames, -1)).flatten(0, 1).transpose(1, 2)
        if overlaps is None:
            overlaps = _fold(torch.ones_like(patches), size)
        averaged = _fold(patches, size) / overlaps
        patches = F.unfold(averaged, KERNEL, padding=PADDING, stride=STRIDE).transpose(1, 2)
        out: Tensor = self.conv2(torch.unflatten(patches, 0, (-1, frames)).flatten(1, 2))
        return out


def _fold(patches: Tensor, size: tuple[int, int]) -> Tensor:
    return F.fold(patches, size, KERNEL, padding=PADDING, stride=STRIDE)


class _Block(nn.Module):
    """Pre-norm attention among all tokens of all frames, then fusion."""

    def __init__(self, hidden: int, num_head: int, channels: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.attention = TokenAttention(hidden, num_head, dropout, fused)
        self.ffn = _Fusion(hidden, channels, dropout)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: int, size: tuple[int, int], overlaps: Tensor | None) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        out: Tensor = x + self.ffn(self.norm2(x), frames, size, overlaps)
        return out


def _is_official(keys: set[str]) -> bool:
    return {"ss.embedding.weight", "add_pos_emb.pos_emb", "sc.bias"} <= keys


_LICENCE = "none stated"
_TABLE = "comparison table of E2FGVI (CVPR 2022), 432x240, stationary masks"

CARD = ModelCard(
    name="fuseformer",
    task="inpainting",
    build=FuseFormer,
    summary="FuseFormer: joint attention over overlapping patches of all frames, fused in between",
    paper="Liu et al.: FuseFormer: Fusing Fine-Grained Information in Transformers for Video Inpainting, ICCV 2021, "
    "https://arxiv.org/abs/2109.02974",
    tiny={
        "channel": 16,
        "hidden": 32,
        "stack_num": 2,
        "num_head": 2,
        "fusion_channels": 2,
        "output_size": (15, 18),
    },
    licence=_LICENCE,
    weights=(
        OfficialWeights(
            tag="youtubevos",
            filename="fuseformer.pth",
            licence=_LICENCE,
            source="drive page linked from https://github.com/ruiliu-ai/FuseFormer",
            trained_on="YouTube-VOS 2019",
        ),
    ),
    layouts=(CheckpointLayout("official", _is_official, dict),),
    published=(
        PublishedResult("inpainting_youtubevos", "psnr", 33.29, _TABLE),
        PublishedResult("inpainting_youtubevos", "ssim_uniform", 0.9681, _TABLE),
        PublishedResult("inpainting_youtubevos", "vfid", 0.053, _TABLE),
        PublishedResult("inpainting_davis", "psnr", 32.54, _TABLE),
        PublishedResult("inpainting_davis", "ssim_uniform", 0.9700, _TABLE),
        PublishedResult("inpainting_davis", "vfid", 0.138, _TABLE),
    ),
    proven=("parity", "official weights never seen"),
)
