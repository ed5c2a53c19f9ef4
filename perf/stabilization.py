"""Seconds per frame of stabilization beside ffmpeg's vidstab filters, and memory of long clips; run by hand.

Run ``python perf/stabilization.py [--ffmpeg PATH] [--frames 60] [--memory]``. A clip is made from a photograph under
a hand-held camera. Ours (file to file) and ffmpeg's vidstabdetect + vidstabtransform take turns on it in one run, with
one thread and with two, both decoding and encoding H.264. Printed are times per frame and their ratio, the only figure
that can be compared between machines. Without an ffmpeg that has the filters, ours is measured alone. ``--memory``
measures how the peak of what the process itself fills grows from 100 to 1,000 frames, each in a process of its own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from anonymous import Peak
from framewright.inference import StabilizationOptions, stabilize_file
from framewright.ops.compensation import compensate
from framewright.video.writer import VideoWriter

SIZES = ((360, 640), (720, 1280))


def make_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """A photograph under a shaking camera."""
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255
    photo = torch.nn.functional.interpolate(photo, (size[1], size[1]), mode="bicubic").clamp(0, 1)
    top = (size[1] - size[0]) // 2
    rng = np.random.default_rng(0)
    with VideoWriter(path, 30, size) as writer:
        for number in range(frames):
            pose = torch.tensor([[*rng.normal(0, 3, 2), rng.normal(0, 0.004), 0.0]], dtype=torch.float64)
            pose[0, 0] += 20 * np.sin(number / 40)
            frame = compensate(photo, pose)[0][..., top : top + size[0], :].clamp(0, 1)
            writer.write((frame * 255).round().byte().permute(0, 2, 3, 1).numpy())


def vidstab(ffmpeg: str, source: Path, target: Path, threads: int) -> None:
    """Both passes of ffmpeg's filters at their defaults, and the encoder that ours uses."""
    shared = [ffmpeg, "-y", "-loglevel", "error", "-threads", str(threads), "-filter_threads", str(threads)]
    track = target.with_suffix(".trf")
    detect = [*shared, "-i", str(source), "-vf", f"vidstabdetect=result={track}", "-f", "null", "-"]
    encode = ["-c:v", "libx264", "-preset", "medium", "-crf", "16", "-threads", str(threads), str(target)]
    for command in (detect, [*shared, "-i", str(source), "-vf", f"vidstabtransform=input={track}", *encode]):
        subprocess.run(command, check=True, env={"OMP_NUM_THREADS": str(threads)})


def find_ffmpeg(given: str | None) -> str | None:
    """An ffmpeg with the filters, or None."""
    ffmpeg = given or shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    listed = subprocess.run([ffmpeg, "-hide_banner", "-filters"], capture_output=True, text=True, check=False).stdout
    return ffmpeg if "vidstabdetect" in listed else None


def speed(ffmpeg: str | None, frames: int, rounds: int) -> None:
    """Print seconds per frame: the smallest of some rounds, in turns."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            clip, made = Path(folder) / "clip.mp4", Path(folder) / "made.mp4"
            make_clip(clip, size, frames)
            best: dict[str, float] = {}
            for _ in range(rounds):
                for threads in (1, 2):
                    torch.set_num_threads(1)
                    for flow in ("farneback", "dis"):
                        options = StabilizationOptions(threads=1 if threads == 1 else 3, flow=flow)
                        start = time.perf_counter()
                        stabilize_file(clip, made, options=options)
                        name = f"ours, {flow}, {threads} threads"
                        best[name] = min(best.get(name, 1e9), time.perf_counter() - start)
                    if ffmpeg is not None:
                        start = time.perf_counter()
                        vidstab(ffmpeg, clip, made, threads)
                        name = f"vidstab, {threads} threads"
                        best[name] = min(best.get(name, 1e9), time.perf_counter() - start)
            for name, seconds in best.items():
                base = best.get(f"vidstab, {name.split(', ')[-1]}")
                ratio = "" if base is None else f", {seconds / base:.1f} x vidstab"
                print(f"{size[1]}x{size[0]} {name}: {1000 * seconds / frames:.1f} ms per frame{ratio}", flush=True)
    if ffmpeg is None:
        print("no ffmpeg with vidstabdetect was found: ours alone (--ffmpeg PATH)")


def peak(clip: Path, look_ahead: str) -> None:
    """Stabilise a clip and print the peak of this process's memory in MB."""
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    options = StabilizationOptions(look_ahead=None if look_ahead == "all" else int(look_ahead), motion_size=160)
    with Peak() as found:
        stabilize_file(clip, clip.with_name("made.mp4"), options=options)
    print(found.megabytes)


def memory() -> None:
    """Print the growth from 100 to 1,000 frames, whole clip and live."""
    with tempfile.TemporaryDirectory() as folder:
        clips = {frames: Path(folder) / f"{frames}.mp4" for frames in (100, 1000)}
        for frames, clip in clips.items():
            make_clip(clip, (180, 320), frames)
        for look_ahead in ("all", "30"):
            peaks = []
            for clip in clips.values():
                command = [sys.executable, __file__, "--peak", str(clip), "--look-ahead", look_ahead]
                made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                peaks.append(float(made.split()[-1]))
            growth = peaks[1] - peaks[0]
            print(f"320x180, look-ahead {look_ahead}: {peaks[0]:.0f} MB at 100 frames, {growth:+.1f} MB at 1,000")


def main() -> None:
    """Parse arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ffmpeg")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--look-ahead", default="all")
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak, arguments.look_ahead)
    elif arguments.memory:
        memory()
    else:
        speed(find_ffmpeg(arguments.ffmpeg), arguments.frames, arguments.rounds)


if __name__ == "__main__":
    main()
