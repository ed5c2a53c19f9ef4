"""Network interpolation: one network between two that share a design (Wang et al., ESRGAN, 2018, section 3.4).

``python -m framewright.models.interpolate psnr.pth esrgan.pth 0.8 between.safetensors --model rrdbnet`` writes
``(1 - 0.8) * psnr + 0.8 * esrgan``, tensor by tensor: between the faithful and the sharp network, or between one that
keeps noise and one that removes it. It makes sense where the second network was trained from the first.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..core.errors import ConfigError, FramewrightError
from .catalog import get_card
from .registry import create_model, load_model, model_info, save_model

Source = str | os.PathLike[str]


def interpolate(first: Source, second: Source, alpha: float, model: str | None = None, **options: Any) -> nn.Module:
    """A network whose tensors are ``(1 - alpha) * first + alpha * second``, in eval mode.

    Args:
        first: weights of the network at ``alpha = 0``: all that :func:`.registry.create_model` takes.
        second: weights of the one at ``alpha = 1``.
        alpha: in [0, 1].
        model: name of the network; files of ours know it themselves.
        options: constructor options, where the files do not tell them.

    Raises:
        ConfigError: ``alpha`` out of range, different networks, or a network made of several.
        WeightsError: weights cannot be had or do not fit.
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha must lie in [0, 1], got {alpha}")
    nets = [load_model(end) if model is None else create_model(model, end, **options) for end in (first, second)]
    low, high = (model_info(net) for net in nets)
    if (low.name, low.options) != (high.name, high.options):
        raise ConfigError(
            f"{os.fspath(first)!r} and {os.fspath(second)!r} are different networks: "
            f"{low.name} {dict(low.options)} and {high.name} {dict(high.options)}"
        )
    if get_card(low.name).parts:
        raise ConfigError(f"{low.name!r} has other networks inside and cannot be interpolated")
    states = [net.state_dict() for net in nets]
    between = {
        # counters are no weights
        key: torch.lerp(value, states[1][key], alpha) if value.is_floating_point() else value
        for key, value in states[0].items()
    }
    # a new one, because it comes from neither file
    net = create_model(low.name, **low.options)
    net.load_state_dict(between)
    return net


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status: 0 written, 2 not."""
    parser = argparse.ArgumentParser(
        prog="python -m framewright.models.interpolate",
        description="Write the network between two: (1 - alpha) * first + alpha * second.",
    )
    parser.add_argument("first", help="weight file, or tag of official weights")
    parser.add_argument("second", help="weight file, or tag of official weights")
    parser.add_argument("alpha", type=float, help="0: the first, 1: the second")
    parser.add_argument("output", help="file to write, .safetensors")
    parser.add_argument("--model", help="name of the network, for files that do not know it, such as rrdbnet")
    given = parser.parse_args(arguments)
    try:
        net = interpolate(given.first, given.second, given.alpha, given.model)
        made_of = {"first": given.first, "second": given.second, "alpha": given.alpha}
        save_model(net, given.output, training={"interpolation": made_of})
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
