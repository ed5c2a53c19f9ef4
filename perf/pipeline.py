"""What overlapping costs and gains in edit.py, and memory of long videos; run by hand.

Run ``python perf/pipeline.py [--presets upscale ...] [--frames 100] [--clip VIDEO] [--memory]``. A clip of 160x96 is
made from a photograph under a wandering camera with a square that crosses it. Without ``--memory`` every preset runs
with its baselines one thing after the other and overlapped, in turns; printed are frames per second, the ratio, and
the share of decoding, computing and encoding. With ``--memory`` every preset runs over 100 and 1,000 frames, each in a
process of its own, and the growth of the peak memory is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anonymous import Peak
from framewright.pipeline import EditRun, Execution, Settings, build_pipeline, run_pipeline
from framewright.video.writer import VideoWriter

SIZE = (96, 160)
BOX = [20, 30, 24, 24]


def make_clip(path: Path, frames: int) -> None:
    """A photograph under a wandering camera, and a square that moves to and fro in front of it."""
    import skimage.data

    photo = skimage.data.astronaut()[::2, ::2]
    with VideoWriter(path, 25, SIZE, crf=10) as writer:
        for number in range(frames):
            y, x = (round(40 + 30 * np.sin(number / period)) for period in (19, 31))
            frame = photo[y : y + SIZE[0], x : x + SIZE[1]].copy()
            left = BOX[0] + round(50 * (1 - np.cos(number / 40)) / 2)
            frame[BOX[1] + 4 : BOX[1] + 20, left + 4 : left + 20] = (240, 200, 20)
            writer.write(frame[None])


def presets(clip: Path) -> dict[str, dict[str, Any]]:
    """The stages of every preset with its baselines, one of them with another one, and what they need."""
    mask, green = {"box": BOX, "grow": 2, "smooth": 1}, {"background": [0, 255, 0]}
    return {
        "upscale": {"upscale": True},
        "retime": {"retime": True},
        "stabilize": {"stabilize": True},
        "restyle": {"restyle": {"reference": str(clip)}},
        "enhance": {"denoise": True, "stabilize": True, "upscale": True},
        "remove_object": {"mask": mask, "inpaint": True},
        "replace_background": {"mask": mask, "replace_background": green},
        "guided_sampling": {"mask": mask, "replace_background": {**green, "baseline": "guided_sampling"}},
        "fusion": {
            "motion": True,
            "retime": {"motion": True},
            "mask": mask,
            "fuse": {"other": str(clip)},
            "restyle": {"reference": str(clip)},
            "replace_background": green,
        },
    }


def edit(preset: str, clip: Path, folder: Path, overlap: Any) -> EditRun:
    """One run."""
    pipeline = build_pipeline(preset, presets(clip)[preset])
    return run_pipeline(pipeline, clip, folder / "out.mp4", Settings(torch.device("cpu")), Execution(overlap=overlap))


def peak(preset: str, frames: int) -> float:
    """Peak memory in MB of a process that edits so many frames."""
    command = [sys.executable, __file__, "--child", preset, "--frames", str(frames)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--presets", nargs="*", default=list(presets(Path())))
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--clip", type=Path, default=None, help="a video or folder of frames instead; no masks fit it")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.memory:
            for preset in arguments.presets:
                short, long = peak(preset, 100), peak(preset, 1000)
                print(
                    f"{preset:20} {short:7.0f} MB at 100 frames, {long:7.0f} at 1,000: growth {long - short:6.1f} MB",
                    flush=True,
                )
            return
        clip = arguments.clip or folder / "clip.mp4"
        if arguments.clip is None:
            make_clip(clip, arguments.frames)
        if arguments.child:
            with Peak() as found:
                edit(arguments.child, clip, folder, "files")
            print(found.megabytes)
            return
        for preset in arguments.presets:
            runs = {overlap: edit(preset, clip, folder, overlap) for overlap in ("none", "files", "stages")}
            rates = {overlap: run.frames / run.seconds for overlap, run in runs.items()}
            gains = ", ".join(f"{key} {rate:.1f} frames/s ({rate / rates['none']:.2f}x)" for key, rate in rates.items())
            busy = {lane: seconds for lane, seconds in runs["none"].timeline.busy.items() if lane != "wait"}
            shares = ", ".join(f"{lane} {100 * seconds / sum(busy.values()):.0f} %" for lane, seconds in busy.items())
            print(f"{preset:20} {gains}\n{'':20} {shares}", flush=True)


if __name__ == "__main__":
    main()
