"""``rgan``: a recurrent generator that takes the style of a reference clip, trained as Recycle-GAN is.

An extension of Recycle-GAN (Bansal et al., ECCV 2018, https://arxiv.org/abs/1808.05174) that is nobody's published
network: no number of a paper belongs to it. From Recycle-GAN are the encoder, the residual blocks and the training with
predictors (recycle and prediction terms). Added are

* a reference: adaptive instance normalisation (Huang and Belongie, ICCV 2017) by scales and shifts that a style encoder
  makes of the reference, in the residual blocks and in the decoder, whose plain instance normalisation would take the
  colours away again. So one generator serves both directions and any number of styles;
* a memory: a convolutional GRU over half of the channels at the bottleneck, as in Robust Video Matting (Lin et al.,
  WACV 2022). Whoever runs the network hands its state on, and none at the first frame and after a cut;
* in the decoder, enlargement before convolutions in place of transposed ones, and the encoder's full-size maps, so that
  a small network keeps what is in the picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ...ops.warp import warp
from ..card import ModelCard
from ..layers.conv_gru import ConvGRU
from .adversaries import NetP, UnetPredictor, init_weights
from .contract import StyledVideo, check_video, reference_clip

_LARGEST_REFERENCE = 512
_WINDOW = 3  # frames that the temporal discriminators see at once


class StyleEncoder(nn.Module):
    """Five convolutions, means and deviations over places, two linear layers; frames of a clip are averaged.

    Args:
        ngf: channels of the first convolution.
        outputs: numbers that describe a style.
    """

    def __init__(self, ngf: int, outputs: int) -> None:
        super().__init__()
        widths = [3, ngf, 2 * ngf, 4 * ngf, 4 * ngf, 4 * ngf]
        layers: list[nn.Module] = []
        for place, (inner, outer) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv2d(inner, outer, 3, 1 if place == 0 else 2, 1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(8 * ngf, 8 * ngf), nn.ReLU(), nn.Linear(8 * ngf, outputs))

    def forward(self, clip: Tensor) -> Tensor:
        """Clips ``(B, S, 3, h, w)`` in [0, 1], of any size -> ``(B, outputs)``."""
        frames = clip.flatten(0, 1)
        longest = max(frames.shape[-2:])
        if longest > _LARGEST_REFERENCE:
            size = [max(1, round(side * _LARGEST_REFERENCE / longest)) for side in frames.shape[-2:]]
            frames = F.interpolate(frames, size, mode="bilinear", antialias=True, align_corners=False)
        maps = self.convolutions(frames * 2 - 1)
        deviation = (maps.var((2, 3), correction=0) + 1e-5).sqrt()
        per_frame = torch.cat((maps.mean((2, 3)), deviation), 1)
        found: Tensor = self.head(torch.unflatten(per_frame, 0, clip.shape[:2]).mean(1))
        return found


class _Modulated(nn.Module):
    """A convolution whose result gets the style's mean and deviation."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.channels = outer
        self.convolution = nn.Conv2d(inner, outer, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = style[..., None, None].chunk(2, 1)
        return F.instance_norm(self.convolution(x)) * (1 + scale) + shift


class _ModulatedBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _Modulated(width, width), _Modulated(width, width)

    def forward(self, x: Tensor, one: Tensor, two: Tensor) -> Tensor:
        changed: Tensor = self.second(F.relu(self.first(x, one)), two)
        return x + changed


class RGAN(nn.Module):
    """A generator for any two domains, and the predictor that it is trained with.

    Args:
        n_blocks: residual blocks.
        ngf: channels of the first convolution; the bottleneck has four times as many.
        recurrent: with memory; False leaves the ConvGRU out, and frames are independent of each other.
        netP: the predictor of the next frame, for training; None: none, and no recycle and prediction terms.
        npf: channels of the predictor's first convolution.

    Raises:
        ConfigError: an option out of range.
    """

    takes_reference = True
    #: the domain that each discriminator judges: single frames, or three at once
    judges: Mapping[str, str] = {"frame": "b", "temporal": "b", "frame_a": "a", "temporal_a": "a"}

    def __init__(
        self, n_blocks: int = 6, ngf: int = 64, recurrent: bool = True, netP: NetP | None = None, npf: int = 64
    ) -> None:
        super().__init__()
        if n_blocks < 0 or ngf < 1:
            raise ConfigError(f"n_blocks must not be negative and ngf at least 1, got {n_blocks} and {ngf}")
        self.recurrent = recurrent
        self.entry = nn.Conv2d(3, ngf, 7, padding=3, padding_mode="reflect")
        self.down1 = nn.Conv2d(ngf, 2 * ngf, 3, 2, 1)
        self.down2 = nn.Conv2d(2 * ngf, 4 * ngf, 3, 2, 1)
        self.blocks = nn.ModuleList(_ModulatedBlock(4 * ngf) for _ in range(n_blocks))
        self.up1, self.up2 = _Modulated(4 * ngf, 2 * ngf), _Modulated(2 * ngf, ngf)
        self.joint = _Modulated(2 * ngf, ngf)
        self.out = nn.Conv2d(ngf, 3, 7, padding=3, padding_mode="reflect")
        self._parts = [2 * part.channels for part in self.modules() if isinstance(part, _Modulated)]
        init_weights(self)
        self.style = StyleEncoder(ngf, sum(self._parts))
        if recurrent:
            self.memory = ConvGRU(2 * ngf)
        self.P = None if netP is None else UnetPredictor(netP, npf)

    def forward(
        self, video: Tensor, reference: Tensor | None = None, state: tuple[Tensor, ...] | None = None
    ) -> StyledVideo:
        """The video in the style of the reference.

        Args:
            video: ``(B, T, 3, H, W)`` RGB in [0, 1], at least 8x8.
            reference: ``(B, 3, h, w)`` or ``(B, S, 3, h, w)`` RGB in [0, 1], of any size.
            state: of the frames before; it replaces the reference. None at the beginning, and after a cut.

        Raises:
            ValueError: another shape, neither reference nor state, or a state of frames of another size.
        """
        check_video(video)
        if min(video.shape[-2:]) < 8:
            raise ValueError(f"rgan needs frames of at least 8x8 pixels, got {video.shape[-2]}x{video.shape[-1]}")
        if state is None:
            if reference is None:
                raise ValueError("rgan needs a reference with the first frames: an image (B, 3, h, w) or a clip")
            state = (self.style(reference_clip(reference, video.shape[0])),)
        style, memory = state[0], state[1] if len(state) > 1 else None
        batch, length = video.shape[:2]
        frames, crop = pad_to_multiple(video.flatten(0, 1), 4)
        full, maps = self._encode(frames, self._shares(style.repeat_interleave(length, 0)))
        if self.recurrent:
            maps, memory = self._remember(torch.unflatten(maps, 0, (batch, length)), memory)
            maps = maps.flatten(0, 1)
        made = self._decode(full, maps, self._shares(style.repeat_interleave(length, 0)))
        styled = torch.unflatten(crop(made), 0, (batch, length))
        return StyledVideo(styled, (style,) if memory is None else (style, memory))

    def _shares(self, style: Tensor) -> tuple[Tensor, ...]:
        """What of the style belongs to each modulated convolution."""
        return torch.split(style, self._parts, 1)

    def _encode(self, frames: Tensor, shares: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        full = F.relu(F.instance_norm(self.entry(frames * 2 - 1)))
        maps = F.relu(F.instance_norm(self.down1(full)))
        maps = F.relu(F.instance_norm(self.down2(maps)))
        for place, block in enumerate(self.blocks):
            maps = block(maps, shares[2 * place], shares[2 * place + 1])
        return full, maps

    def _remember(self, maps: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        free, kept = maps.chunk(2, 2)
        if memory is not None and memory.shape != kept[:, 0].shape:
            raise ValueError(
                f"the state belongs to maps of {tuple(memory.shape)}, the frames have {tuple(kept[:, 0].shape)}: begin "
                "anew (state=None) where the size of the frames changes"
            )
        kept, memory = self.memory(kept, memory)
        return torch.cat((free, kept), 2), memory

    def _decode(self, full: Tensor, maps: Tensor, shares: tuple[Tensor, ...]) -> Tensor:
        one, two, three = shares[-3:]
        maps = F.relu(self.up1(F.interpolate(maps, scale_factor=2), one))
        maps = F.relu(self.up2(F.interpolate(maps, scale_factor=2), two))
        maps = F.relu(self.joint(torch.cat((maps, full), 1), three))
        return (torch.tanh(self.out(maps)) + 1) / 2

    # --- training

    def training_outputs(
        self, a: Tensor, b: Tensor, wanted: Collection[str] = (), motion: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What the losses ask for, of two clips that do not belong together.

        Args:
            a, b: ``(B, T, 3, H, W)`` in [0, 1].
            wanted: names of outputs; what they do not need is not computed.
            motion: ``(B, 2, H, W)``, for ``moved_b``.

        Returns:
            Clips in [0, 1], of each domain X: ``fake_x`` ``(B, T, 3, H, W)``, the other clip in the style of X;
            ``cycle_x``, clip X to the other style and back; ``identity_x``, clip X in its own style; ``predicted_x``
            ``(B, T - 2, 3, H, W)``, each frame of X but the first two, predicted from the two before; ``recycled_x``,
            the same predicted in the other style and translated back. ``moved_b`` ``(B, 3, H, W)`` is what follows
            ``fake_b`` when the last frame of ``a`` is moved, and ``motion`` the flow from it to that frame.

        Raises:
            ConfigError: an output needs the predictor, and there is none.
            ValueError: clips too short for the outputs.
        """
        clips = {"a": a, "b": b}
        outputs: dict[str, Tensor] = {}
        for own, other in (("a", "b"), ("b", "a")):
            real, guide = clips[own], clips[other]
            onward = {f"cycle_{own}", f"recycled_{own}", f"fake_{other}"} | ({"moved_b"} if own == "a" else set())
            if onward & set(wanted):
                outputs |= self._there(real, guide, other, motion if "moved_b" in wanted and own == "a" else None)
            if f"cycle_{own}" in wanted:
                outputs[f"cycle_{own}"] = self(outputs[f"fake_{other}"], real).video
            if f"identity_{own}" in wanted:
                outputs[f"identity_{own}"] = self(real, real).video
            if f"predicted_{own}" in wanted:
                outputs[f"predicted_{own}"] = self._predict(real)
            if f"recycled_{own}" in wanted:
                outputs[f"recycled_{own}"] = self(self._predict(outputs[f"fake_{other}"]), real).video
        return outputs

    def _there(self, real: Tensor, guide: Tensor, name: str, motion: Tensor | None) -> dict[str, Tensor]:
        if motion is None:
            return {f"fake_{name}": self(real, guide).video}
        # one frame more than there are, so that the memory holds what came before
        moved = warp(real[:, -1], motion)
        made = self(torch.cat((real, moved[:, None]), 1), guide).video
        return {f"fake_{name}": made[:, :-1], f"moved_{name}": made[:, -1], "motion": motion}

    def _predict(self, clip: Tensor) -> Tensor:
        if self.P is None:
            raise ConfigError("the recycle and prediction terms need a predictor: model.netP=unet_128, or unet_32")
        if clip.shape[1] < 3:
            raise ValueError(f"the recycle and prediction terms need clips of 3 frames or more, got {clip.shape[1]}")
        pairs = torch.stack((clip[:, :-2], clip[:, 1:-1]), 2)
        return torch.unflatten(self.P(pairs.flatten(0, 1)), 0, pairs.shape[:2])

    def judged(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """Real and made samples for a discriminator of :attr:`judges`.

        Returns:
            Frames ``(N, 3, H, W)``, or for temporal ones three consecutive frames, stacked: ``(N, 9, H, W)``.

        Raises:
            ValueError: a temporal discriminator and clips of fewer than three frames.
        """
        domain = self.judges[name]
        real, made = batch[domain], outputs[f"fake_{domain}"]
        if name.startswith("temporal"):
            return _windows(real), _windows(made)
        return real.flatten(0, 1), made.flatten(0, 1)


def _windows(clip: Tensor) -> Tensor:
    if clip.shape[1] < _WINDOW:
        raise ValueError(f"a temporal discriminator needs clips of {_WINDOW} frames or more, got {clip.shape[1]}")
    count = clip.shape[1] - _WINDOW + 1
    windows = torch.stack([clip[:, place : place + count] for place in range(_WINDOW)], 2)
    return windows.flatten(0, 1).flatten(1, 2)


CARD = ModelCard(
    name="rgan",
    task="style",
    build=RGAN,
    summary="recurrent generator in the style of a reference clip: Recycle-GAN with AdaIN and a ConvGRU",
    paper="our extension of Recycle-GAN (Bansal, Ma, Ramanan, Sheikh, ECCV 2018, https://arxiv.org/abs/1808.05174); "
    "no paper describes it",
    tiny={"ngf": 4, "n_blocks": 1, "netP": "unet_32", "npf": 2},
    recurrent=True,
    proven=("trained here",),
)
