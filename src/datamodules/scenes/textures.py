"""Photographs that come inside the scikit-image wheel, as textures for procedural scenes.

The files are opened from the installed package's folder by path; scikit-image's own loaders are not used,
because they may try to download.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ...core.errors import DataError
from ...core.files import sha256_file
from .appearance import APPEARANCES, SEPARATOR, paint

Split = Literal["train", "eval"]


@dataclass(frozen=True)
class TextureFile:
    """A bundled photograph: its file name, the SHA-256 of the file, and whether it is gray."""

    file: str
    sha256: str
    gray: bool


TRAINING_TEXTURES: dict[str, TextureFile] = {
    "astronaut": TextureFile(
        "astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", gray=False
    ),
    "chelsea": TextureFile(
        "chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", gray=False
    ),
    "rocket": TextureFile("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c", gray=False),
    "hubble_deep_field": TextureFile(
        "hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        gray=False,
    ),
    "retina": TextureFile("retina.jpg", "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6", gray=False),
    "camera": TextureFile("camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a", gray=True),
    "brick": TextureFile("brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf", gray=True),
    "grass": TextureFile("grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89", gray=True),
    "moon": TextureFile("moon.png", "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577", gray=True),
    "page": TextureFile("page.png", "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3", gray=True),
}

# PNG only: they decode to the same bytes everywhere, JPEG may differ by a level between decoders
EVALUATION_TEXTURES: dict[str, TextureFile] = {
    "coffee": TextureFile("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", gray=False),
    "motorcycle_left": TextureFile(
        "motorcycle_left.png", "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179", gray=False
    ),
    "ihc": TextureFile("ihc.png", "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef", gray=False),
    "gravel": TextureFile("gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12", gray=True),
    "coins": TextureFile("coins.png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba", gray=True),
    "text": TextureFile("text.png", "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1", gray=True),
}

LEVELS = 4


def texture_names(split: Split) -> tuple[str, ...]:
    """Names of the textures of one split, in a fixed order. The two splits share no photograph."""
    return tuple(TRAINING_TEXTURES if split == "train" else EVALUATION_TEXTURES)


def texture_file(name: str) -> TextureFile:
    """The file behind the name of a texture, painted or not; raises :class:`DataError` for an unknown name."""
    photograph, _, look = name.partition(SEPARATOR)
    entry = TRAINING_TEXTURES.get(photograph) or EVALUATION_TEXTURES.get(photograph)
    if entry is None or (look and look not in APPEARANCES):
        known = ", ".join([*TRAINING_TEXTURES, *EVALUATION_TEXTURES])
        raise DataError(f"unknown texture {name!r}; expected one of {known}")
    return entry


@functools.cache
def texture_folder() -> Path:
    """The data folder of the installed scikit-image."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise DataError("procedural scenes need scikit-image (>=0.25), which is not installed")
    return Path(spec.origin).parent / "data"


@functools.cache
def load_texture(name: str) -> tuple[npt.NDArray[np.uint8], ...]:
    """The photograph and its halvings (area averages), each ``(h, w, 3)`` uint8 RGB.

    ``name`` may be one of :func:`~.appearance.painted_name`.

    Raises:
        DataError: the file is missing, or is not the one this version was made with.
    """
    import cv2
    from PIL import Image

    entry = texture_file(name)
    path = texture_folder() / entry.file
    if not path.is_file():
        raise DataError(f"the photograph {str(path)!r} is missing: reinstall scikit-image (>=0.25) from its wheel")
    found = sha256_file(path)
    if found != entry.sha256:
        raise DataError(
            f"the photograph {str(path)!r} has sha256 {found}, expected {entry.sha256}: "
            "scenes made from it would not be the documented ones. Install another release of scikit-image."
        )
    with Image.open(path) as handle:
        image = np.asarray(handle.convert("RGB"), dtype=np.uint8)
    look = name.partition(SEPARATOR)[2]
    levels = [paint(image, look) if look else image]
    for _ in range(LEVELS - 1):
        height, width = levels[-1].shape[:2]
        half = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, dtype=np.uint8))
    for level in levels:
        level.setflags(write=False)
    return tuple(levels)


@functools.lru_cache(maxsize=32)
def load_texture_tensor(name: str, level: int) -> torch.Tensor:
    """One level of a texture as ``(1, 3, h, w)`` float32 with values 0 to 255. Do not modify it."""
    image = torch.from_numpy(load_texture(name)[level].copy())
    return image.permute(2, 0, 1).float().unsqueeze(0).contiguous()
