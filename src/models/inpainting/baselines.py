"""Video inpainting without weights: frame by frame, from the same place at other times, and along optical flow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...ops.occlusion import inconsistent
from ...ops.warp import warp
from ..card import ModelCard
from .contract import ClipInpainter

_Bytes = npt.NDArray[np.uint8]
# below this size the coarsest patches of DIS do not fit
_DIS_MINIMUM = 32
_RADIUS = 3
# of a median computed at once, so that memory does not depend on the size of the hole
_PIXELS = 2**16


class _StillInpainter(ClipInpainter):
    """A method of OpenCV on 8-bit frames, each for itself; it runs on the CPU and gives no gradient.

    Args:
        radius: in pixels, of the neighbourhood that decides about a pixel.

    Raises:
        ConfigError: a radius of zero or less.
    """

    algorithm = ""

    def __init__(self, radius: float = _RADIUS) -> None:
        super().__init__()
        if radius <= 0:
            raise ConfigError(f"radius must be above zero, got {radius}")
        self.radius = radius

    def fill(self, video: Tensor, mask: Tensor, wanted: range) -> Tensor:
        """Every wanted frame for itself."""
        part = slice(wanted.start, wanted.stop)
        return _fill_stills(video[part], mask[part] > 0, self.algorithm, self.radius)


class Telea(_StillInpainter):
    """Fast marching from the edge of the hole inwards (Telea 2004), as OpenCV computes it.

    Args:
        radius: in pixels, of the neighbourhood that decides about a pixel.

    Raises:
        ConfigError: a radius of zero or less.
    """

    algorithm = "TELEA"


class NavierStokes(_StillInpainter):
    """Lines of equal brightness continued into the hole (Bertalmio et al. 2001), as OpenCV computes it.

    Args:
        radius: in pixels, of the neighbourhood that decides about a pixel.

    Raises:
        ConfigError: a radius of zero or less.
    """

    algorithm = "NS"


class TemporalMedian(ClipInpainter):
    """What the same place of the frame shows at other times: exact for a still camera and a still background.

    A pixel of a hole becomes the median, colour by colour, of those within ``radius`` frames in which it is known;
    where there are none, the one nearest in time within ``reach`` frames (the earlier of two); what is never known is
    filled frame by frame as :class:`Telea` does.

    Args:
        radius: frames before and after, for the median.
        reach: frames before and after, for the nearest one.

    Raises:
        ConfigError: ``radius`` below 1, or ``reach`` below ``radius``.
    """

    step = 16

    def __init__(self, radius: int = 10, reach: int = 30) -> None:
        super().__init__()
        if not 1 <= radius <= reach:
            raise ConfigError(f"expected 1 <= radius <= reach, got radius={radius} and reach={reach}")
        self.radius, self.reach = radius, reach

    def fill(self, video: Tensor, mask: Tensor, wanted: range) -> Tensor:
        """Only the pixels inside the holes of the wanted frames are computed."""
        frames, holes = [], []
        for index in wanted:
            hole = mask[index, 0] > 0
            first, last = max(0, index - self.reach), index + self.reach + 1
            frame, left = video[index].clone(), hole.clone()
            rows, columns = hole.nonzero(as_tuple=True)
            for start in range(0, len(rows), _PIXELS):
                y, x = rows[start : start + _PIXELS], columns[start : start + _PIXELS]
                known = mask[first:last, 0, y, x] <= 0
                frame[:, y, x], found = self._at(video[first:last, :, y, x], known, index - first)
                left[y, x] = ~found
            frames.append(frame)
            holes.append(left[None])
        return _fill_stills(torch.stack(frames), torch.stack(holes), Telea.algorithm, _RADIUS)

    def _at(self, values: Tensor, known: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Colours ``(3, K)`` of places of which ``values`` ``(T, 3, K)`` are seen, and whether they are known."""
        near = slice(max(0, index - self.radius), index + self.radius + 1)
        count = known[near].sum(0)
        # unknown ones are sorted behind all others
        ordered = values[near].masked_fill(~known[near].unsqueeze(1), torch.inf).sort(0).values
        middles = [((count - 1 + odd) // 2).clamp(min=0).expand(1, 3, -1) for odd in (0, 1)]
        median = (ordered.gather(0, middles[0]) + ordered.gather(0, middles[1]))[0] / 2
        distance = (torch.arange(len(values), device=values.device) - index).abs().unsqueeze(1)
        distance = distance.expand_as(known).masked_fill(~known, len(values) + 1)
        nearest = values.gather(0, distance.argmin(0).expand(1, 3, -1))[0]
        return torch.where(count > 0, median, nearest), known.any(0)


class FlowPropagation(ClipInpainter):
    """Known pixels of earlier and later frames, followed along optical flow into the holes.

    DIS flow (Kroeger et al., ECCV 2016) of both directions between consecutive frames is continued smoothly into the
    holes. From every pixel of a hole a path follows it, backward and forward in time, until it meets a known pixel; a
    path ends where the flows of both directions disagree (Sundaram et al., ECCV 2010, equation 5). Positions along a
    path keep their fractions, and colours are interpolated once, at its end. Where both paths find something they are
    blended, the nearer frame counting more; what no path reaches is filled as :class:`Telea` does. The flow runs in
    OpenCV on the CPU; no gradient goes through it.

    Args:
        preset: of DIS: ``"ultrafast"``, ``"fast"`` or ``"medium"``.
        reach: frames before and after that a path can lead through.

    Raises:
        ConfigError: an unknown preset, or a reach below 1.
    """

    def __init__(self, preset: str = "medium", reach: int = 30) -> None:
        super().__init__()
        if preset not in ("ultrafast", "fast", "medium"):
            raise ConfigError(f"preset must be 'ultrafast', 'fast' or 'medium', got {preset!r}")
        if reach < 1:
            raise ConfigError(f"reach must be at least 1, got {reach}")
        self.preset, self.reach = preset, reach
        # flows of the frames around the wanted ones are computed too, so that small steps would be dear
        self.step = reach

    def fill(self, video: Tensor, mask: Tensor, wanted: range) -> Tensor:
        """Flows of the whole clip are computed, colours of the wanted frames."""
        first, last = max(0, wanted.start - self.reach), min(len(video), wanted.stop + self.reach)
        clip, hole = video[first:last].detach().float().cpu(), mask[first:last].detach().cpu() > 0
        clip = clip.masked_fill(hole, 0.0)
        inner = range(wanted.start - first, wanted.stop - first)
        frames, left = clip[inner.start : inner.stop].clone(), hole[inner.start : inner.stop].clone()
        if bool(left.any()) and len(clip) > 1:
            weight = torch.zeros_like(frames[:, :1])
            to_next, to_last = zip(*self._steps(clip, hole), strict=True)
            past = _paths(clip, hole, range(len(clip)), to_last, inner)
            future = _paths(clip, hole, range(len(clip))[::-1], to_next[::-1], inner)
            for index, colour, distance in itertools.chain(past, future):
                place, holes = index - inner.start, hole[index, 0]
                share = torch.where(distance > 0, 1 / distance.clamp(min=1), 0.0)
                frames[place, :, holes] += colour * share
                weight[place, 0, holes] += share
            left &= weight == 0
            frames = torch.where(weight > 0, frames / weight.clamp(min=1e-9), frames)
        return _fill_stills(frames, left, Telea.algorithm, _RADIUS).to(video)

    def _steps(self, clip: Tensor, hole: Tensor) -> Iterator[tuple[_Step, _Step]]:
        """From each frame but the last to the next, and from that one back, continued into the holes."""
        import cv2

        # opencv's own stubs lack this factory
        create: Any = getattr(cv2, "DISOpticalFlow_create")  # noqa: B009
        method = create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}"))
        # a hole with hard edges would look like something that moves
        gray = [_gray(_continued(frame[None], ~holes[None])) for frame, holes in zip(clip, hole, strict=True)]
        doubtful = [F.max_pool2d(holes[None].float(), 2 * _PATCH + 1, 1, _PATCH) for holes in hole]

        def flow(here: int, there: int) -> Tensor:
            made = torch.from_numpy(method.calc(gray[here], gray[there], None)).permute(2, 0, 1)[None]
            made = made[..., : clip.shape[2], : clip.shape[3]].contiguous()
            return _continued(made, (doubtful[here] == 0) & (warp(doubtful[there], made) == 0))

        for index in range(len(clip) - 1):
            forward, backward = flow(index, index + 1), flow(index + 1, index)
            yield (
                _Step(forward[0], inconsistent(forward, backward)[0, 0]),
                _Step(backward[0], inconsistent(backward, forward)[0, 0]),
            )


# pixels that DIS looks at together: nearer to a hole than this, its flow cannot be trusted
_PATCH = 8


class _Step(NamedTuple):
    """From one frame to one beside it: flow ``(2, H, W)``, and ``(H, W)`` where a path ends without result."""

    flow: Tensor
    broken: Tensor


def _paths(
    clip: Tensor, hole: Tensor, order: range, steps: Sequence[_Step], wanted: range
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Known pixels at the ends of the paths that begin in holes.

    Args:
        clip: ``(T, 3, H, W)``.
        hole: ``(T, 1, H, W)`` boolean.
        order: the frames as they are visited; a path leads to those visited before.
        steps: from each frame of ``order`` but the first to the one before it in that order.
        wanted: frames whose colours are wanted.

    Yields:
        The index of a wanted frame, colours ``(3, K)`` of its K pixels in holes, and ``(K,)`` how many frames away they
        were seen, 0 where they were not.
    """
    height, width = clip.shape[2:]
    grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    limit = torch.tensor([[width - 1], [height - 1]])
    # of every pixel of the frame visited before: in which frame it was seen (-1: never), and where
    source, position = torch.full((height, width), -1), grid
    for number, index in enumerate(order):
        source_before, position_before = source, position
        rows, columns = hole[index, 0].nonzero(as_tuple=True)
        source, position = torch.where(hole[index, 0], -1, index), grid.clone()
        if number == 0 or not len(rows):
            continue
        flow, broken = steps[number - 1]
        end = grid[:, rows, columns] + flow[:, rows, columns]
        nearest = end.round().long()
        inside = ((nearest >= 0) & (nearest <= limit)).all(0) & ~broken[rows, columns]
        x, y = nearest.clamp(min=0).minimum(limit)
        seen = torch.where(inside, source_before[y, x], -1)
        where = position_before[:, y, x] + (end - nearest)
        source[rows, columns], position[:, rows, columns] = seen, where
        if index in wanted:
            colour, found = _sample(clip, hole, seen, where)
            yield index, colour, torch.where(found, (index - seen).abs(), 0).float()


def _sample(clip: Tensor, hole: Tensor, source: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Colours ``(3, K)`` of the frames ``source`` ``(K,)`` at x, y ``(2, K)``, bilinear among known pixels, and where
    these are half of the four at least."""
    height, width = clip.shape[2:]
    frame = source.clamp(min=0)
    x, y = position[0].clamp(0, width - 1), position[1].clamp(0, height - 1)
    left, top = x.floor().long(), y.floor().long()
    total, weight = torch.zeros(3, len(source)), torch.zeros(len(source))
    for column, across in ((left, 1 - (x - left)), ((left + 1).clamp(max=width - 1), x - left)):
        for row, down in ((top, 1 - (y - top)), ((top + 1).clamp(max=height - 1), y - top)):
            share = across * down * ~hole[frame, 0, row, column]
            total += clip[frame, :, row, column].T * share
            weight += share
    return total / weight.clamp(min=1e-9), (weight >= 0.5) & (source >= 0)


def _continued(x: Tensor, known: Tensor) -> Tensor:
    """``(N, C, H, W)`` with smooth values where ``known`` ``(N, 1, H, W)`` is False: means over ever larger squares of
    known values, interpolated (zeros where a frame has none at all)."""
    height, width = x.shape[2:]
    if bool(known.all()) or max(height, width) == 1:
        return torch.where(known, x, 0.0)
    share = known.to(x)
    weight = F.avg_pool2d(share, 2, ceil_mode=True, count_include_pad=False)
    mean = F.avg_pool2d(x * share, 2, ceil_mode=True, count_include_pad=False) / weight.clamp(min=1e-9)
    coarse = F.interpolate(_continued(mean, weight > 0), (height, width), mode="bilinear", align_corners=False)
    return torch.where(known, x, coarse)


def _gray(frame: Tensor) -> _Bytes:
    """8-bit luma ``(H, W)`` of ``(1, 3, H, W)``, edges repeated up to the smallest size."""
    bottom, right = (max(0, _DIS_MINIMUM - size) for size in frame.shape[2:])
    luma = (frame * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True).clamp(0, 1)
    luma = F.pad(luma, (0, right, 0, bottom), mode="replicate")
    levels: _Bytes = (luma[0, 0] * 255).round().to(torch.uint8).numpy()
    return levels


def _fill_stills(frames: Tensor, hole: Tensor, algorithm: str, radius: float) -> Tensor:
    """``(T, 3, H, W)`` with the pixels where ``hole`` ``(T, 1, H, W)`` is True filled frame by frame; a frame that is
    all hole becomes grey."""
    import cv2

    flag = {"TELEA": cv2.INPAINT_TELEA, "NS": cv2.INPAINT_NS}[algorithm]
    filled = []
    for frame, unknown in zip(frames, hole, strict=True):
        if bool(unknown.all()):
            frame = torch.full_like(frame, 0.5)
        elif bool(unknown.any()):
            visible = frame.masked_fill(unknown, 0.0).detach().float().cpu()
            levels = (visible.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
            made = cv2.inpaint(levels, unknown[0].to(torch.uint8).cpu().numpy(), radius, flag)
            frame = torch.where(unknown, torch.from_numpy(made).permute(2, 0, 1).to(frame) / 255, frame)
        filled.append(frame)
    return torch.stack(filled)


CARDS = (
    ModelCard(
        name="telea",
        task="inpainting",
        build=Telea,
        summary="every frame for itself, fast marching from the edge of the hole, OpenCV",
        paper="Telea: An Image Inpainting Technique Based on the Fast Marching Method, Journal of Graphics Tools 2004, "
        "https://doi.org/10.1080/10867651.2004.10487596",
        baseline=True,
    ),
    ModelCard(
        name="navier_stokes",
        task="inpainting",
        build=NavierStokes,
        summary="every frame for itself, lines of equal brightness continued, OpenCV",
        paper="Bertalmio, Bertozzi, Sapiro: Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting, CVPR 2001, "
        "https://doi.org/10.1109/CVPR.2001.990497",
        baseline=True,
    ),
    ModelCard(
        name="temporal_median",
        task="inpainting",
        build=TemporalMedian,
        summary="median of what the same place shows at other times, then Telea",
        baseline=True,
    ),
    ModelCard(
        name="flow_propagation",
        task="inpainting",
        build=FlowPropagation,
        summary="known pixels followed along DIS optical flow from both sides, then Telea",
        paper="flow: Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016, "
        "https://arxiv.org/abs/1603.03590",
        baseline=True,
    ),
)
