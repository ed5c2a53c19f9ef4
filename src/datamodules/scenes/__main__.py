"""``python -m framewright.datamodules.scenes <out.mp4>``: a procedural video to try things on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ...core.command import Parser, run_command
from ...core.errors import ConfigError
from .appearance import known_appearances
from .clip import clip_scene, clip_settings, write_clip

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def program(arguments: Sequence[str]) -> str:
    """Write the video that the arguments ask for; returns what was written.

    Raises:
        FramewrightError: a value that is wrong, or a file that cannot be written.
    """
    parser = Parser(
        prog="python -m framewright.datamodules.scenes",
        description="A procedural video: photographs inside scikit-image move in front of another one. "
        "The same arguments give the same frames.",
    )
    parser.add_argument("out", help="video to write (mp4, m4v, mov, mkv)")
    parser.add_argument("--frames", type=int, default=48, help="24 of them are shown per second (default: 48)")
    parser.add_argument("--size", default="384x256", metavar="WxH", help="even numbers (default: 384x256)")
    parser.add_argument("--seed", type=int, default=0, help="which scene; every whole number is one (default: 0)")
    parser.add_argument("--shake", type=float, default=0.0, help="of the camera, pixels (default: 0)")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation, levels of 255 (default: 0)")
    parser.add_argument("--appearance", help="everything painted: dusk, meadow, ink or ember")
    parser.add_argument("--mask", help="where the nearest object is: a video, or a folder for PNG files")
    given = parser.parse_args(arguments)
    size = _SIZE.fullmatch(given.size)
    if size is None or any(int(side) % 2 for side in size.groups()):
        raise ConfigError(f"--size={given.size} should be an even width and height, for example 384x256")
    for name in ("shake", "noise"):
        value = getattr(given, name)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"--{name}={value} should be a number, zero or more")
    width, height = (int(side) for side in size.groups())
    scene = clip_scene(clip_settings(given.frames, height, width), given.seed, given.shake)
    if given.appearance is not None:
        scene = scene.painted(known_appearances([given.appearance])[0])
    write_clip(scene, given.out, given.mask, noise=given.noise, seed=given.seed)
    written = f"{given.out}: {given.frames} frames of {width}x{height}"
    return written if given.mask is None else f"{written}; its nearest object: {given.mask}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status: 0, or 2 after one message about what is wrong."""
    return run_command(program, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
