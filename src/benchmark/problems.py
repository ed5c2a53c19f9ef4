"""What a protocol asks of a method for one video, task by task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Chunk, Context, chunked, split_frames, split_scales
from ..ops.flow_colour import flow_to_colour
from ..ops.label_colour import labels_to_colour
from ..ops.warp import warp
from .protocol import Protocol

CHUNK_FRAMES = 16
ERROR_GAIN = 4
# the part of the longest true motion, and the least error in pixels, that an error map shows in its last colour
_FLOW_ERROR_PART, _FLOW_ERROR_LEAST = 0.1, 1.0


@dataclass(frozen=True)
class View:
    """One output frame as people look at it.

    Attributes:
        frame: ``(3, H, W)``, as it is scored.
        error: ``(1, H, W)`` in [0, 1], how wrong it is where.
        warped: ``(3, H, W)``, for flow: the second frame brought onto the first by it; None otherwise.
    """

    frame: Tensor
    error: Tensor
    warped: Tensor | None = None


@dataclass(frozen=True)
class Problem:
    """One video, ready for a method and for the metrics.

    Attributes:
        sources: ``(N, 3, H, W)`` frames that the method sees, but for what ``hides``.
        targets: ``(M, 3, H, W)`` frames that its output is compared with.
        context: what it is asked to do.
        mask: ``(M, 1, H, W)``, 1 = hole; the method sees it beside the sources. None where there are none.
        given: ground truth for metrics, by name.
        composite: known pixels of the result are taken from the targets.
        quantise: ``round`` or ``truncate``: the result is compared as 8-bit frames, unless it is final already.
        pairs_before: see :class:`framewright.metrics.VideoPair`.
        longest: for flow: the length in pixels of the longest true motion, which has the strongest colour. Results are
            then flows, and frames are flows in colour.
        scale: see :class:`framewright.metrics.VideoPair`.
        seen: what the method sees beside the sources and the mask, by name: a trimap.
        hides: the method sees 0 in the holes of the sources; made only when a chunk is asked for, because nobody does
            so for a folder of results.
    """

    sources: Tensor
    targets: Tensor
    context: Context
    mask: Tensor | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)
    composite: bool = False
    quantise: str | None = None
    pairs_before: int = 0
    longest: float | None = None
    scale: int = 1
    seen: Mapping[str, Tensor] = field(default_factory=dict)
    hides: bool = False

    def chunks(self) -> Iterator[Chunk]:
        """The sources as a stream, with the mask where there is one."""
        extras = dict(self.seen) | ({} if self.mask is None else {"mask": self.mask})
        for chunk in chunked(self.sources, CHUNK_FRAMES, extras=extras):
            yield replace(chunk, frames=chunk.frames * (1 - chunk.extras["mask"])) if self.hides else chunk

    def outline(self) -> Iterator[Chunk]:
        """As many chunks, for a method that looks at nothing but their number and size."""
        return chunked(self.sources, CHUNK_FRAMES)

    def scored(self, chunk: Chunk) -> Tensor:
        """Output frames as the protocol compares them, ``(K, 3, H, W)``; flow and labels as colours, alpha as grey.

        Raises:
            DataError: labels or mattes are missing or have another size.
        """
        if self.longest is not None:
            return flow_to_colour(chunk.extras["flow"], self.longest)
        if self.context.task in ("segmentation", "matting"):
            return self._shown(self.results(chunk))
        frames, position = chunk.frames, chunk.start
        if self.quantise is not None and not chunk.final:
            # in place: fresh memory costs more than the arithmetic
            scaled = frames.clamp(0, 1).mul_(255)
            # a value such as 7 / 255 * 255 may fall just below 7
            frames = (scaled.round_() if self.quantise == "round" else scaled.add_(1e-4).floor_()).div_(255)
        if self.composite and self.mask is not None:
            part = slice(position, position + len(frames))
            into = None if frames is chunk.frames else frames
            frames = torch.where(self.mask[part] > 0, frames, self.targets[part], out=into)
        return frames

    def results(self, chunk: Chunk) -> Mapping[str, Tensor]:
        """What metrics see of a chunk beside its frames; for matting, stored frames without alpha are grey mattes."""
        if self.context.task == "matting" and "alpha" not in chunk.extras:
            return {**chunk.extras, "alpha": chunk.frames.mean(1, keepdim=True)}
        return chunk.extras

    def _shown(self, results: Mapping[str, Tensor]) -> Tensor:
        """Labels in colour, or alpha in grey."""
        name = {"segmentation": "labels", "matting": "alpha"}[self.context.task]
        found, true = results.get(name), self.given[name]
        if found is None or found.shape[1:] != true.shape[1:]:
            what = "none" if found is None else f"{tuple(found.shape)}"
            raise DataError(
                f"the video {self.context.video_id!r} needs {name} (T, {', '.join(map(str, true.shape[1:]))}) of every "
                f"method, got {what}"
            )
        return labels_to_colour(found) if name == "labels" else found.clamp(0, 1).expand(-1, 3, -1, -1)

    def preview(self, index: int) -> Tensor:
        """What there was to see for output frame ``index``, ``(3, H, W)``: for interpolation and flow the two input
        frames laid over each other, for super-resolution the input in large pixels."""
        if self.context.task == "super_resolution":
            # pixels as they are, in the size of the result
            return F.interpolate(self.sources[index][None], size=self.targets.shape[2:], mode="nearest")[0]
        if self.context.task in ("interpolation", "flow"):
            left = index // len(self.context.timesteps)
            return (self.sources[left] + self.sources[left + 1]) / 2
        if self.hides and self.mask is not None:
            return self.sources[index] * (1 - self.mask[index])
        return self.sources[index]

    def view(self, chunk: Chunk, index: int) -> View:
        """Output frame ``index`` of the video, which is in ``chunk``, for people."""
        place = index - chunk.start
        frame = self.scored(chunk)[place]
        if self.longest is None:
            return View(frame, error_map(frame, self.targets[index]))
        flow = chunk.extras["flow"][place]
        wrong = torch.linalg.vector_norm(flow - self.given["flow"][index], dim=0)[None] / self.error_scale
        warped = warp(self.sources[index + 1][None], flow[None])[0]
        return View(frame, wrong.clamp(0, 1) * self.given["valid"][index], warped.clamp(0, 1))

    @property
    def error_scale(self) -> float:
        """For flow: the end-point error in pixels that has the last colour of an error map."""
        return max(_FLOW_ERROR_LEAST, _FLOW_ERROR_PART * (self.longest or 0.0))

    @property
    def legend(self) -> str:
        """What stands below a prediction in the stills of a report."""
        if self.longest is None:
            return f"below each prediction its absolute error x {ERROR_GAIN}"
        return (
            f"strongest colour: {self.longest:.3g} px; below each flow its end-point error, black 0, yellow "
            f"{self.error_scale:.2g} px and more, and the second frame warped onto the first"
        )

    def playback(self, outputs: Tensor) -> Tensor:
        """The result as it would be watched: for interpolation woven between the input frames it belongs to.

        Args:
            outputs: the first K output frames or their targets, ``(K, 3, H, W)``.
        """
        if self.context.task != "interpolation":
            return outputs
        steps = len(self.context.timesteps)
        frames: list[Tensor] = []
        for index, output in enumerate(outputs):
            if index % steps == 0:
                frames.append(self.sources[index // steps])
            frames.append(output)
        if len(outputs) % steps == 0:
            frames.append(self.sources[len(outputs) // steps])
        return torch.stack(frames)


def error_map(frame: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the colours, times :data:`ERROR_GAIN`, ``(1, H, W)`` in [0, 1]."""
    return (frame - target).abs().mean(0, keepdim=True).mul(ERROR_GAIN).clamp(0, 1)


