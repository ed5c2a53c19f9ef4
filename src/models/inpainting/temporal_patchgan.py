"""The discriminator of STTN, DSTT and FuseFormer: six 3D convolutions with one score per patch of space and time.

Chang, Liu, Lee and Hsu, "Free-form Video Inpainting with 3D Gated Convolution and Temporal PatchGAN", ICCV 2019
(https://arxiv.org/abs/1904.10247), in the form of the official releases of STTN, DSTT and FuseFormer (class
``Discriminator``). The parameters have the names of their checkpoints.

Kept from the official code, because published weights were trained so:
    * the videos of a batch are strung together along time and seen as one clip, so that the convolutions mix the end of
      one with the beginning of the next (``per_clip=True`` keeps them apart).
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import CheckpointLayout, ModelCard
from ..layers.spectral_norm import SpectralConv3d, from_parametrizations
from .layers import activation, init_weights

_KERNEL, _STRIDE = (3, 5, 5), (1, 2, 2)
# in units of nf, after each convolution
_WIDTHS = (1, 2, 4, 4, 4, 4)


class TemporalPatchGAN(nn.Module):
    """Temporal patch discriminator (17,832,256 parameters with ``nf=64``, 4,461,728 with ``nf=32``).

    Args:
        in_channels: of the videos.
        nf: base width; 64 in STTN, 32 in DSTT and FuseFormer.
        use_sigmoid: scores in [0, 1]; False for logits, which the hinge loss wants.
        use_spectral_norm: in all convolutions but the last; without it they are plain, as the keys then are.
        power_iterations: of spectral normalisation per forward pass in training; 0 freezes it.
        per_clip: judge every video of a batch for itself; False as the official code does.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        nf: int = 64,
        use_sigmoid: bool = False,
        use_spectral_norm: bool = True,
        power_iterations: int = 1,
        per_clip: bool = False,
    ) -> None:
        super().__init__()
        if in_channels < 1 or nf < 1:
            raise ConfigError(f"in_channels and nf must be at least 1, got {in_channels} and {nf}")
        if power_iterations < 0:
            raise ConfigError(f"power_iterations must not be negative, got {power_iterations}")
        self.in_channels, self.use_sigmoid, self.per_clip = in_channels, use_sigmoid, per_clip
        widths = (in_channels, *(nf * factor for factor in _WIDTHS))
        layers: list[nn.Module] = []
        for i, (inner, outer) in enumerate(itertools.pairwise(widths)):
            padding = (1, 2, 2) if i else (1, 1, 1)
            if i == len(_WIDTHS) - 1:
                layers.append(nn.Conv3d(inner, outer, _KERNEL, _STRIDE, padding))
            elif use_spectral_norm:
                layers.append(SpectralConv3d(inner, outer, _KERNEL, _STRIDE, padding, False, power_iterations))
                layers.append(activation())
            else:
                layers += (nn.Conv3d(inner, outer, _KERNEL, _STRIDE, padding), activation())
        self.conv = nn.Sequential(*layers)
        init_weights(self)

    def forward(self, video: Tensor) -> Tensor:
        """Scores of patches.

        Args:
            video: ``(B, T, C, H, W)`` in [0, 1].

        Returns:
            ``(1, B * T, 4 nf, h, w)``, or ``(B, T, 4 nf, h, w)`` with ``per_clip``, where h and w are about H and W
            divided by 64.

        Raises:
            ValueError: another shape.
        """
        if video.dim() != 5 or video.shape[2] != self.in_channels:
            raise ValueError(f"expected a video (B, T, {self.in_channels}, H, W), got {tuple(video.shape)}")
        clips = video if self.per_clip else video.flatten(0, 1).unsqueeze(0)
        scores: Tensor = self.conv((clips * 2 - 1).transpose(1, 2)).transpose(1, 2)
        return scores.sigmoid() if self.use_sigmoid else scores


# --- checkpoints


def _is_official(keys: set[str]) -> bool:
    return {"conv.0.weight_orig", "conv.8.weight_u", "conv.10.bias"} <= keys


def _is_modern(keys: set[str]) -> bool:
    return {"conv.0.parametrizations.weight.original", "conv.10.bias"} <= keys


CARD = ModelCard(
    name="temporal_patchgan",
    task="auxiliary",
    build=TemporalPatchGAN,
    summary="discriminator of STTN (`nf=64`), DSTT and FuseFormer (`nf=32`): 3D convolutions, spectral norm",
    paper="Chang, Liu, Lee, Hsu: Free-form Video Inpainting with 3D Gated Convolution and Temporal PatchGAN, "
    "ICCV 2019, https://arxiv.org/abs/1904.10247",
    tiny={"nf": 4},
    licence="MIT (STTN), none stated (DSTT, FuseFormer)",
    layouts=(
        CheckpointLayout("official", _is_official, dict),
        CheckpointLayout("torch parametrizations", _is_modern, from_parametrizations),
    ),
    proven=("parity", "official weights never seen"),
)
