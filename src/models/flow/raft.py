"""RAFT: recurrent all-pairs field transforms, the small and the large network.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020
(https://arxiv.org/abs/2003.12039). The networks are torchvision's, which compute what the official ones do;
official checkpoints are loaded by renaming their keys.

Kept from the official evaluation: images are padded by repeated edges to multiples of 8, centred
(``padding="sintel"``) or below only (``padding="kitti"``).

Different from it: images under 128 pixels are padded up to that, because the coarsest level of the correlation
pyramid needs two pixels; the computation stays in float32 under autocast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import check_images

_MULTIPLE, _MINIMUM = 8, 128


class RAFT(nn.Module):
    """torchvision's RAFT for RGB in [0, 1] of any size.

    Args:
        variant: ``"small"`` (990,162 parameters) or ``"large"`` (5,257,536).
        num_flow_updates: iterations; 12 in training, 32 (Sintel) or 24 (KITTI) in published evaluations.
        padding: where rows are added to reach a multiple of 8: ``"sintel"`` on both sides, ``"kitti"`` below.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        variant: Literal["small", "large"] = "large",
        num_flow_updates: int = 12,
        padding: Literal["sintel", "kitti"] = "sintel",
    ) -> None:
        super().__init__()
        if variant not in ("small", "large"):
            raise ConfigError(f"variant must be 'small' or 'large', got {variant!r}")
        if num_flow_updates < 1:
            raise ConfigError(f"num_flow_updates must be at least 1, got {num_flow_updates}")
        if padding not in ("sintel", "kitti"):
            raise ConfigError(f"padding must be 'sintel' or 'kitti', got {padding!r}")
        from torchvision.models import optical_flow

        build = optical_flow.raft_small if variant == "small" else optical_flow.raft_large
        self.network: Any = build(weights=None, progress=False)
        self.num_flow_updates = num_flow_updates
        self.padding = padding

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """The flow from ``image1`` to ``image2``.

        Args:
            image1, image2: ``(B, 3, H, W)`` RGB in [0, 1], any size.

        Returns:
            ``(B, 2, H, W)`` in pixels, float32.

        Raises:
            ValueError: shapes do not fit.
        """
        return self.final_flow(self.training_outputs(image1, image2))

    def training_outputs(self, image1: Tensor, image2: Tensor) -> list[Tensor]:
        """The flow ``(B, 2, H, W)`` after each iteration; arguments as for :meth:`forward`."""
        check_images(image1, image2)
        margins = self._margins(*image1.shape[2:])
        left, _, top, _ = margins
        rows, columns = slice(top, top + image1.shape[2]), slice(left, left + image1.shape[3])
        with torch.autocast(device_type=image1.device.type, enabled=False):
            first, second = (F.pad(image.float(), margins, mode="replicate") * 2 - 1 for image in (image1, image2))
            try:
                flows = self.network(first, second, num_flow_updates=self.num_flow_updates)
            finally:
                # torchvision leaves the pyramid there: memory, and a graph that keeps the network from being copied
                self.network.corr_block.corr_pyramid = []
        return [flow[..., rows, columns] for flow in flows]

    def final_flow(self, outputs: Sequence[Tensor]) -> Tensor:
        """The flow after the last iteration."""
        return outputs[-1]

    def _margins(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Rows and columns to add: left, right, above, below."""
        down, across = (max(_MINIMUM, size + -size % _MULTIPLE) - size for size in (height, width))
        above = down // 2 if self.padding == "sintel" else 0
        return across // 2, across - across // 2, above, down - above


def raft_small(num_flow_updates: int = 12, padding: Literal["sintel", "kitti"] = "sintel") -> RAFT:
    """RAFT-small; arguments as for :class:`RAFT`."""
    return RAFT("small", num_flow_updates, padding)


def raft_large(num_flow_updates: int = 12, padding: Literal["sintel", "kitti"] = "sintel") -> RAFT:
    """RAFT; arguments as for :class:`RAFT`."""
    return RAFT("large", num_flow_updates, padding)


# --- checkpoints

# applied one after the other, each to what the former made
_RENAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^fnet\.", "feature_encoder."),
        (r"^cnet\.", "context_encoder."),
        (r"_encoder\.conv1\.", "_encoder.convnormrelu.0."),
        (r"_encoder\.norm1\.", "_encoder.convnormrelu.1."),
        (r"_encoder\.conv2\.", "_encoder.conv."),
        (r"(_encoder\.layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
        (r"(_encoder\.layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
        (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
        (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
        (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
        (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
        (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
        (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
        (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
    )
)


def _rename(key: str) -> str:
    for pattern, name in _RENAMES:
        key = pattern.sub(name, key)
    return f"network.{key}"


def _from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # the official code registers the norm of a strided block twice: as norm3 and as downsample.1
    return {_rename(key): value for key, value in state.items() if ".norm3." not in key}


def _from_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"network.{key}": value for key, value in state.items()}


def _layouts(small: bool) -> tuple[CheckpointLayout, ...]:
    """Both variants have the same roots; the small one has bottlenecks with a third convolution."""

    def official(keys: set[str]) -> bool:
        return "update_block.gru.convz.weight" in keys if small else "update_block.gru.convz1.weight" in keys

    def torchvision(keys: set[str]) -> bool:
        known = {"feature_encoder.convnormrelu.0.weight", "update_block.recurrent_block.convgru1.convz.weight"} <= keys
        return known and ("update_block.recurrent_block.convgru2.convz.weight" in keys) != small

    return (
        CheckpointLayout("official princeton-vl", official, _from_official),
        CheckpointLayout("torchvision", torchvision, _from_torchvision),
    )


_PAPER = (
    "Teed, Deng: RAFT: Recurrent All-Pairs Field Transforms for Optical Flow, ECCV 2020, "
    "https://arxiv.org/abs/2003.12039"
)
_README = "https://github.com/princeton-vl/RAFT#demos"
_TABLE = "paper, table 1 (C+T)"
# of the authors' evaluation program
_SINTEL = {"num_flow_updates": 32}
_KITTI = {"num_flow_updates": 24, "padding": "kitti"}


def _torchvision_weights(tag: str, filename: str, trained_on: str) -> OfficialWeights:
    return OfficialWeights(
        tag=tag,
        filename=filename,
        licence="BSD-3-Clause",
        source="https://pytorch.org/vision/stable/models/raft.html",
        url=f"https://download.pytorch.org/models/{filename}",
        # the name of the file ends in the beginning of its digest
        sha256=filename.removesuffix(".pth")[-8:],
        trained_on=trained_on,
    )


def _official(tag: str, filename: str, trained_on: str, sha256: str | None = None) -> OfficialWeights:
    return OfficialWeights(
        tag=tag, filename=filename, licence="BSD-3-Clause", source=_README, sha256=sha256, trained_on=trained_on
    )


CARDS = (
    ModelCard(
        name="raft_small",
        task="flow",
        build=raft_small,
        summary="RAFT-small: all-pairs correlation, recurrent refinement",
        paper=_PAPER,
        tiny={"num_flow_updates": 2},
        licence="BSD-3-Clause (princeton-vl)",
        weights=(
            _torchvision_weights("C_T_V2", "raft_small_C_T_V2-01064c6d.pth", "FlyingChairs, FlyingThings3D"),
            _official(
                "small",
                "raft-small.pth",
                "FlyingChairs, FlyingThings3D",
                "c7d41b9cc88442bb8aa911dbb33086dac55a226394b142937ff22d5578717332",
            ),
        ),
        layouts=_layouts(small=True),
        published=(
            PublishedResult("sintel_clean", "epe", 2.21, _TABLE, "small", _SINTEL),
            PublishedResult("sintel_final", "epe", 3.35, _TABLE, "small", _SINTEL),
            PublishedResult("kitti2015", "epe", 7.51, _TABLE, "small", _KITTI),
            PublishedResult("kitti2015", "fl_all", 26.9, _TABLE, "small", _KITTI),
        ),
        proven=("parity",),
    ),
    ModelCard(
        name="raft_large",
        task="flow",
        build=raft_large,
        summary="RAFT: all-pairs correlation, recurrent refinement, convex upsampling",
        paper=_PAPER,
        tiny={"num_flow_updates": 2},
        licence="BSD-3-Clause (princeton-vl)",
        weights=(
            _torchvision_weights(
                "C_T_SKHT_V2",
                "raft_large_C_T_SKHT_V2-ff5fadd5.pth",
                "FlyingChairs, FlyingThings3D, then Sintel, KITTI, HD1K, FlyingThings3D",
            ),
            _torchvision_weights("C_T_V2", "raft_large_C_T_V2-1bb1363a.pth", "FlyingChairs, FlyingThings3D"),
            _official("things", "raft-things.pth", "FlyingChairs, FlyingThings3D"),
            _official("sintel", "raft-sintel.pth", "FlyingChairs, FlyingThings3D, then Sintel, KITTI, HD1K"),
            _official("kitti", "raft-kitti.pth", "FlyingChairs, FlyingThings3D, then KITTI"),
            _official("chairs", "raft-chairs.pth", "FlyingChairs"),
        ),
        layouts=_layouts(small=False),
        published=(
            PublishedResult("sintel_clean", "epe", 1.43, _TABLE, "things", _SINTEL),
            PublishedResult("sintel_final", "epe", 2.71, _TABLE, "things", _SINTEL),
            PublishedResult("kitti2015", "epe", 5.04, _TABLE, "things", _KITTI),
            PublishedResult("kitti2015", "fl_all", 17.4, _TABLE, "things", _KITTI),
        ),
        proven=("parity", "official weights never seen"),
    ),
)