def _interpolation(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    padding = None if protocol.padding is None else protocol.padding.rule()
    try:
        split = split_frames(video.frames, protocol.stride)
        if padding is not None:
            padding.padded_size(int(video.frames.shape[-2]), int(video.frames.shape[-1]))
    except ValueError as error:
        raise DataError(f"the video {video.id!r} cannot be used: {error}") from None
    context = Context("interpolation", split.timesteps, video.id, device, precision, padding)
    return Problem(split.sources, split.targets, context, quantise=protocol.quantise)


def _inpainting(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    if "mask" not in video.truth:
        raise DataError(f"the video {video.id!r} has no masks of holes, which the protocol {protocol.name!r} needs")
    problem = _any(video, protocol, device, precision)
    # a method must not see what it is asked to guess
    return replace(problem, hides=True)


def _flow(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """Every frame but the last gets a flow to the next one; the target is the true flow in colour."""
    # procedural scenes know the motion over one and two frames, in both directions
    known_names = {name.removesuffix("_forward_1"): value for name, value in video.truth.items()}
    truth: dict[str, Tensor] = {
        name: known_names[name] for name in ("flow", "valid", "occlusion") if name in known_names
    }
    pairs, height, width = len(video.frames) - 1, *video.frames.shape[2:]
    if pairs < 1:
        raise DataError(f"the video {video.id!r} has {len(video.frames)} frames, optical flow needs two")
    if "flow" not in truth:
        raise DataError(f"the video {video.id!r} has no true flow, which the protocol {protocol.name!r} needs")
    valid = truth.get("valid")
    truth["valid"] = torch.ones(pairs, 1, height, width) if valid is None else valid.float()
    for name, channels in (("flow", 2), ("valid", 1), ("occlusion", 1)):
        if name in truth and tuple(truth[name].shape) != (pairs, channels, height, width):
            raise DataError(
                f"the {name} of the video {video.id!r} is {tuple(truth[name].shape)}, "
                f"expected {(pairs, channels, height, width)}"
            )
    known = truth["valid"] > 0.5
    flow = truth["flow"] = torch.where(known, truth["flow"].float(), 0.0)
    # nothing moves: any scale shows white
    longest = float(torch.linalg.vector_norm(flow, dim=1).max()) or 1.0
    if not math.isfinite(longest):
        raise DataError(f"the true flow of the video {video.id!r} is not a number at a valid pixel")
    targets = flow_to_colour(flow, longest) * known
    padding = None if protocol.padding is None else protocol.padding.rule()
    context = Context("flow", video_id=video.id, device=device, precision=precision, padding=padding)
    return Problem(video.frames, targets, context, given=truth, longest=longest)


def _super_resolution(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """The target is the frame cut to a multiple of the scale, the source what the data set gives, or its reduction."""
    try:
        if protocol.lr == "given":
            sources, targets = split_scales(video.frames, protocol.scale, video.truth.get("lr"))
        else:
            sources, targets = split_scales(video.frames, protocol.scale, edges=protocol.lr)
    except ValueError as error:
        raise DataError(f"the video {video.id!r} cannot be used: {error}") from None
    scale = protocol.scale
    context = Context("super_resolution", video_id=video.id, device=device, precision=precision, scale=scale)
    given = {name: value for name, value in video.truth.items() if name == "gray"}
    return Problem(sources, targets, context, given=given, quantise=protocol.quantise, scale=scale)


def _stabilization(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """The result is laid beside the shaky video; measures that know the camera's true path find it in the truth."""
    if len(video.frames) < 2:
        raise DataError(f"the video {video.id!r} has {len(video.frames)} frames, stabilization needs two")
    known = {name: value for name, value in video.truth.items() if name in ("trajectory", "smooth")}
    context = Context("stabilization", video_id=video.id, device=device, precision=precision)
    return Problem(video.frames, video.frames, context, given=known, quantise=protocol.quantise)


def _style(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """The result is compared with its source, whose motion it follows; measures of style find the reference."""
    given = {name: value for name, value in video.truth.items() if name in ("reference", "styled", "flow", "occlusion")}
    reference = given.get("reference")
    context = Context("style", video_id=video.id, device=device, precision=precision, reference=reference)
    return Problem(video.frames, video.frames, context, given=given, quantise=protocol.quantise)


def _any(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    mask = video.truth.get("mask")
    if protocol.composite and mask is None:
        raise DataError(
            f"the video {video.id!r} has no masks of holes; the protocol {protocol.name!r} composites with them"
        )
    context = Context(protocol.task, video_id=video.id, device=device, precision=precision)
    given = {name: value for name, value in video.truth.items() if name != "mask"}
    return Problem(video.frames, video.frames, context, mask, given, protocol.composite, protocol.quantise)


def _segmentation(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """Every frame gets labels; the target is the true ones in colour."""
    labels = _truth(video, "labels", protocol, ()).long()
    context = Context("segmentation", video_id=video.id, device=device, precision=precision)
    return Problem(video.frames, labels_to_colour(labels), context, given={"labels": labels})


def _matting(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    """Every frame gets an alpha; methods see the trimap where there is one. The target is the true alpha in grey."""
    given = {"alpha": _truth(video, "alpha", protocol, (1,)).float()}
    if "trimap" in video.truth:
        given["trimap"] = _truth(video, "trimap", protocol, (1,)).float()
    seen = {name: given[name] for name in ("trimap",) if name in given}
    targets = given["alpha"].clamp(0, 1).expand(-1, 3, -1, -1).contiguous()
    context = Context("matting", video_id=video.id, device=device, precision=precision)
    return Problem(video.frames, targets, context, given=given, seen=seen)


def _truth(video: EvaluationVideo, name: str, protocol: Protocol, channels: tuple[int, ...]) -> Tensor:
    if name not in video.truth:
        raise DataError(f"the video {video.id!r} has no true {name}, which the protocol {protocol.name!r} needs")
    expected = (len(video.frames), *channels, *video.frames.shape[2:])
    if tuple(video.truth[name].shape) != expected:
        raise DataError(
            f"the {name} of the video {video.id!r} is {tuple(video.truth[name].shape)}, expected {expected}"
        )
    return video.truth[name]


_MAKERS: dict[str, Callable[[EvaluationVideo, Protocol, torch.device, str], Problem]] = {
    "interpolation": _interpolation,
    "flow": _flow,
    "inpainting": _inpainting,
    "super_resolution": _super_resolution,
    "matting": _matting,
    "segmentation": _segmentation,
    "stabilization": _stabilization,
    "style": _style,
    "any": _any,
}


def make_problem(
    video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str = "32-true"
) -> Problem:
    """Apply a protocol to a video.

    Raises:
        ConfigError: no benchmark exists for the protocol's task.
        DataError: the video does not suit the protocol; the message names it.
    """
    if protocol.task not in _MAKERS:
        raise ConfigError(
            f"protocol {protocol.name!r}: no benchmark for the task {protocol.task!r} (possible: {', '.join(_MAKERS)})"
        )
    return _MAKERS[protocol.task](video, protocol, device, precision)
