"""A procedural video file to try things on, and where its nearest object is."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ...core.files import make_directory
from ...core.seeding import position_rng
from ...video import VideoWriter, write_image
from .motion import Camera, random_shake
from .scene import Scene
from .settings import SceneSettings

FPS = 24
_ATTEMPTS = 1000

# positions of what is drawn from a seed, beside the scenes themselves, which have (attempt, 0)
_SHAKE, _NOISE = 1, 2


def clip_settings(frames: int, height: int, width: int) -> SceneSettings:
    """Settings of scenes that look well as a short clip: few objects, sharp edges, motion that is easy to follow.

    Lengths are fractions of the frame's shorter side and of the clip's length, so that a small or short clip shows
    the same as a large or long one.

    Raises:
        ConfigError: a size below 16, or no frames.
    """
    side, length = min(height, width), max(1, frames)
    # per two frames; in all a quarter of the shorter side, and never so fast that a clip of few frames jumps
    pace = min(0.5 * side / length, 0.04 * side)
    return SceneSettings(
        height=height,
        width=width,
        frames=frames,
        objects=(2, 3),
        object_size=(0.1, 0.2),
        foreground_size=(0.15, 0.2),
        camera_motion=pace / 2,
        object_motion=2 * pace,
        max_motion=3 * pace,
        spin=0.3 / length,
        zoom=0.2 / length,
        texture_density=(1.0, 1.6),
        hair=0.0,
        softness=1.0,
        quality="exact",
    )


def clip_scene(settings: SceneSettings, seed: int, shake: float = 0.0) -> Scene:
    """The first scene of a seed whose nearest object stays inside the frame and leaves the place where it was.

    Args:
        settings: of the scene; its camera does not shake.
        seed: a whole number.
        shake: of the camera, pixels (standard deviation per axis). It is added to the scene, which stays the same, and
            may push the object over the border.

    Raises:
        DataError: no scene of these settings is like that.
    """
    for attempt in range(_ATTEMPTS):
        scene = Scene(settings, position_rng(seed, attempt))
        if _is_seen(scene):
            if shake == 0:
                return scene
            path = random_shake(position_rng(seed, attempt, _SHAKE), shake)
            return scene.with_camera(Camera(scene.camera.path, path))
    raise DataError(f"none of {_ATTEMPTS} scenes of seed {seed} keeps its nearest object inside the frame")


def _is_seen(scene: Scene) -> bool:
    """Whether the nearest object is always inside the frame, and uncovers all of the background that it hides."""
    settings, nearest = scene.settings, scene.objects[-1]
    for time in range(settings.frames):
        transform = scene.frame_from_layer(len(scene.objects), float(time))
        radius, centre = nearest.radius * abs(transform.z), transform.w
        if not (radius <= centre.real <= settings.width - 1 - radius):
            return False
        if not (radius <= centre.imag <= settings.height - 1 - radius):
            return False
    start, end = (nearest.path.at(float(time)) for time in (0, settings.frames - 1))
    # a clip of few frames is too short for that: motion has a bound
    wanted = min(2.2 * nearest.radius, 0.6 * settings.object_motion / 2 * (settings.frames - 1))
    return math.hypot(*(end - start)[:2]) >= wanted


def write_clip(
    scene: Scene,
    path: str | os.PathLike[str],
    mask: str | os.PathLike[str] | None = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> None:
    """Write a scene as a video of 24 frames per second, and where its nearest object is.

    Both have their names only when they are complete.

    Args:
        scene: what to render; its height and width have to be even, or the video has a row or column more.
        path: the video (mp4, m4v, mov, mkv).
        mask: None, a video, or (without a suffix) a folder of PNG files: white where the object covers more than half
            of a pixel, black elsewhere. A folder of masks that is there already is replaced.
        noise: standard deviation of what is added to every value, in levels of 255.
        seed: of the noise.

    Raises:
        VideoError: the video, or the mask as a video, cannot be written.
        DataError: the folder of the masks holds other files.
    """
    height, width = scene.settings.height, scene.settings.width
    with contextlib.ExitStack() as stack:
        folder = None
        masks: VideoWriter | None = None
        if mask is not None and Path(mask).suffix:
            # without loss, so that edges are where they are
            masks = stack.enter_context(VideoWriter(mask, FPS, (height, width), crf=0))
        elif mask is not None:
            folder = stack.enter_context(_replaced_folder(Path(mask)))
        video = stack.enter_context(VideoWriter(path, FPS, (height, width)))
        for time in range(scene.settings.frames):
            frame = scene.render(float(time))
            levels = frame.composite().astype(np.float64) * 255
            if noise > 0:
                levels += noise * _noise(seed, time, levels.shape)
            video.write(np.rint(levels).clip(0, 255).astype(np.uint8)[None])
            inside = np.where(frame.alpha(-1) > 0.5, np.uint8(255), np.uint8(0))
            if masks is not None:
                masks.write(inside[None, :, :, None].repeat(3, axis=3))
            if folder is not None:
                write_image(folder / f"{time:06d}.png", inside)


def _noise(seed: int, time: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Values of mean 0 and deviation 1, nearly Gaussian: NumPy keeps the stream of ``random`` stable, no other."""
    draws: npt.NDArray[np.float64] = position_rng(seed, time, _NOISE).random((3, *shape))
    total: npt.NDArray[np.float64] = draws.sum(0)
    return 2 * (total - 1.5)


@contextlib.contextmanager
def _replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``folder`` once it is full; nothing but numbered PNG files is removed."""
    if folder.exists():
        foreign = [] if not folder.is_dir() else [entry.name for entry in folder.iterdir() if not _numbered(entry.name)]
        if foreign or not folder.is_dir():
            what = f"holds {min(foreign)!r}" if foreign else "is a file"
            raise DataError(f"masks are not written to {str(folder)!r}: it {what}")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_directory(part)
    try:
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _numbered(name: str) -> bool:
    return re.fullmatch(r"\d{6}\.png", name) is not None
