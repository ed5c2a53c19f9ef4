"""STTN: joint spatial-temporal transformer, in which every head attends to patches of another size.

Zeng, Fu and Chao, "Learning Joint Spatial-Temporal Transformations for Video Inpainting", ECCV 2020
(https://arxiv.org/abs/2007.10247), written from the structure of the official release (class ``InpaintGenerator``). The
parameters have the names of the official checkpoints.

Kept from the official code, because published numbers depend on it:
    * patches inside holes are attended to like all others: the official code computes a masked score and drops it, and
      its weights were trained so (``mask_attention=True`` for the paper's masking).

Different from the official code:
    * any size: patches are fractions of the feature map (1, 1/3, 1/6 and 1/12 along each side, the official sizes at
      432x240), frames are padded to multiples of 48;
    * the memory order of features on a CPU; attention remains a product, a softmax and a product, because no fused
      kernel takes tokens of up to 400,000 numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import Implementation, InpaintingNetwork, attend
from .layers import Init, activation, base_encoder, decoder, init_weights

_STRIDE = 4  # of the encoder


class STTN(InpaintingNetwork):
    """The generator of STTN (16,556,163 parameters with the defaults).

    Args:
        channel: width of the features; a multiple of 4 and of the number of ``divisions``.
        stack_num: number of transformer blocks.
        divisions: one head for each: into how many patches it divides the feature map along each side.
        mask_attention: hide patches that lie in a hole by more than half from attention, as the paper describes it;
            False as the official code does.
        init: ``"official"`` or ``"scaled"``, for narrow networks; see ``layers.init_weights``.
        implementation: ``"plain"`` only differs in memory order here.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        channel: int = 256,
        stack_num: int = 8,
        divisions: Sequence[int] = (1, 3, 6, 12),
        mask_attention: bool = False,
        init: Init = "official",
        implementation: Implementation = "fused",
    ) -> None:
        if not divisions or min(divisions) < 1:
            raise ConfigError(f"divisions needs numbers of at least 1, got {list(divisions)}")
        if channel < 4 or channel % 4 or channel % len(divisions):
            raise ConfigError(f"channel must be a multiple of 4 and of the {len(divisions)} divisions, got {channel}")
        if stack_num < 1:
            raise ConfigError(f"stack_num must be at least 1, got {stack_num}")
        super().__init__(_STRIDE * math.lcm(*divisions), implementation)
        self.mask_attention = mask_attention
        self.encoder = nn.Sequential(*base_encoder(channel))
        self.transformer = nn.ModuleList(_Block(channel, tuple(divisions)) for _ in range(stack_num))
        self.decoder = decoder(channel, channel)
        init_weights(self, init)

    def transform(self, features: Tensor, masks: Tensor | None = None) -> Tensor:
        """Patches of all frames exchange information; ``masks`` are needed with ``mask_attention``.

        Raises:
            ValueError: ``mask_attention`` without masks.
        """
        frames = features.shape[1]
        holes = self._holes(features, masks) if self.mask_attention else None
        x = self.arrange(features.flatten(0, 1))
        for block in self.transformer:
            x = block(x, frames, holes)
        return torch.unflatten(x, 0, (-1, frames))

    def _features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.encoder(frames)
        return features

    def _holes(self, features: Tensor, masks: Tensor | None) -> Tensor:
        """The masks at the size of the features, ``(B * T, 1, h, w)``."""
        if masks is None:
            raise ValueError("a network with mask_attention needs the masks of the frames in transform")
        padded, _ = pad_to_multiple(masks, self.multiple)
        return F.interpolate(padded.flatten(0, 1), features.shape[3:], mode="nearest")


class _Block(nn.Module):
    """Attention, then convolutions, each added to its input; no normalisation."""

    def __init__(self, channel: int, divisions: tuple[int, ...]) -> None:
        super().__init__()
        self.attention = _PatchAttention(channel, divisions)
        self.feed_forward = _FeedForward(channel)

    def forward(self, x: Tensor, frames: int, holes: Tensor | None) -> Tensor:
        x = x + self.attention(x, frames, holes)
        out: Tensor = x + self.feed_forward(x)
        return out


