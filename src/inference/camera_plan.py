"""From the motion of each frame to what is done to it: the smooth path, the correction and the zoom, while it grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from ..models.stabilization import FrameMotion, PathSmoother
from ..ops.camera_path import Composition, after, correction_of, kept_share

Zoom = Literal["adaptive", "smallest", "fixed", "none"]
_ZOOM_REACH = 15  # frames


@dataclass(frozen=True)
class Planned:
    """What is done to one frame.

    Attributes:
        seen: ``(4,)`` float64, its pose on the path as filmed; paths begin anew with every scene.
        smooth: ``(4,)``, its pose on the smooth path.
        correction: ``(4,)``, the map from the frame to where it should be, without zoom.
        zoom: enlargement about the centre after it, at least 1.
        starts: it is the first frame of a scene.
    """

    seen: Tensor
    smooth: Tensor
    correction: Tensor
    zoom: float
    starts: bool


class PathPlanner:
    """Plans a path frame by frame; each plan comes out when all frames that it looks at have come in.

    The look-ahead is shared: the path has what the zoom leaves over. The adaptive zoom at a frame is a mean, over W
    frames on both sides, of the smallest share of the frame that is kept within W frames: so it changes slowly and
    never shows a border. W is 15 frames, or a sixth of the look-ahead where that is less: twice as many would cost two
    percent of the frame on hand-held clips and change the zoom a third more slowly.

    Args:
        smoother: path network, see :class:`framewright.models.stabilization.PathSmoother`; others are taken as
            needing the whole path.
        size: height and width of the frames.
        look_ahead: frames after each frame that may be waited for; None: as many as the smoother asks for, which may
            be all.
        zoom: ``"adaptive"``; ``"smallest"``: the smallest constant one of each scene; ``"fixed"``; ``"none"``.
        keep: share of both sides that a fixed zoom shows.
        max_zoom: bound of the other two; what it leaves uncovered is border.
        composition: of motions, see :func:`framewright.ops.camera_path.trajectory_of`.

    Raises:
        ConfigError: an option out of range, or a look-ahead for what needs the whole path.
    """

    def __init__(
        self,
        smoother: nn.Module,
        size: tuple[int, int],
        look_ahead: int | None = None,
        zoom: Zoom = "adaptive",
        keep: float = 0.85,
        max_zoom: float = 1.5,
        composition: Composition = "matrices",
    ) -> None:
        if look_ahead is not None and look_ahead < 0:
            raise ConfigError(f"look_ahead must not be negative, got {look_ahead}")
        if not 0 < keep <= 1 or max_zoom < 1:
            raise ConfigError(f"expected keep in (0, 1] and max_zoom of 1 or more, got {keep} and {max_zoom}")
        self.smoother, self.size, self.zoom = smoother, size, zoom
        self.keep, self.max_zoom, self.composition = keep, max_zoom, composition
        self.past: int | None = None
        self.path_ahead: int | None = None
        streams = False
        if isinstance(smoother, PathSmoother):
            self.past, self.path_ahead, streams = smoother.past, smoother.ahead, smoother.streams
        self.reach = 0
        if zoom == "adaptive":
            self.reach = _ZOOM_REACH if look_ahead is None else min(_ZOOM_REACH, look_ahead // 6)
        if look_ahead is not None:
            if zoom == "smallest" or not streams:
                what = "zoom=smallest" if zoom == "smallest" else f"the smoother {type(smoother).__name__}"
                raise ConfigError(f"{what} needs the whole clip; leave out look_ahead")
            rest = look_ahead - 2 * self.reach
            self.path_ahead = rest if self.path_ahead is None else min(rest, self.path_ahead)
        self._begin()

    @property
    def look_ahead(self) -> int | None:
        """Frames after a frame that have to come in before its plan comes out; None: all of its scene."""
        return None if self.path_ahead is None or self.zoom == "smallest" else self.path_ahead + 2 * self.reach

    def push(self, motion: FrameMotion) -> list[Planned]:
        """Take the next frame's motion; the plans that are ready now, in order."""
        ready = self.finish() if motion.cut else []
        if not self._seen:
            pose = torch.zeros(4, dtype=torch.float64)
        elif self.composition == "matrices":
            pose = after(motion.pose, self._seen[-1])
        else:
            pose = self._seen[-1] + motion.pose
        self._seen.append(pose)
        return ready + self._advance(ended=False)

    def finish(self) -> list[Planned]:
        """The plans of all frames that are still waiting; the next frame begins a new path."""
        ready = self._advance(ended=True)
        self._begin()
        return ready

    def _begin(self) -> None:
        # lists of the frames from `_first` on: what is no longer needed is dropped
        self._first, self._done = 0, 0
        self._seen: list[Tensor] = []
        self._smooth: list[Tensor] = []
        self._shares: list[float] = []

    def _advance(self, *, ended: bool) -> list[Planned]:
        self._extend(ended)
        if ended:
            last = len(self._smooth)
        else:
            last = 0 if self.zoom == "smallest" else len(self._smooth) - 2 * self.reach
        ready: list[Planned] = []
        start = self._done - self._first
        if last > start:
            keeps = self._keeps(range(start, last))
            for place, keep in zip(range(start, last), keeps, strict=True):
                seen, smooth = self._seen[place], self._smooth[place]
                correction = correction_of(seen, smooth, self.composition)
                ready.append(Planned(seen, smooth, correction, 1 / float(keep), self._first + place == 0))
            self._done += last - start
            self._forget()
        return ready

    def _extend(self, ended: bool) -> None:
        """Smooth as many frames as can be."""
        while len(self._smooth) < len(self._seen):
            frame = len(self._smooth)
            if not ended and (self.path_ahead is None or frame + self.path_ahead >= len(self._seen)):
                return
            first = 0 if self.past is None else max(0, frame - self.past)
            last = len(self._seen) if ended else frame + (self.path_ahead or 0) + 1
            path = torch.stack(self._seen[first:last])
            with torch.no_grad():
                smooth = self.smoother(path[None])[0].to(path)
            # at the end all remaining frames see the same
            wanted = smooth[frame - first :] if ended else smooth[frame - first : frame - first + 1]
            seen = path[frame - first : frame - first + len(wanted)]
            shares = kept_share(correction_of(seen, wanted, self.composition), *self.size)
            self._smooth += wanted.unbind(0)
            self._shares += shares.tolist()

    def _keeps(self, frames: range) -> npt.NDArray[np.float64]:
        """Shares of the frame that are shown."""
        if self.zoom in ("none", "fixed"):
            return np.full(len(frames), 1.0 if self.zoom == "none" else self.keep)
        shares = np.array(self._shares)
        if self.zoom == "smallest":
            keeps = np.full(len(frames), shares.min())
        else:
            reach = self.reach
            around = range(max(0, frames.start - reach), min(len(shares), frames.stop + reach))
            least = {i: shares[max(0, i - reach) : i + reach + 1].min() for i in around}
            keeps = np.array(
                [np.mean([least[j] for j in range(i - reach, i + reach + 1) if j in least]) for i in frames]
            )
        clipped: npt.NDArray[np.float64] = np.clip(keeps, 1 / self.max_zoom, 1.0)
        return clipped

    def _forget(self) -> None:
        """Drop the poses that no later frame looks at."""
        if self.past is None or self.look_ahead is None:
            return
        needed = max(self.past, 2 * self.reach) + 1
        spare = min(self._done - self._first, len(self._smooth)) - needed
        if spare > needed:
            del self._seen[:spare], self._smooth[:spare], self._shares[:spare]
            self._first += spare
