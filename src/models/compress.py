"""Smaller networks and weight files.

``python -m framewright.models.compress realesr-animevideov3.pth small.safetensors --model srvgg --num-feat 48`` leaves
out the least important channels of an ``srvgg``; the file is an ordinary one, which ``train.py model.weights=...``
trains on (a pruned network is of no use before that). ``--storage int8`` or ``float16`` writes a smaller file of any
network; ``python -m framewright.benchmark.compression`` measures all of it.

Channels are chosen by magnitude, after Li, Kadav, Durdanovic, Samet and Graf, "Pruning Filters for Efficient ConvNets",
ICLR 2017 (https://arxiv.org/abs/1608.08710), with two deviations: the sum of the absolute weights that make a channel
is multiplied by the mean slope of its PReLU and by the sum of those that read it, and every layer keeps the same
number, because that is what an ``srvgg`` is made of.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, FramewrightError
from .packed import Storage
from .registry import create_model, load_model, model_info, save_model


def prune(net: nn.Module, num_feat: int) -> nn.Module:
    """An ``srvgg`` with fewer channels, in eval mode.

    Args:
        net: an ``srvgg``, also one with separable convolutions; it stays as it is.
        num_feat: channels that each of its hidden layers keeps; with all of them the network stays the same.

    Raises:
        ConfigError: another network, or it has not so many channels.
    """
    info = model_info(net)
    if info.name != "srvgg":
        raise ConfigError(f"only srvgg can be pruned, not {info.name!r}")
    channels = int(info.options["num_feat"])
    if not 1 <= num_feat <= channels:
        raise ConfigError(f"num_feat must lie between 1 and the {channels} channels of the network, got {num_feat}")
    smaller = create_model(info.name, **{**info.options, "num_feat": num_feat})
    smaller.load_state_dict(_without_channels(net.state_dict(), num_feat))
    return smaller


def _without_channels(state: Mapping[str, Tensor], num_feat: int) -> dict[str, Tensor]:
    """The tensors of the smaller network: of each layer the most important channels, in their order."""
    places = sorted({int(key.split(".")[1]) for key in state})
    layers = [_layer(state, place) for place in places if place % 2 == 0]
    kept: Tensor | None = None  # channels of the layer before; None: all, as of the image
    chosen: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        before = kept
        last = number == len(layers) - 1
        slopes = f"body.{2 * number + 1}.weight"
        kept = None if last else _important(layer, layers[number + 1], state.get(slopes), num_feat)
        for key in layer.keys:
            # a depthwise convolution has its channels where others have their outputs
            outputs = before if ".depthwise." in key else kept
            tensor = state[key] if outputs is None else state[key][outputs]
            if tensor.dim() == 4 and ".depthwise." not in key and before is not None:
                tensor = tensor[:, before]
            chosen[key] = tensor.clone()
        if kept is not None and slopes in state:
            chosen[slopes] = state[slopes][kept].clone()
    return chosen


class _Layer(NamedTuple):
    """A convolution: the names of its tensors, and how strong its products are, ``(outputs, inputs)``."""

    keys: list[str]
    magnitudes: Tensor


def _layer(state: Mapping[str, Tensor], place: int) -> _Layer:
    start = f"body.{place}."
    keys = [key for key in state if key.startswith(start)]
    depthwise = state.get(f"{start}depthwise.weight")
    mixing = state[f"{start}weight" if depthwise is None else f"{start}pointwise.weight"]
    magnitudes = mixing.abs().sum(dim=(2, 3))
    if depthwise is not None:
        magnitudes = magnitudes * depthwise.abs().sum(dim=(1, 2, 3))
    return _Layer(keys, magnitudes)


def _important(layer: _Layer, following: _Layer, slopes: Tensor | None, count: int) -> Tensor:
    """Indices of the ``count`` channels that matter most, increasing."""
    importance = layer.magnitudes.sum(dim=1) * following.magnitudes.sum(dim=0)
    if slopes is not None:
        # of inputs that are as often negative as positive, PReLU lets through so much
        importance = importance * (1 + slopes.abs()) / 2
    return torch.sort(torch.topk(importance, count).indices).values


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status: 0 written, 2 not."""
    parser = argparse.ArgumentParser(
        prog="python -m framewright.models.compress",
        description="Write a network with fewer channels, or a smaller weight file.",
    )
    parser.add_argument("weights", help="weight file or run folder; with --model also the tag of official weights")
    parser.add_argument("output", help="file to write, .safetensors")
    parser.add_argument("--model", help="name of the network, for files that do not know it, such as srvgg")
    parser.add_argument("--num-feat", type=int, help="channels that every layer of an srvgg keeps")
    parser.add_argument("--storage", choices=("float16", "int8"), help="how the weights are stored")
    given = parser.parse_args(arguments)
    storage: Storage | None = given.storage
    try:
        net = load_model(given.weights) if given.model is None else create_model(given.model, given.weights)
        made_of: dict[str, Any] = {"from": given.weights, "num_feat": given.num_feat, "storage": storage}
        if given.num_feat is not None:
            net = prune(net, given.num_feat)
        save_model(net, given.output, training={"compression": made_of}, storage=storage)
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
