"""What ``device=`` means."""

from __future__ import annotations

import os
from typing import Any

from ..core.errors import ConfigError
from ..core.processes import Group


def choose_device(name: str, group: Group | None = None) -> Any:
    """The torch device that ``device=`` means (``auto``: a GPU where there is one, one per process of a machine).

    Raises:
        ConfigError: no such device.
    """
    import torch

    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        if group is None or group.size == 1:
            return torch.device("cuda")
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"device={name!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device
