"""Our shot detectors against PySceneDetect's: ``uv run --with scenedetect-headless python perf/shots.py video.mp4 ...``

Prints how many of 1,200 random sequences give other cuts (expected: none), and for each video the cuts of both, the
largest difference of a score, and the time that each takes for a frame. Frames are decoded once, by our reader.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from framewright.ops.shots import AdaptiveDetector, ContentDetector, CutDetector, Frame
from framewright.video import open_video
from scenedetect import AdaptiveDetector as TheirAdaptive
from scenedetect import ContentDetector as TheirContent
from scenedetect.common import FrameTimecode
from scenedetect.detector import FlashFilter


def ours(detector: CutDetector, frames: Sequence[Frame]) -> tuple[list[int], list[float]]:
    cuts, scores = [], []
    for frame in frames:
        cuts += detector.push(frame)
        scores.append(detector.latest)
    return cuts, scores


def theirs(detector: Any, frames: Sequence[Frame]) -> tuple[list[int], list[float]]:
    cuts, scores = [], []
    for number, frame in enumerate(frames):
        height, width = frame.shape[:2]
        factor = max(height, width) / 256
        if factor > 1:
            frame = cv2.resize(frame, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_LINEAR)
        found = detector.process_frame(FrameTimecode(number, 25.0), np.ascontiguousarray(frame[..., ::-1]))
        cuts += [int(cut.frame_num) for cut in found]
        scores.append(float(detector._frame_score))
    return cuts, scores


def random_frames(rng: np.random.Generator) -> list[Frame]:
    often, noise = rng.choice([0.05, 0.2, 0.5]), int(rng.choice([2, 30]))
    frames, base = [], rng.integers(0, 256, (8, 8, 3))
    for _ in range(80):
        if rng.random() < often:
            base = rng.integers(0, 256, (8, 8, 3))
        frames.append(np.clip(base + rng.integers(0, noise, (8, 8, 3)), 0, 255).astype(np.uint8))
    return frames


def main() -> None:
    rng = np.random.default_rng(0)
    sequences = different = cuts = 0
    for trial in range(400):
        frames = random_frames(rng)
        length, threshold = int(rng.choice([0, 1, 3, 7, 15])), float(rng.choice([10, 27, 50]))
        ratio, window = (3.0 if trial % 2 else 1.3), 1 + trial % 3
        for our, their in (
            (ContentDetector(threshold, length), TheirContent(threshold, length)),
            (
                ContentDetector(threshold, length, "suppress"),
                TheirContent(threshold, length, filter_mode=FlashFilter.Mode.SUPPRESS),
            ),
            (AdaptiveDetector(ratio, length, window), TheirAdaptive(ratio, length, window)),
        ):
            found, expected = ours(our, frames)[0], theirs(their, frames)[0]
            sequences, different, cuts = sequences + 1, different + (found != expected), cuts + len(expected)
    print(f"{different} of {sequences} random sequences differ ({cuts} cuts)")
    for path in sys.argv[1:]:
        with open_video(path) as reader:
            frames = [frame for chunk in reader.iterate() for frame in chunk]
        for our, their in ((ContentDetector(), TheirContent()), (AdaptiveDetector(), TheirAdaptive())):
            begun = time.process_time()
            found, scores = ours(our, frames)
            middle = time.process_time()
            expected, their_scores = theirs(their, frames)
            ended = time.process_time()
            apart = float(np.abs(np.subtract(scores, their_scores)).max())
            print(
                f"{path} {type(our).__name__}: {found} and {expected}, scores differ by {apart:.1e}, ms per frame "
                f"{(middle - begun) / len(frames) * 1e3:.2f} and {(ended - middle) / len(frames) * 1e3:.2f}"
            )


if __name__ == "__main__":
    main()
