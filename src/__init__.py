"""framewright: train video editing and restoration networks, reproduce benchmark tables, edit videos.

The names below are imported on first use, so that ``import framewright`` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models.registry import create_model, list_models, load_model, model_info, save_model
    from .video import load_video, open_video, save_video

    __version__: str

_HOMES = {
    "create_model": ".models.registry",
    "list_models": ".models.registry",
    "load_model": ".models.registry",
    "load_video": ".video",
    "model_info": ".models.registry",
    "open_video": ".video",
    "save_model": ".models.registry",
    "save_video": ".video",
}

__all__ = [
    "__version__",
    "create_model",
    "list_models",
    "load_model",
    "load_video",
    "model_info",
    "open_video",
    "save_model",
    "save_video",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value: Any = version("framewright")
        except PackageNotFoundError:
            value = "0+unknown"
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
