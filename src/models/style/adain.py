"""AdaIN: any style, by giving features of the content the mean and deviation of those of the style.

Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017
(https://arxiv.org/abs/1703.06868). The encoder is the normalised VGG19; encoder and decoder have the numbered keys of
their published files, as ``encoder.N.*`` and ``decoder.N.*``. Those are two files, which

    python -m framewright.models.style.adain vgg_normalised.pth decoder.pth adain.safetensors

makes one of. Decoders of universal style transfer (Li et al., NeurIPS 2017), which invert less deep layers, serve too.

Every frame is computed for itself, with the statistics of the reference over all of its frames.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, FramewrightError, WeightsError
from ..card import ModelCard
from ..features.normalised_vgg import DEPTHS, STEPS, Layer, NormalisedVGG19, deepest_of, width_of
from .contract import ReferenceStyle
from .feedforward import at_least

EPSILON = 1e-5


class AdaIN(ReferenceStyle):
    """Encoder, adaptive instance normalisation, decoder (7,010,959 parameters with ``relu4_1``).

    Args:
        layer: the deepest of the encoder; the weights of the paper have ``relu4_1``.
        alpha: from 0, the content as decoded, to 1, the style (equation 14).
        base: channels of the first convolution; other than 64 for trials only.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, layer: Layer = "relu4_1", alpha: float = 1.0, base: int = 64) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha must lie in [0, 1], got {alpha}")
        self.alpha = alpha
        self.encoder = NormalisedVGG19(layer, base)
        self.decoder = _decoder(layer, base)
        # halvings round up, and mirrors need two pixels at the deepest layer
        self.smallest = self.encoder.smallest

    def describe(self, reference: Tensor) -> tuple[Tensor, ...]:
        """Mean and deviation ``(B, C, 1, 1)`` of the reference's features, frames and places alike."""
        frames = at_least(reference.flatten(0, 1), self.smallest)
        features = torch.unflatten(self.encoder(frames)[-1], 0, reference.shape[:2])
        return statistics(features.transpose(1, 2).flatten(3))

    def stylise(self, frames: Tensor, style: tuple[Tensor, ...]) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1] -> the same."""
        content = self.encoder(at_least(frames, self.smallest))[-1]
        mixed = torch.lerp(content, exchange(content, style).to(content), self.alpha)
        made: Tensor = self.decoder(mixed)
        return made[..., : frames.shape[2], : frames.shape[3]].clamp(0, 1)


def exchange(content: Tensor, style: tuple[Tensor, ...]) -> Tensor:
    """Features ``(N, C, H, W)`` with the mean and deviation ``(N, C, 1, 1)`` of a style (equation 8)."""
    mean, deviation = statistics(content)
    return (content - mean) / deviation * style[1] + style[0]


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (of the unbiased variance plus 1e-5) over places, ``(N, C, 1, 1)`` float32."""
    features = features.float()
    variance, mean = torch.var_mean(features, (2, 3), keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def _decoder(layer: str, base: int) -> nn.Sequential:
    """The encoder's convolutions backwards; halvings become repeated pixels, the last ReLU is left out."""
    layers: list[nn.Module] = []
    for place in reversed(range(DEPTHS[layer])):
        step = STEPS[place]
        if step.halved:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(width_of(step.outer, base), width_of(step.inner, base), 3)]
        if place:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def load_adain(encoder: str | os.PathLike[str], decoder: str | os.PathLike[str], alpha: float = 1.0) -> nn.Module:
    """AdaIN from the two published files; :func:`framewright.models.registry.save_model` makes one of them.

    Args:
        encoder: normalised VGG19, possibly with more layers than are needed.
        decoder: which decides about the layer.
        alpha: see :class:`AdaIN`.

    Raises:
        ConfigError: ``alpha`` out of range.
        WeightsError: a file cannot be read, or is not what it should be.
    """
    from ..registry import create_model
    from ..stored import read_stored

    front, back = read_stored(encoder).state, read_stored(decoder).state
    try:
        layer = deepest_of(back)
    except ValueError as error:
        raise WeightsError(f"{os.fspath(decoder)!r} is no decoder of AdaIN: {error}") from error
    net = create_model("adain", layer=layer, alpha=alpha)
    for name, state, path in (("encoder", front, encoder), ("decoder", back, decoder)):
        part = net.get_submodule(name)
        wanted = part.state_dict()
        wrong = [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]
        if wrong:
            raise WeightsError(
                f"{os.fspath(path)!r} does not fit the {name} of AdaIN with {layer}: without, or with "
                f"another shape of, {', '.join(wrong)}"
            )
        part.load_state_dict({key: state[key] for key in wanted})
    return net


def main(arguments: Sequence[str] | None = None) -> int:
    """The program that makes one file of two; returns its exit status: 0 written, 2 not."""
    from ..registry import save_model

    parser = argparse.ArgumentParser(
        prog="python -m framewright.models.style.adain", description="Make one weight file of AdaIN of its two."
    )
    parser.add_argument("encoder", help="normalised VGG19, vgg_normalised.pth")
    parser.add_argument("decoder", help="decoder.pth")
    parser.add_argument("output", help="file to write, .safetensors")
    parser.add_argument("--alpha", type=float, default=1.0, help="0: content, 1: style")
    given = parser.parse_args(arguments)
    try:
        save_model(load_adain(given.encoder, given.decoder, given.alpha), given.output)
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(given.output)
    return 0


CARD = ModelCard(
    name="adain",
    task="style",
    build=AdaIN,
    summary="any style from a reference image or clip: statistics of VGG features, frame by frame",
    paper="Huang, Belongie: Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, ICCV 2017, "
    "https://arxiv.org/abs/1703.06868",
    tiny={"layer": "relu2_1", "base": 8},
    licence="MIT (naoto0804/pytorch-AdaIN)",
    proven=("parity", "official weights never seen"),
)


if __name__ == "__main__":
    sys.exit(main())
