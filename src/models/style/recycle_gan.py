"""Recycle-GAN: two unpaired domains of video, tied together by space and time.

Bansal, Ma, Ramanan and Sheikh, "Recycle-GAN: Unsupervised Video Retargeting", ECCV 2018
(https://arxiv.org/abs/1808.05174). Generators (``ResnetGenerator``), predictors (``UnetGenerator``) and discriminators
(``NLayerDiscriminator``) are those of the official code, which has them from CycleGAN; parameters have its names.

Deviation: sizes that are no multiples of 4 (generator) or of 128 and 256 (predictors) are allowed; the generator's
result is cut, the predictor's input is padded by repeating the edge.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import CheckpointLayout, ModelCard
from .adversaries import NetP, UnetPredictor, init_weights
from .contract import FrameStyle, StyledVideo, check_video

Direction = Literal["ab", "ba"]


class _ResnetBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(dim, dim, 3),
            nn.InstanceNorm2d(dim),
            nn.ReLU(True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(dim, dim, 3),
            nn.InstanceNorm2d(dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv_block(x)
        return x + changed


class ResnetGenerator(FrameStyle):
    """Two halvings, residual blocks, two doublings (7,837,699 parameters with 6 blocks, 11,378,179 with 9).

    Args:
        n_blocks: residual blocks.
        ngf: channels of the first convolution.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, n_blocks: int = 6, ngf: int = 64) -> None:
        super().__init__()
        if n_blocks < 0 or ngf < 1:
            raise ConfigError(f"n_blocks must not be negative and ngf at least 1, got {n_blocks} and {ngf}")
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7), nn.InstanceNorm2d(ngf), nn.ReLU(True)]
        for width in (ngf, 2 * ngf):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU(True)]
        layers += [_ResnetBlock(4 * ngf) for _ in range(n_blocks)]
        for width in (4 * ngf, 2 * ngf):
            layers.append(nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1))
            layers += [nn.InstanceNorm2d(width // 2), nn.ReLU(True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        init_weights(self)

    def stylise(self, frames: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1], at least 8x8, -> the same.

        Raises:
            ValueError: smaller frames.
        """
        height, width = frames.shape[-2:]
        if min(height, width) < 8:
            raise ValueError(f"the generator needs frames of at least 8x8 pixels, got {height}x{width}")
        made: Tensor = self.model(frames * 2 - 1)
        return (made[..., :height, :width] + 1) / 2


class RecycleGAN(nn.Module):
    """Both generators and both predictors, as they are trained together.

    ``G_A`` turns domain A into B, ``G_B`` back; ``P_A`` and ``P_B`` predict the third frame of their domain from two.

    Args:
        direction: which generator runs on a video: ``"ab"`` is ``G_A``, ``"ba"`` is ``G_B``.
        n_blocks: of the generators.
        ngf: of the generators and predictors.
        netP: the predictors.
    """

    takes_reference = False
    recurrent = False
    #: the domain that each discriminator judges
    judges: Mapping[str, str] = {"D_A": "b", "D_B": "a"}

    def __init__(self, direction: Direction = "ab", n_blocks: int = 6, ngf: int = 64, netP: NetP = "unet_128") -> None:
        super().__init__()
        self.direction = direction
        self.G_A, self.G_B = ResnetGenerator(n_blocks, ngf), ResnetGenerator(n_blocks, ngf)
        self.P_A, self.P_B = UnetPredictor(netP, ngf), UnetPredictor(netP, ngf)

    def forward(self, video: Tensor, reference: Tensor | None = None, state: Any = None) -> StyledVideo:
        """As of :class:`~.contract.FrameStyle`: frame by frame, the predictors serve training only."""
        generator = self.G_A if self.direction == "ab" else self.G_B
        styled: StyledVideo = generator(video)
        return styled

    def training_outputs(
        self, a: Tensor, b: Tensor, wanted: Collection[str] = (), motion: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What the losses need of two triplets.

        Args:
            a, b: ``(B, 3, 3, H, W)`` in [0, 1], three consecutive frames of each domain; they need not belong together.
            wanted: names of the outputs that are read; ``cycle_x`` and ``identity_x`` are only made for that.
            motion: not used.

        Returns:
            For each domain X, images in [0, 1]: ``fake_x`` ``(B, 3, 3, H, W)``, the first two frames translated into
            X and the third predicted from them; ``predicted_x`` ``(B, 1, 3, H, W)``, the third real frame predicted
            from the first two; ``recycled_x`` ``(B, 1, 3, H, W)``, the third frame predicted in the other domain and
            translated back; ``cycle_x`` ``(B, 2, 3, H, W)``, the first two frames there and back; ``identity_x``, the
            first two frames through the generator that makes X.

        Raises:
            ValueError: no triplets.
        """
        for triplet in (a, b):
            check_video(triplet)
            if triplet.shape[1] != 3:
                raise ValueError(f"Recycle-GAN trains with three consecutive frames, got {triplet.shape[1]}")
        outputs: dict[str, Tensor] = {}
        sides = (
            ("a", "b", a, self.G_A, self.G_B, self.P_A, self.P_B),
            ("b", "a", b, self.G_B, self.G_A, self.P_B, self.P_A),
        )
        for own, other, real, there, back, predict, predict_there in sides:
            made = there(real[:, :2]).video
            third = predict_there(made)[:, None]
            outputs[f"fake_{other}"] = torch.cat((made, third), 1)
            outputs[f"recycled_{own}"] = back(third).video
            outputs[f"predicted_{own}"] = predict(real[:, :2])[:, None]
            if f"cycle_{own}" in wanted:
                outputs[f"cycle_{own}"] = back(made).video
            if f"identity_{own}" in wanted:
                outputs[f"identity_{own}"] = back(real[:, :2]).video
        return outputs

    def judged(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """What the discriminator ``"D_A"`` (of domain B) or ``"D_B"`` (of domain A) sees.

        The mean over all is the discriminator's loss as the official code has it. (It makes one backward pass for
        each of the four, so that its gradient is four times as large; Adam is indifferent to that.)

        Returns:
            Real and made images ``(4 B, 3, H, W)``: frames 0, 1, 2 and 2 again; translated 0, translated 1, predicted
            from these, predicted from real frames.
        """
        domain = self.judges[name]
        real, fake = batch[domain], outputs[f"fake_{domain}"]
        made = torch.cat((*fake.unbind(1), outputs[f"predicted_{domain}"][:, 0]))
        return torch.cat((*real.unbind(1), real[:, 2])), made


def build_recycle_gan(
    direction: Direction = "ab", n_blocks: int = 6, ngf: int = 64, netP: NetP | None = None
) -> nn.Module:
    """One generator, or with predictors all that is trained.

    Args:
        direction: ``"ab"`` or ``"ba"``. Of a network with predictors it chooses the generator that runs; of a single
            generator it only records which of the two official files (``net_G_A``, ``net_G_B``) it is.
        n_blocks: residual blocks of a generator, 6 or 9 in the official scripts.
        ngf: channels of the first convolutions.
        netP: the predictors, ``"unet_128"`` or ``"unet_256"``; None for one generator.

    Raises:
        ConfigError: an option out of range.
    """
    if direction not in ("ab", "ba"):
        raise ConfigError(f"direction must be 'ab' or 'ba', got {direction!r}")
    return ResnetGenerator(n_blocks, ngf) if netP is None else RecycleGAN(direction, n_blocks, ngf, netP)


# --- checkpoints


def _is_generator(keys: set[str]) -> bool:
    return {"model.1.weight", "model.10.conv_block.1.weight"} <= keys


def _options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = sum(key.endswith("conv_block.1.weight") for key in state if key.startswith("model."))
    return {"n_blocks": blocks, "ngf": state["model.1.weight"].shape[0]}


def _without_statistics(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # torch before 0.4 kept running statistics of instance normalisation that nobody used
    return {key: value for key, value in state.items() if "running_" not in key and "num_batches" not in key}


CARD = ModelCard(
    name="recycle_gan",
    task="style",
    build=build_recycle_gan,
    summary="ResNet generator between two domains of video, trained with predictors of the next frame",
    paper="Bansal, Ma, Ramanan, Sheikh: Recycle-GAN: Unsupervised Video Retargeting, ECCV 2018, "
    "https://arxiv.org/abs/1808.05174",
    tiny={"ngf": 4, "n_blocks": 1},
    licence="MIT",
    layouts=(CheckpointLayout("official", _is_generator, _without_statistics),),
    options_of=_options,
    proven=("parity", "official weights never seen"),
)
