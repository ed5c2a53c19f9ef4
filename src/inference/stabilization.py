"""Video stabilization over a stream of frames, or from file to file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError, DataError
from ..core.memory import giving_memory_back
from ..models.registry import create_model, get_card, list_models, load_model
from ..models.stabilization import FrameMotion, MotionEstimator
from ..ops.camera_path import Composition, after, inverse, with_zoom
from ..ops.compensation import Border, Interpolation, compensate
from ..ops.global_motion import MotionModel
from ..video import open_video
from ..video.writer import VideoWriter
from .ahead import ahead
from .camera_plan import PathPlanner, Planned, Zoom
from .inpainting import InpaintingOptions, inpaint_chunks
from .method import Chunk, Context
from .pairs import pixel_budget_for
from .shots import starts_of

Item = TypeVar("Item")


class StabilizationOptions(Section):
    """How a path network is run over a video.

    Attributes:
        flow: registered flow method that follows the camera, or a weight file or run folder of one.
        motion_size, model, check, cuts: ``size``, ``model``, ``check`` of
            :class:`framewright.models.stabilization.MotionEstimator`; ``cuts=false`` looks for no scene cuts.
        composition: of motions to a path: ``matrices`` or ``sum``.
        look_ahead: frames after each frame that may be waited for, for live video; null: as many as the path network
            asks for. Where it asks for all, frames wait in memory until their scene has ended.
        zoom: ``adaptive`` (slowly changing, the smallest that shows no border), ``smallest`` (constant over a scene),
            ``fixed`` or ``none``.
        keep: share of width and height that a fixed zoom shows.
        max_zoom: bound of the adaptive and of the smallest zoom.
        border: what is shown where a frame does not reach: ``mirror``, ``circular``, ``black``, ``previous`` (the
            stabilised frame before, moved along) or ``inpaint``.
        filler: with ``inpaint``: a registered inpainting baseline, or a weight file or run folder.
        interpolation: ``bilinear`` or ``bicubic``.
        threads: 1: one frame after the other; 2: the motion of later frames is estimated meanwhile; 3: and frames are
            moved while those before them are used (written). The result is the same.
    """

    flow: str = "farneback"
    motion_size: int = Field(default=320, ge=16)
    model: MotionModel = "similarity"
    check: bool = True
    cuts: bool = True
    composition: Composition = "matrices"
    look_ahead: int | None = Field(default=None, ge=0)
    zoom: Zoom = "adaptive"
    keep: float = Field(default=0.85, gt=0, le=1)
    max_zoom: float = Field(default=1.5, ge=1)
    border: Border | Literal["previous", "inpaint"] = "mirror"
    filler: str = "flow_propagation"
    interpolation: Interpolation = "bilinear"
    threads: Literal[1, 2, 3] = 1

    @model_validator(mode="after")
    def _fitting(self) -> StabilizationOptions:
        if "keep" in self.model_fields_set and self.zoom != "fixed":
            raise ValueError(f"keep means nothing with zoom={self.zoom}; it belongs to zoom=fixed")
        if "filler" in self.model_fields_set and self.border != "inpaint":
            raise ValueError(f"filler means nothing with border={self.border}; it belongs to border=inpaint")
        if self.look_ahead is not None and self.zoom == "smallest":
            raise ValueError("zoom=smallest needs the whole clip; leave out look_ahead, or use zoom=adaptive")
        return self

    def estimator(self, device: torch.device) -> MotionEstimator:
        """A new estimator of motion, its flow network on ``device``."""
        flow = _network(self.flow, "flow").to(device).eval()
        if self.cuts:
            return MotionEstimator(flow, self.motion_size, self.model, check=self.check)
        return MotionEstimator(flow, self.motion_size, self.model, check=self.check, cut_change=None)

    def planner(self, net: nn.Module, size: tuple[int, int]) -> PathPlanner:
        """A new planner for frames of this height and width."""
        return PathPlanner(net, size, self.look_ahead, self.zoom, self.keep, self.max_zoom, self.composition)


class _Rendered(NamedTuple):
    """A stabilised frame ``(3, H, W)``, its validity ``(1, H, W)`` and its plan."""

    frame: Tensor
    validity: Tensor
    plan: Planned


def stabilize_chunks(
    net: nn.Module,
    chunks: Iterable[Chunk],
    context: Context,
    *,
    name: str = "stabilization",
    pixel_budget: int = 0,
    options: Section | None = None,
) -> Iterator[Chunk]:
    """Yield all frames, steadied, one by one as soon as they are ready.

    Beside its frames a chunk of the result has ``extras``: ``validity`` ``(K, 1, H, W)``, 1 where the frame itself is
    seen and 0 where the border was made up; ``seen`` and ``smooth`` ``(K, 4)``, the path as filmed and as planned,
    ``correction`` ``(K, 4)`` without zoom, all as in :mod:`framewright.ops.camera_path`; ``zoom`` ``(K,)``. Paths begin
    anew with every scene that is found or marked (:func:`framewright.inference.mark_shots`). With a bounded look-ahead,
    memory does not depend on the length of the video.

    Args:
        net: path network, :class:`framewright.models.stabilization.PathSmoother`.
        chunks: the frames, all of one size.
        context: device; networks run in float32.
        name: of the method, for messages.
        pixel_budget: not used: frames are moved one at a time.
        options: a :class:`StabilizationOptions`.

    Raises:
        ConfigError: options that contradict each other or the path network.
        DataError: frames differ in size.
    """
    options = StabilizationOptions() if options is None else options
    assert isinstance(options, StabilizationOptions)
    starts: deque[bool] = deque()
    frames = _frames(_noting_starts(chunks, starts), context.video_id)
    analysed = _analysed(frames, options.estimator(context.device), context.device, starts)
    analysed = _threaded(analysed, options.threads > 1)
    rendered: Iterator[_Rendered] = _render(_planned(analysed, net, options), options, context)
    if options.border == "inpaint":
        rendered = _filled(rendered, options.filler, context, name)
    for position, made in enumerate(_threaded(rendered, options.threads > 2)):
        plan = made.plan
        extras = {"seen": plan.seen, "smooth": plan.smooth, "correction": plan.correction}
        extras |= {"validity": made.validity, "zoom": torch.tensor(plan.zoom)}
        yield Chunk(position, made.frame[None], {key: value[None] for key, value in extras.items()})


def plan_frames(
    net: nn.Module, frames: Iterator[Tensor], context: Context, options: StabilizationOptions
) -> Iterator[Planned]:
    """What will be done to each frame, without keeping frames in memory.

    Args:
        net: path network.
        frames: ``(3, H, W)`` in [0, 1], in order.
        context: device.
        options: how to follow the camera and to plan.

    Raises:
        ConfigError: options that contradict each other or the path network.
        DataError: frames differ in size.
    """
    planner: PathPlanner | None = None
    estimator = options.estimator(context.device)
    for frame, motion in _analysed(
        _frames((Chunk(0, x[None]) for x in frames), context.video_id), estimator, context.device
    ):
        planner = planner or options.planner(net, (int(frame.shape[1]), int(frame.shape[2])))
        yield from planner.push(motion)
    if planner is not None:
        yield from planner.finish()


def move_frames(
    planned: Iterator[tuple[Tensor, Planned]], context: Context, options: StabilizationOptions, name: str
) -> Iterator[Chunk]:
    """Frames ``(3, H, W)`` as planned, one by one, with ``extras["validity"]`` as of :func:`stabilize_chunks`.

    Borders of ``options`` may look at frames before (``previous``) or around (``inpaint``).
    """
    rendered: Iterator[_Rendered] = _render(planned, options, context)
    if options.border == "inpaint":
        rendered = _filled(rendered, options.filler, context, name)
    for position, made in enumerate(rendered):
        yield Chunk(position, made.frame[None], {"validity": made.validity[None]})


def stabilize_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    net: nn.Module | str = "kalman_rts",
    options: StabilizationOptions | None = None,
    device: str | torch.device = "cpu",
    crf: int = 16,
) -> list[Planned]:
    """Stabilise a video file; sound, times and colour tags are kept.

    A path network that wants the whole path has the file read twice, so that memory never depends on its length.

    Args:
        source: video file or folder of frames.
        target: file to write.
        net: path network, or the name of a registered one.
        options: how to run it.
        device: where networks run and frames are moved.
        crf: of the written video, see :class:`framewright.video.writer.VideoWriter`.

    Returns:
        What was done to each frame.

    Raises:
        VideoError: the source cannot be read or the target not be written.
        ConfigError: options that contradict each other or the path network.
    """
    options = options or StabilizationOptions()
    net = create_model(net) if isinstance(net, str) else net
    context = Context("stabilization", video_id=Path(source).stem, device=torch.device(device))
    plans: list[Planned] = []
    with open_video(source, access="stream") as reader:

        def frames() -> Iterator[Tensor]:
            return _frames((Chunk(0, _to_tensor(part)) for part in reader.iterate(8)), context.video_id)

        planner = options.planner(net.to(context.device).eval(), reader.size)
        if planner.look_ahead is None:
            analysed = _analysed(frames(), options.estimator(context.device), context.device)
            for _, motion in giving_memory_back(_threaded(analysed, options.threads > 1)):
                plans += planner.push(motion)
            plans += planner.finish()
            planned: Iterator[tuple[Tensor, Planned]] = zip(frames(), plans, strict=True)
            planned = _threaded(planned, options.threads > 1)
        else:
            analysed = _analysed(frames(), options.estimator(context.device), context.device)
            planned = _noting(_planned(_threaded(analysed, options.threads > 1), net, options), plans)
        rendered: Iterator[_Rendered] = _render(planned, options, context)
        if options.border == "inpaint":
            rendered = _filled(rendered, options.filler, context, context.video_id)
        with VideoWriter(target, crf=crf, source=reader) as writer:
            for made in giving_memory_back(_threaded(rendered, options.threads > 2)):
                writer.write((made.frame * 255).round().byte().permute(1, 2, 0)[None].numpy())
    return plans


def _threaded(items: Iterator[Item], wanted: bool) -> Iterator[Item]:
    return ahead(items, 2) if wanted else items


def _noting(planned: Iterator[tuple[Tensor, Planned]], plans: list[Planned]) -> Iterator[tuple[Tensor, Planned]]:
    for frame, plan in planned:
        plans.append(plan)
        yield frame, plan


def _to_tensor(frames: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(255)


def _noting_starts(chunks: Iterable[Chunk], starts: deque[bool]) -> Iterator[Chunk]:
    for chunk in chunks:
        starts.extend(starts_of(chunk))
        yield chunk


def _frames(chunks: Iterable[Chunk], video: str) -> Iterator[Tensor]:
    """Frames one by one, without what surrounds them in memory."""
    size: torch.Size | None = None
    for chunk in chunks:
        for frame in chunk.frames:
            if size is not None and frame.shape != size:
                raise DataError(f"the frames of the video {video!r} change their size from {size} to {frame.shape}")
            size = frame.shape
            yield frame


def _analysed(
    frames: Iterator[Tensor], estimator: MotionEstimator, device: torch.device, starts: deque[bool] | None = None
) -> Iterator[tuple[Tensor, FrameMotion]]:
    for frame in frames:
        cut = starts.popleft() if starts else False
        if cut:
            estimator.reset()
        motion = estimator.push(frame.to(device, torch.float32))
        yield frame, motion._replace(cut=True) if cut else motion


def _planned(
    analysed: Iterator[tuple[Tensor, FrameMotion]], net: nn.Module, options: StabilizationOptions
) -> Iterator[tuple[Tensor, Planned]]:
    """Frames with their plans; those that wait for theirs are kept in 8 bits where that loses nothing."""
    waiting: deque[Tensor] = deque()
    planner: PathPlanner | None = None
    for frame, motion in analysed:
        planner = planner or options.planner(net, (int(frame.shape[1]), int(frame.shape[2])))
        waiting.append(_packed(frame))
        for plan in planner.push(motion):
            yield _unpacked(waiting.popleft()), plan
    for plan in planner.finish() if planner is not None else ():
        yield _unpacked(waiting.popleft()), plan


def _packed(frame: Tensor) -> Tensor:
    levels = (frame * 255).round().clamp(0, 255).byte()
    # a copy, because a view would keep the whole chunk in memory
    return levels if torch.equal(levels.float() / 255, frame) else frame.clone()


def _unpacked(frame: Tensor) -> Tensor:
    return frame.float() / 255 if frame.dtype == torch.uint8 else frame


def _render(
    planned: Iterator[tuple[Tensor, Planned]], options: StabilizationOptions, context: Context
) -> Iterator[_Rendered]:
    border: Border = "mirror" if options.border in ("previous", "inpaint") else options.border  # type: ignore[assignment]
    before: tuple[Tensor, Tensor] | None = None
    for frame, plan in planned:
        correction = with_zoom(plan.correction, torch.tensor(plan.zoom, dtype=torch.float64))
        given = frame[None].to(context.device, torch.float32)
        with torch.no_grad():
            if bool(correction.abs().max() < 1e-9):
                made, validity = given, torch.ones_like(given[:, :1])
            else:
                made, validity = compensate(given, correction[None], border, options.interpolation)
            if options.border == "previous":
                camera = after(correction, plan.seen)
                if before is not None and not plan.starts:
                    moved, _ = compensate(before[0], after(camera, inverse(before[1]))[None], border)
                    made = torch.where(validity > 0, made, moved)
                before = made, camera
        yield _Rendered(made[0].clamp(0, 1).cpu(), validity[0].cpu(), plan)


def _filled(rendered: Iterator[_Rendered], filler: str, context: Context, name: str) -> Iterator[_Rendered]:
    """The same with the border made up by an inpainting method."""
    net = _network(filler, "inpainting").to(context.device).eval()
    clip = get_card(filler).baseline if filler in list_models() else False
    options = InpaintingOptions() if clip else InpaintingOptions(mode="bounded")
    waiting: deque[_Rendered] = deque()

    def holes() -> Iterator[Chunk]:
        for position, made in enumerate(rendered):
            waiting.append(made)
            yield Chunk(position, made.frame[None], {"mask": 1 - made.validity[None]})

    inner = Context("inpainting", video_id=context.video_id, device=context.device, precision=context.precision)
    budget = pixel_budget_for(context.device)
    for chunk in inpaint_chunks(net, holes(), inner, name=name, pixel_budget=budget, options=options):
        for frame in chunk.frames:
            yield waiting.popleft()._replace(frame=frame.clamp(0, 1))


def _network(spec: str, task: str) -> nn.Module:
    """A registered network or baseline by name, or one from a weight file or run folder.

    Raises:
        ConfigError: neither is there, or it is for another task.
    """
    if spec in list_models():
        if get_card(spec).task != task:
            raise ConfigError(f"{spec!r} is for {get_card(spec).task}, expected a network for {task}")
        if not get_card(spec).baseline:
            raise ConfigError(f"{spec!r} needs weights: give a weight file or a run folder of it")
        return create_model(spec)
    if not Path(spec).exists():
        known = ", ".join(list_models(task, baselines=True))
        raise ConfigError(f"{spec!r} is neither a method for {task} without weights ({known}) nor a file or run folder")
    return load_model(spec)
