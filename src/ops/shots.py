"""Where a shot ends and the next begins: PySceneDetect's content and adaptive detectors, frame by frame.

The rules are those of PySceneDetect 0.7 (https://www.scenedetect.com/docs): the same frames give the same cuts. They
are written here, because cuts are needed inside streams of frames, before networks run, and the interface of its
detectors is still declared unstable. Its edge component, which counts nothing by default, is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..core.errors import ConfigError

Frame = npt.NDArray[np.uint8]

# as high as PySceneDetect's ratio gets, where nothing else moves
_LARGEST_RATIO = 255.0
_STILL = 1e-5


class ContentScore:
    """How much a frame differs from the one before: the mean change of hue, saturation and value, 0 to 255.

    Hue is OpenCV's of 0 to 179, and its change is not taken around the circle, as in PySceneDetect: red that crosses 0
    counts as a large change.

    Args:
        weights: of hue, saturation and value.
        size: longer frames are first shrunk (bilinear) so that their longer side has so many pixels; None: never.

    Raises:
        ConfigError: negative weights, or none above 0.
    """

    def __init__(self, weights: tuple[float, float, float] = (1.0, 1.0, 1.0), size: int | None = 256) -> None:
        if len(weights) != 3 or min(weights) < 0 or sum(weights) <= 0:
            raise ConfigError(f"weights are three numbers of 0 or more, not all of them 0, got {tuple(weights)}")
        if size is not None and size < 1:
            raise ConfigError(f"size must be at least 1, got {size}")
        self.weights, self.size = weights, size
        self.reset()

    def reset(self) -> None:
        """Forget the frame before."""
        self._before: npt.NDArray[np.int16] | None = None

    def push(self, frame: Frame) -> float:
        """The score of the next frame, uint8 RGB ``(H, W, 3)``; 0 for the first one.

        Raises:
            ValueError: no such frame, or one of another size than the one before.
        """
        import cv2

        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame is uint8 (H, W, 3), got {frame.dtype} {tuple(frame.shape)}")
        height, width = frame.shape[:2]
        factor = 1.0 if self.size is None else max(height, width) / self.size
        if factor > 1:
            size = (max(1, round(width / factor)), max(1, round(height / factor)))
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        now = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV).astype(np.int16)
        before, self._before = self._before, now
        if before is None:
            return 0.0
        if before.shape != now.shape:
            raise ValueError(f"frames change their size from {before.shape[:2]} to {now.shape[:2]}")
        changes = np.abs(now - before).mean(axis=(0, 1), dtype=np.float64)
        return float(np.dot(changes, self.weights) / sum(self.weights))


class CutDetector(ABC):
    """Finds the first frames of new shots in a stream.

    Args:
        score: what frames are judged by.
        min_length: frames that a shot has at least.

    Attributes:
        look_ahead: once a frame has come in, all cuts up to so many frames before it have been told.
        count: frames that came in.
        latest: score of the latest of them.

    Raises:
        ConfigError: a length below 0.
    """

    def __init__(self, score: ContentScore | None = None, min_length: int = 15) -> None:
        if min_length < 0:
            raise ConfigError(f"min_length must not be negative, got {min_length}")
        self.score = ContentScore() if score is None else score
        self.min_length = min_length
        self.look_ahead = 0
        self.count, self.latest = 0, 0.0

    def push(self, frame: Frame) -> list[int]:
        """Take the next frame, uint8 RGB ``(H, W, 3)``; the numbers of frames now known to begin a shot.

        Frames count from 0, which is never among them. A number is told once, in increasing order.
        """
        self.latest = self.score.push(frame)
        self.count += 1
        return self.judge(self.count - 1, self.latest)

    @abstractmethod
    def judge(self, number: int, score: float) -> list[int]:
        """:meth:`push` for a frame whose number and score are known."""


class ContentDetector(CutDetector):
    """A shot begins where the score reaches a threshold (PySceneDetect's ``detect-content``).

    Cuts that follow each other faster than ``min_length`` (flashes) are merged or suppressed. ``"suppress"`` ignores
    all that come within ``min_length`` frames of the cut before. ``"merge"`` ignores those that come within
    ``min_length`` of the frame before that reached the threshold; when such a flurry of at least ``min_length`` frames
    after a first cut is over, its last frame becomes a cut. Neither gives a cut in the first ``min_length`` frames.

    Args:
        threshold: 0 to 255.
        min_length: frames that a shot has at least; 0: every frame that reaches the threshold is a cut.
        flashes: see above.
        score: what frames are judged by.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        threshold: float = 27.0,
        min_length: int = 15,
        flashes: Literal["merge", "suppress"] = "merge",
        score: ContentScore | None = None,
    ) -> None:
        super().__init__(score, min_length)
        if not 0 <= threshold <= 255:
            raise ConfigError(f"threshold must lie in 0 to 255, got {threshold}")
        if flashes not in ("merge", "suppress"):
            raise ConfigError(f"flashes must be 'merge' or 'suppress', got {flashes!r}")
        self.threshold, self.flashes = threshold, flashes
        self.look_ahead = min_length if flashes == "merge" else 0
        self._above = 0
        self._found = False
        self._flurry: int | None = None

    def judge(self, number: int, score: float) -> list[int]:
        above = score >= self.threshold
        if self.min_length == 0:
            return [number] if above else []
        calm = number - self._above >= self.min_length
        if self.flashes == "suppress":
            if not (above and calm):
                return []
            self._above = number
            return [number]
        if above:
            self._above = number
        if self._flurry is not None:
            if not above and calm and self._above - self._flurry >= self.min_length:
                self._flurry = None
                return [self._above]
            return []
        if above and calm:
            self._found = True
            return [number]
        if above and self._found:
            self._flurry = number
        return []


class AdaptiveDetector(CutDetector):
    """A shot begins where the score stands out from those around it (PySceneDetect's ``detect-adaptive``).

    A fast pan raises the scores of all its frames, a cut that of one. The score is divided by the mean of the
    ``window`` frames on each side, up to 255; the first and the last ``window`` frames have no such ratio and are
    never cuts.

    Args:
        ratio: that a cut has at least.
        min_length: frames that a shot has at least.
        window: frames on each side.
        min_score: that a cut has at least.
        score: what frames are judged by.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        ratio: float = 3.0,
        min_length: int = 15,
        window: int = 2,
        min_score: float = 15.0,
        score: ContentScore | None = None,
    ) -> None:
        super().__init__(score, min_length)
        if window < 1 or ratio < 0 or not 0 <= min_score <= 255:
            raise ConfigError(
                "expected window of 1 or more, ratio of 0 or more and min_score in 0 to 255, "
                f"got window={window}, ratio={ratio}, min_score={min_score}"
            )
        self.ratio, self.window, self.min_score = ratio, window, min_score
        self.look_ahead = window
        self._around = deque[float](maxlen=2 * window + 1)
        self._last = 0

    def judge(self, number: int, score: float) -> list[int]:
        self._around.append(score)
        if len(self._around) < 2 * self.window + 1:
            return []
        middle, place = self._around[self.window], number - self.window
        usual = (sum(self._around) - middle) / (2 * self.window)
        if abs(usual) < _STILL:
            ratio = _LARGEST_RATIO if middle >= self.min_score else 0.0
        else:
            ratio = min(middle / usual, _LARGEST_RATIO)
        if ratio < self.ratio or middle < self.min_score or place - self._last < self.min_length:
            return []
        self._last = place
        return [place]
