"""RIFE: real-time intermediate flow estimation, the middle (IFNet) and the any-time (IFNet_m) network.

Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022
(https://arxiv.org/abs/2011.06294), written from the structure of the official release. The parameters
have the names of the official checkpoints.

Kept from the official code, because published numbers depend on it:
    * the network works on BGR planes (converted inside; callers see RGB);
    * the blend mask enters the refinement net as logits, not as a probability;
    * the teacher's flow starts from the student's and is not cut off from it: the teacher's reconstruction
      loss also trains the student (only the distillation term detaches the teacher);
    * images are padded with zeros, below and to the right (``padding="replicate"`` gives cleaner edges).

Different from the official code:
    * frames of any size are accepted;
    * under autocast, flows and masks accumulate in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ...ops.warp import warp
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import InterpolationOutputs, check_frames, require_middle, timestep_column

_IMAGES = 6  # both input frames
_STATE = 7  # both warped frames and the mask logits
_FLOW = 4


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1), nn.PReLU(channels_out))


def _deconv(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1), nn.PReLU(channels_out))


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _layout(x: Tensor) -> Tensor:
    """``x`` in the memory order in which a CPU convolves about half again as fast; elsewhere unchanged."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class IFBlock(nn.Module):
    """One stage: estimates a correction of flow and mask at 1/(4 scale) of the resolution."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(
            _conv(channels_in, channels // 2, stride=2), _conv(channels // 2, channels, stride=2)
        )
        self.convblock = nn.Sequential(*(_conv(channels, channels) for _ in range(8)))
        self.lastconv = nn.ConvTranspose2d(channels, _FLOW + 1, 4, 2, 1)

    def forward(self, x: Tensor, flow: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
        """Corrections ``(B, 4, H, W)`` of the flow in pixels and ``(B, 1, H, W)`` of the mask logits."""
        x = _resize(x, 1 / scale)
        if flow is not None:
            x = torch.cat((x, _resize(flow, 1 / scale) / scale), 1)
        x = self.conv0(_layout(x))
        x = self.convblock(x) + x
        delta = self.lastconv(x)
        delta = _resize(delta.to(torch.promote_types(delta.dtype, torch.float32)), 2 * scale)
        return delta[:, :_FLOW] * (2 * scale), delta[:, _FLOW:]


class _ConvPair(nn.Module):
    """A 3x3 convolution with stride 2 followed by one with stride 1."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels_in, channels_out, stride=2)
        self.conv2 = _conv(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.conv2(self.conv1(x))
        return features


class ContextNet(nn.Module):
    """Features of one frame at 1/2, 1/4, 1/8 and 1/16, each warped to the intermediate time."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.conv1 = _ConvPair(3, channels)
        self.conv2 = _ConvPair(channels, 2 * channels)
        self.conv3 = _ConvPair(2 * channels, 4 * channels)
        self.conv4 = _ConvPair(4 * channels, 8 * channels)

    def forward(self, image: Tensor, flow: Tensor) -> list[Tensor]:
        """``image`` ``(B, 3, H, W)``, ``flow`` ``(B, 2, H, W)`` in pixels; four warped feature maps."""
        features = []
        x = _layout(image)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
            flow = _resize(flow, 0.5) * 0.5
            features.append(warp(x, flow))
        return features


class RefineNet(nn.Module):
    """U-Net that predicts a residual image from frames, warped frames, mask, flow and context features."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        c = channels
        self.down0 = _ConvPair(_IMAGES + _STATE + _FLOW, 2 * c)
        self.down1 = _ConvPair(4 * c, 4 * c)
        self.down2 = _ConvPair(8 * c, 8 * c)
        self.down3 = _ConvPair(16 * c, 16 * c)
        self.up0 = _deconv(32 * c, 8 * c)
        self.up1 = _deconv(16 * c, 4 * c)
        self.up2 = _deconv(8 * c, 2 * c)
        self.up3 = _deconv(4 * c, c)
        self.conv = nn.Conv2d(c, 3, 3, 1, 1)

    def forward(self, x: Tensor, context0: list[Tensor], context1: list[Tensor]) -> Tensor:
        """``x`` ``(B, 17, H, W)``; the residual ``(B, 3, H, W)`` in [-1, 1]."""
        s0 = self.down0(_layout(x))
        s1 = self.down1(torch.cat((s0, context0[0], context1[0]), 1))
        s2 = self.down2(torch.cat((s1, context0[1], context1[1]), 1))
        s3 = self.down3(torch.cat((s2, context0[2], context1[2]), 1))
        x = self.up0(torch.cat((s3, context0[3], context1[3]), 1))
        x = self.up1(torch.cat((x, s2), 1))
        x = self.up2(torch.cat((x, s1), 1))
        x = self.up3(torch.cat((x, s0), 1))
        residual = self.conv(x)
        return torch.sigmoid(residual.to(torch.promote_types(residual.dtype, torch.float32))) * 2 - 1


class IFNet(nn.Module):
    """RIFE for the middle frame (official class ``IFNet``, 10,708,215 parameters with the defaults).

    Args:
        channels: width of each stage, coarse to fine; the teacher has the width of the last. Even numbers.
        scales: the factor by which each stage reduces its input, coarse to fine; powers of two.
        refine: with the context and refinement nets. Without them the result is the blend of the last stage.
        refine_channels: their base width.
        teacher: with the privileged teacher stage, used in training only.
        padding: how frames are padded to a multiple of 32: ``"zeros"`` (official) or ``"replicate"``.
        tta: test-time augmentation: the mean with the result of the frames flipped along both axes.
        scale: resolution of flow estimation relative to the frames (0.5 for 4K, as the official program).

    Raises:
        ConfigError: an option out of range.
    """

    any_timestep = False

    def __init__(
        self,
        channels: Sequence[int] = (240, 150, 90),
        scales: Sequence[float] = (4, 2, 1),
        refine: bool = True,
        refine_channels: int = 16,
        teacher: bool = True,
        padding: Literal["zeros", "replicate"] = "zeros",
        tta: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        _check_options(channels, scales, refine_channels, padding, scale)
        self.scales = tuple(float(s) / scale for s in scales)
        self.padding = padding
        self.tta = tta
        # strides of the stages (4 x scale) and of the refinement net
        self.stride = int(max(16 if refine else 4, *(4 * s for s in self.scales)))
        self.padding_multiple = max(32, self.stride, round(32 / scale))
        extra = 1 if self.any_timestep else 0
        self.block_names = tuple(f"block{i}" for i in range(len(channels)))
        for i, (name, width) in enumerate(zip(self.block_names, channels, strict=True)):
            self.add_module(name, IFBlock(_IMAGES + extra + (_STATE + _FLOW if i else 0), width))
        self.block_tea = IFBlock(_IMAGES + extra + _STATE + 3 + _FLOW, channels[-1]) if teacher else None
        self.contextnet = ContextNet(refine_channels) if refine else None
        self.unet = RefineNet(refine_channels) if refine else None

    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        """The frame between two frames.

        Args:
            image0: ``(B, 3, H, W)`` RGB in [0, 1], any size.
            image1: the later frame, of the same shape.
            timestep: must be 0.5, as a number or a ``(B,)`` tensor.

        Returns:
            ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: shapes do not fit, or another ``timestep``.
        """
        check_frames(image0, image1)
        time = self._time(timestep, image0)
        (first, crop), (second, _) = (
            pad_to_multiple(i.flip(1), self.padding_multiple, self.padding) for i in (image0, image1)
        )
        frame = self._run(first, second, None, time).prediction
        if self.tta:
            flipped = self._run(first.flip((2, 3)), second.flip((2, 3)), None, time).prediction
            frame = (frame + flipped.flip((2, 3))) / 2
        return crop(frame).flip(1)

    def training_outputs(
        self, image0: Tensor, image1: Tensor, target: Tensor, timestep: float | Tensor = 0.5
    ) -> InterpolationOutputs:
        """All that the losses need. Sizes that are multiples of 16 (default scales) are not padded.

        Args:
            image0, image1, target: ``(B, 3, H, W)`` RGB in [0, 1]. Only the teacher sees ``target``.
            timestep: a number or a ``(B,)`` tensor; 0.5 for a network of the middle.

        Raises:
            ValueError: shapes do not fit, or a ``timestep`` that the network cannot serve.
        """
        check_frames(image0, image1, target)
        time = self._time(timestep, image0)
        (first, crop), (second, _), (truth, _) = (
            pad_to_multiple(i.flip(1), self.stride, self.padding) for i in (image0, image1, target)
        )
        out = self._run(first, second, truth if self.block_tea is not None else None, time)
        teacher = out.teacher_prediction
        return InterpolationOutputs(
            prediction=crop(out.prediction).flip(1),
            predictions=tuple(crop(p).flip(1) for p in out.predictions),
            flows=tuple(crop(f) for f in out.flows),
            masks=tuple(crop(m) for m in out.masks),
            teacher_prediction=None if teacher is None else crop(teacher).flip(1),
            teacher_flow=None if out.teacher_flow is None else crop(out.teacher_flow),
        )

    def _time(self, timestep: float | Tensor, image: Tensor) -> Tensor | None:
        if self.any_timestep:
            return timestep_column(timestep, image)
        require_middle(timestep, "rife")
        return None

    def _run(self, image0: Tensor, image1: Tensor, target: Tensor | None, time: Tensor | None) -> InterpolationOutputs:
        """The network on padded BGR frames; the teacher runs where ``target`` is given."""
        frames = torch.cat((image0, image1), 1)
        constant = frames
        if time is not None:
            constant = torch.cat((frames, time.expand(-1, 1, *frames.shape[2:])), 1)
        flow: Tensor | None = None
        logits, state = frames.new_zeros(()), frames
        predictions, flows, masks = [], [], []
        for name, scale in zip(self.block_names, self.scales, strict=True):
            block = self.get_submodule(name)
            if flow is None:
                flow, logits = block(constant, None, scale)
            else:
                flow_delta, logits_delta = block(torch.cat((constant, state), 1), flow, scale)
                flow, logits = flow + flow_delta, logits + logits_delta
            warped = _warp_both(image0, image1, flow)
            state = torch.cat((*warped, logits), 1)
            mask = torch.sigmoid(logits)
            predictions.append(_blend(*warped, mask))
            flows.append(flow)
            masks.append(mask)
        assert flow is not None
        teacher_prediction = teacher_flow = None
        if target is not None and self.block_tea is not None:
            flow_delta, logits_delta = self.block_tea(torch.cat((constant, state, target), 1), flow, self.scales[-1])
            teacher_flow = flow + flow_delta
            mask = torch.sigmoid(logits + logits_delta)
            teacher_prediction = _blend(*_warp_both(image0, image1, teacher_flow), mask)
        prediction = predictions[-1]
        if self.unet is not None and self.contextnet is not None:
            residual = self.unet(
                torch.cat((frames, state, flow), 1),
                self.contextnet(image0, flow[:, :2]),
                self.contextnet(image1, flow[:, 2:]),
            )
            prediction = (prediction + residual).clamp(0, 1)
        return InterpolationOutputs(
            prediction, tuple(predictions), tuple(flows), tuple(masks), teacher_prediction, teacher_flow
        )


class IFNetM(IFNet):
    """RIFEm, the same network for any time (official class ``IFNet_m``, 10,710,780 parameters).

    The time enters every stage as one more input plane. Options as for :class:`IFNet`; ``timestep`` may be
    any number in [0, 1] or a ``(B,)`` tensor of them.
    """

    any_timestep = True


def _warp_both(image0: Tensor, image1: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return warp(image0, flow[:, :2]), warp(image1, flow[:, 2:])


def _blend(warped0: Tensor, warped1: Tensor, mask: Tensor) -> Tensor:
    return warped0 * mask + warped1 * (1 - mask)


def _check_options(
    channels: Sequence[int], scales: Sequence[float], refine_channels: int, padding: str, scale: float
) -> None:
    if not channels or any(c < 2 or c % 2 for c in channels):
        raise ConfigError(f"channels must be even numbers of at least 2, one per stage, got {list(channels)}")
    if len(scales) != len(channels):
        raise ConfigError(f"scales needs one number per stage ({len(channels)}), got {list(scales)}")
    if any(s <= 0 or not math.log2(s).is_integer() for s in (*scales, scale)):
        raise ConfigError(f"scales and scale must be powers of two, got scales={list(scales)}, scale={scale}")
    if refine_channels < 1:
        raise ConfigError(f"refine_channels must be at least 1, got {refine_channels}")
    if padding not in ("zeros", "replicate"):
        raise ConfigError(f"padding must be 'zeros' or 'replicate', got {padding!r}")


_PAPER = (
    "Huang, Zhang, Heng, Shi, Zhou: Real-Time Intermediate Flow Estimation for Video Frame Interpolation, "
    "ECCV 2022, https://arxiv.org/abs/2011.06294"
)
_README = "README of github.com/hzwer/ECCV2022-RIFE at 5d8adbd, section Evaluation"
_SOURCE = "https://github.com/hzwer/ECCV2022-RIFE#evaluation"
_TINY = {"channels": (8, 6, 4), "refine_channels": 2}


def _identity(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(state)


def _is_flownet(keys: set[str]) -> bool:
    return {"block0.conv0.0.0.weight", "block0.convblock.7.1.weight", "block0.lastconv.weight"} <= keys


_LAYOUTS = (CheckpointLayout("official flownet.pkl", matches=_is_flownet, convert=_identity),)


def _card(
    name: str,
    build: Callable[..., nn.Module],
    summary: str,
    trained_on: str,
    published: tuple[PublishedResult, ...],
) -> ModelCard:
    return ModelCard(
        name=name,
        task="interpolation",
        build=build,
        summary=summary,
        paper=_PAPER,
        tiny=_TINY,
        licence="MIT (Megvii Inc.)",
        weights=(
            OfficialWeights(tag="paper", filename="flownet.pkl", licence="MIT", source=_SOURCE, trained_on=trained_on),
        ),
        layouts=_LAYOUTS,
        published=published,
        proven=("parity", "official weights never seen"),
    )


CARDS = (
    _card(
        "rife",
        IFNet,
        "middle frame by coarse-to-fine intermediate flow, fusion mask and refinement",
        "Vimeo90K triplets",
        (
            PublishedResult("ucf101", "psnr", 35.282, _README),
            PublishedResult("ucf101", "ssim_rife", 0.9688, _README),
            PublishedResult("vimeo90k", "psnr", 35.615, _README),
            PublishedResult("vimeo90k", "ssim_rife", 0.9779, _README),
            PublishedResult("middlebury_other", "interpolation_error", 1.956, _README),
            PublishedResult("hd", "psnr_y", 32.14, _README),
        ),
    ),
    _card(
        "rife_m",
        IFNetM,
        "RIFE with the time as an input: any frame between two frames",
        "Vimeo90K septuplets",
        (
            PublishedResult("hd_4x_544p", "psnr_y", 22.96, _README),
            PublishedResult("hd_4x_720p", "psnr_y", 31.87, _README),
            PublishedResult("hd_4x_1080p", "psnr_y", 34.25, _README),
        ),
    ),
)