class _FeedForward(nn.Module):
    def __init__(self, channel: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Conv2d(channel, channel, 3, 1, 2, dilation=2), activation()),
            *(nn.Conv2d(channel, channel, 3, 1, 1), activation()),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class _PatchAttention(nn.Module):
    """Each head cuts all frames into patches of its size and attends among them."""

    def __init__(self, channel: int, divisions: tuple[int, ...]) -> None:
        super().__init__()
        self.divisions = divisions
        self.query_embedding = nn.Conv2d(channel, channel, 1)
        self.value_embedding = nn.Conv2d(channel, channel, 1)
        self.key_embedding = nn.Conv2d(channel, channel, 1)
        self.output_linear = nn.Sequential(nn.Conv2d(channel, channel, 3, 1, 1), activation())

    def forward(self, x: Tensor, frames: int, holes: Tensor | None) -> Tensor:
        size = (x.shape[2], x.shape[3])
        layers = (self.query_embedding, self.key_embedding, self.value_embedding)
        parts = (layer(x).chunk(len(self.divisions), 1) for layer in layers)
        heads = []
        for count, *embedded in zip(self.divisions, *parts, strict=True):
            query, key, value = (_to_patches(part, count, frames) for part in embedded)
            hidden = None if holes is None else _to_patches(holes, count, frames).mean(-1).unsqueeze(1) > 0.5
            attended = attend(query, key, value, hidden, fused=False)
            heads.append(_from_patches(attended, count, frames, size))
        out: Tensor = self.output_linear(torch.cat(heads, 1))
        return out


def _to_patches(x: Tensor, count: int, frames: int) -> Tensor:
    """``(B * T, C, h, w)`` as ``(B, T * count * count, patch)``; a patch holds all its numbers."""
    height, width = x.shape[2] // count, x.shape[3] // count
    x = x.permute(0, 2, 3, 1).reshape(-1, frames, count, height, count, width, x.shape[1])
    return x.permute(0, 1, 2, 4, 3, 5, 6).flatten(4).flatten(1, 3)


def _from_patches(tokens: Tensor, count: int, frames: int, size: tuple[int, int]) -> Tensor:
    """Undoes :func:`_to_patches`."""
    height, width = size[0] // count, size[1] // count
    x = tokens.reshape(tokens.shape[0] * frames, count, count, height, width, -1)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, *size, x.shape[-1]).permute(0, 3, 1, 2)


def _is_official(keys: set[str]) -> bool:
    return {"transformer.0.feed_forward.conv.0.weight", "encoder.0.weight", "decoder.0.conv.weight"} <= keys


_TABLE = "comparison table of E2FGVI (CVPR 2022), 432x240, stationary masks"

CARD = ModelCard(
    name="sttn",
    task="inpainting",
    build=STTN,
    summary="STTN: attention among patches of four sizes, over all frames jointly",
    paper="Zeng, Fu, Chao: Learning Joint Spatial-Temporal Transformations for Video Inpainting, ECCV 2020, "
    "https://arxiv.org/abs/2007.10247",
    tiny={"channel": 16, "stack_num": 2, "divisions": (1, 2)},
    licence="MIT",
    weights=(
        OfficialWeights(
            tag="youtubevos",
            filename="sttn.pth",
            licence="MIT",
            source="drive page linked from https://github.com/researchmm/STTN",
            trained_on="YouTube-VOS 2018",
        ),
    ),
    layouts=(CheckpointLayout("official", _is_official, dict),),
    published=(
        PublishedResult("inpainting_youtubevos", "psnr", 32.34, _TABLE),
        PublishedResult("inpainting_youtubevos", "ssim_uniform", 0.9655, _TABLE),
        PublishedResult("inpainting_youtubevos", "vfid", 0.053, _TABLE),
        PublishedResult("inpainting_davis", "psnr", 30.67, _TABLE),
        PublishedResult("inpainting_davis", "ssim_uniform", 0.9560, _TABLE),
        PublishedResult("inpainting_davis", "vfid", 0.149, _TABLE),
    ),
    proven=("parity", "official weights never seen"),
)
