"""Warp error: how much a video flickers along the motion of its ground truth (Lai et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from ..models.flow import video_flow
from ..models.registry import create_model, get_card, model_info
from ..ops.occlusion import occluded
from ..ops.warp import warp
from .base import VideoMetric
from .pair import Tensors, VideoPair

SOURCES = ("raft_small", "raft_large", "pwcnet", "farneback", "dis", "precomputed")

_PIXELS_AT_ONCE = 2**20


class WarpError(VideoMetric):
    """Mean squared difference of each frame to the next one brought back by the flow of the *ground truth*.

    The error of a pair is ``mean over visible pixels and colours of (I_t - warp(I_t+1, F_t))^2``, I in [0, 1],
    F the flow of the ground truth from t to t + 1; visible are pixels outside :func:`framewright.ops.occluded`.
    Beyond the frame the warp repeats its edge. Papers print the mean over pairs, then over videos, times 100
    (E2FGVI) or 1000 (ProPainter), measured with FlowNet2: values of another flow, named by ``source``, must not
    be compared with theirs. Even the ground truth has a warp error; give it beside those of methods.

    Args:
        source: where the flow comes from: ``"raft_small"``, ``"raft_large"``, ``"pwcnet"``, ``"farneback"``,
            ``"dis"``, or ``"precomputed"``: ``flow`` and either ``flow_backward`` or ``occlusion`` (1 = hidden) that
            the data set brings.
        convention: a pair without a pixel that counts has the error 0 (``"lai"``) or is skipped (``"devil"``).
        weights: of the flow network: a tag or a path; None for the first official ones of its card.
        step: 10 for the long-term error of papers on style transfer: only every tenth frame is looked at.

    Raises:
        ConfigError: an unknown source or convention, weights for a source that has none, or a step that is not 1 for
            precomputed flow.
        WeightsError: the weights cannot be had.
    """

    simple = True
    higher_is_better = False
    decimals = 6
    items = "pair"
    minimum_frames = 2
    _prefix: ClassVar[str] = "warp_error"

    def __init__(
        self,
        source: str = "raft_small",
        convention: Literal["lai", "devil"] = "lai",
        weights: str | None = None,
        step: int = 1,
    ) -> None:
        super().__init__()
        if step < 1 or (step > 1 and source == "precomputed"):
            raise ConfigError(f"step must be at least 1, and 1 for precomputed flow, got {step}")
        self.step, self.minimum_frames = step, step + 1
        if source not in SOURCES:
            raise ConfigError(f"source must be one of {', '.join(SOURCES)}, got {source!r}")
        if convention not in ("lai", "devil"):
            raise ConfigError(f"convention must be 'lai' or 'devil', got {convention!r}")
        self.source, self.convention = source, convention
        self.key = f"{self._prefix}_{source}"
        # in a list, because a frozen network is no part of a model that holds this metric
        self._network: list[nn.Module] = [] if source == "precomputed" else [_create(source, weights)]
        self.weights_sha256 = model_info(self._network[0]).weights_sha256 if self._network else None
        if source == "precomputed" and weights is not None:
            raise ConfigError("the source 'precomputed' has no weights")

    def values(self, pair: VideoPair) -> Tensor:
        """The error of each pair of frames ``(T - 1,)`` float64; NaN for a pair that is skipped.

        Raises:
            ValueError: too few frames, no mask where one is needed, or no precomputed flow.
        """
        self.check(pair)
        motion = self._motion(pair)
        prediction = pair.prediction[:: self.step]
        pairs, _, height, width = motion["flow"].shape
        device = pair.prediction.device
        # what a processor works on should stay in its cache
        step = 1 if device.type == "cpu" else max(1, _PIXELS_AT_ONCE // (height * width))
        values = []
        with torch.no_grad(), torch.autocast(device_type=device.type, enabled=False):
            for start in range(0, pairs, step):
                stop = min(pairs, start + step)
                flow = motion["flow"][start:stop].to(device)
                counted = ~_unpack(motion["occlusion"][start:stop].to(device), height, width)
                frames = prediction[start : stop + 1].float()
                error = warp(frames[1:], flow).sub_(frames[:-1]).square_().sum(1, keepdim=True)
                if self.needs_mask:
                    assert pair.mask is not None
                    counted &= _near_hole(pair.mask[start : stop + 1], flow)
                values.append(self._mean(error, counted))
        return torch.cat(values)

    def prepare(self, pair: VideoPair) -> None:
        """The flow of the ground truth."""
        self._motion(pair)

    def _motion(self, pair: VideoPair) -> Tensors:
        return self._precomputed(pair) if self.source == "precomputed" else self._estimated(pair)

    def _mean(self, error: Tensor, counted: Tensor) -> Tensor:
        number = counted.sum((1, 2, 3))
        total = torch.where(counted, error, 0).sum((1, 2, 3), dtype=torch.float64) / 3
        return total / (number.clamp(min=1) if self.convention == "lai" else number)

    def _estimated(self, pair: VideoPair) -> Tensors:
        """Flow and occlusion of the ground truth, once for all methods, and for both variants."""
        network = self._network[0]
        info = model_info(network)
        identity: Mapping[str, Any] = {"weights": info.weights_sha256, "options": dict(info.options)}

        def compute() -> Tensors:
            network.to(pair.target.device)
            frames = pair.target[:: self.step]
            return _motion(video_flow(network, frames), video_flow(network, frames, backward=True))

        # float32: half precision moves the masked error by 4e-4 of a pair, 6e-5 of a video (motion of 12 pixels)
        name = f"flow_{self.source}" + ("" if self.step == 1 else f"_{self.step}")
        return pair.truth.get(name, identity, compute, keep=True)

    def _precomputed(self, pair: VideoPair) -> Tensors:
        flow = _given(pair, "flow", 2)
        if "occlusion" in pair.given:
            return {"flow": flow, "occlusion": _pack(_given(pair, "occlusion", 1) > 0)}
        if "flow_backward" not in pair.given:
            of = f" of the video {pair.video_id!r}" if pair.video_id else ""
            raise ValueError(f"{self.key} needs the precomputed 'flow_backward' or 'occlusion'{of}")
        backward = _given(pair, "flow_backward", 2)
        return pair.truth.get("flow_precomputed", {}, lambda: _motion(flow, backward))


class WarpErrorMask(WarpError):
    """:class:`WarpError` where something was filled in: pixels in the hole at t, or led into the hole at t + 1.

    The ``warp_error_mask`` of DEVIL (Szeto and Corso, CVPR 2022). Pixels that are visible and lie in the hole of
    their frame, or take part of their value from the hole of the next one, count; by default a pair without such
    pixels is skipped. Arguments as for :class:`WarpError`.
    """

    needs_mask = True
    _prefix = "warp_error_mask"

    def __init__(
        self,
        source: str = "raft_small",
        convention: Literal["lai", "devil"] = "devil",
        weights: str | None = None,
    ) -> None:
        super().__init__(source, convention, weights)


def _create(source: str, weights: str | None) -> nn.Module:
    card = get_card(source)
    if card.baseline:
        if weights is not None:
            raise ConfigError(f"the source {source!r} has no weights")
        return create_model(source)
    return create_model(source, weights or card.weights[0].tag).requires_grad_(False)


def _motion(forward: Tensor, backward: Tensor) -> Tensors:
    """Flow ``(T - 1, 2, H, W)`` and packed occlusion, pair by pair because the test needs double precision."""
    hidden = [_pack(occluded(f[None], b[None])) for f, b in zip(forward, backward, strict=True)]
    return {"flow": forward.float().cpu(), "occlusion": torch.cat(hidden).cpu()}


def _given(pair: VideoPair, name: str, channels: int) -> Tensor:
    of = f" of the video {pair.video_id!r}" if pair.video_id else ""
    expected = (len(pair) - 1, channels, *pair.target.shape[2:])
    found = pair.given.get(name)
    if found is None:
        raise ValueError(f"the precomputed {name!r}{of} is missing; expected {expected}")
    if tuple(found.shape) != expected:
        raise ValueError(f"the precomputed {name!r}{of} is {tuple(found.shape)}, expected {expected}")
    return found


def _near_hole(mask: Tensor, flow: Tensor) -> Tensor:
    """``(N, 1, H, W)``: in the hole of a frame, or with a share of the hole of the next one.

    Positions are computed without normalisation: a rounding error would give a pixel that ends exactly beside a
    hole a share of it.

    Args:
        mask: ``(N + 1, 1, H, W)``, 1 = hole.
        flow: ``(N, 2, H, W)`` in pixels.
    """
    count, _, height, width = flow.shape
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device).unsqueeze(1) + flow[:, 1]
    left, top = x.floor(), y.floor()
    following = mask[1:].reshape(count, -1) > 0
    result = mask[:-1] > 0
    for column, in_x in ((left, x - left < 1), (left + 1, x > left)):
        for row, in_y in ((top, y - top < 1), (top + 1, y > top)):
            index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            hit = following.gather(1, index.long().reshape(count, -1)).view(count, height, width)
            result = result | (hit & in_x & in_y).unsqueeze(1)
    return result


def _pack(mask: Tensor) -> Tensor:
    """A boolean ``(N, 1, H, W)`` as bits ``(N, ceil(H W / 8))`` uint8."""
    values = mask.flatten(1).to(torch.uint8)
    bits = F.pad(values, (0, -values.shape[1] % 8)).view(len(values), -1, 8)
    shifts = torch.arange(8, dtype=torch.uint8, device=mask.device)
    return (bits << shifts).sum(2, dtype=torch.uint8)


def _unpack(bits: Tensor, height: int, width: int) -> Tensor:
    """The boolean ``(N, 1, H, W)`` of :func:`_pack`."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    values = torch.bitwise_and(bits.unsqueeze(2) >> shifts, 1).flatten(1)
    return values[:, : height * width].bool().view(-1, 1, height, width)
