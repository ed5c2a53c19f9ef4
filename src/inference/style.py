"""Style transfer over a stream of frames: a reference, a state that is carried, and its reset at cuts."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError, DataError
from ..core.files import sha256_file
from ..models.registry import create_model, list_models, load_model
from ..video.reference import read_reference
from .coherence import CoherenceFilter
from .cuts import CHANGE, MotionCutDetector
from .method import Chunk, Context
from .pairs import batches
from .shots import SHOT_START, starts_of


class StyleOptions(Section):
    """How a style network is run over a video.

    Attributes:
        reference: image, video or folder of frames in the wanted style; null: what the benchmark gives. Networks that
            have one style do not look at it, but measures of style compare with it.
        reference_frames: at most so many frames of a reference clip, evenly spread.
        reference_size: longer side in pixels to which larger references are shrunk; null: not at all.
        cuts: a state that is carried from frame to frame begins anew at scene cuts, which are looked for; at marked
            ones (:func:`framewright.inference.mark_shots`) it does so in any case.
        cut_change: mean change of luma in [0, 1] that a cut has at least.
        coherence: in (0, 1]: strength of a filter over the result that makes it follow the motion of its source, see
            :class:`framewright.inference.coherence.CoherenceFilter`; null: none.
        flow: for that filter: a registered flow method without weights, or a weight file or run folder of one.
    """

    reference: str | None = None
    reference_frames: int = Field(default=8, ge=1)
    reference_size: int | None = Field(default=512, ge=16)
    cuts: bool = True
    cut_change: float = Field(default=CHANGE, gt=0, lt=1)
    coherence: float | None = Field(default=None, gt=0, le=1)
    flow: str = "dis"

    def read(self) -> Tensor | None:
        """The reference ``(S, 3, h, w)`` in [0, 1]; None where there is none.

        Raises:
            DataError, VideoError: it cannot be read.
        """
        if self.reference is None:
            return None
        path = Path(self.reference).expanduser()
        return _read(str(path), self.reference_frames, self.reference_size, _stamp(path))

    def identity(self) -> dict[str, Any]:
        """What a result depends on: all options, and what the files hold that they name."""
        values = self.model_dump(mode="json")
        for name in ("reference", "flow"):
            path = Path(str(values[name])).expanduser()
            if values[name] is not None and path.exists():
                values[f"{name}_sha256"] = _contents(path)
        return values


class _Frame(NamedTuple):
    """One frame ``(3, H, W)``, and whether a scene begins with it."""

    image: Tensor
    starts: bool


def style_chunks(
    net: nn.Module, chunks: Iterable[Chunk], context: Context, *, name: str, pixel_budget: int, options: Section
) -> Iterator[Chunk]:
    """Yield all frames in another style, as many and as large.

    A recurrent network keeps its state over a scene and begins anew with the next one; others see no cuts. Where chunks
    have ``extras["shot_start"]`` cuts are where that says, elsewhere they are looked for. The result depends on the
    position in the video and on the pixel budget, never on how the video was cut into chunks, and memory does not
    depend on its length.

    Args:
        net: style network on ``context.device``, in eval mode (:mod:`framewright.models.style.contract`).
        chunks: the frames, all of one size.
        context: device, precision, and a reference where the options name none.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` in one forward pass (a single frame always runs).
        options: a :class:`StyleOptions`.

    Raises:
        ConfigError: the network needs a reference and there is none, or no such flow method.
        DataError: the reference cannot be read, or frames differ in size.
        ValueError: the network returned another shape.
    """
    assert isinstance(options, StyleOptions)
    reference = _reference(net, context, name, options)
    recurrent = bool(getattr(net, "recurrent", False))
    smooth = None if options.coherence is None else _filter(options, context.device)
    detector = MotionCutDetector(options.cut_change) if options.cuts and (recurrent or smooth is not None) else None
    position, state = 0, None
    frames = _frames(chunks, context.video_id, detector)
    for batch in batches(frames, pixel_budget, lambda frame: frame.image):
        made = []
        for scene in _scenes(batch):
            if recurrent and scene[0].starts:
                state = None
            video, state = _forward(net, scene, reference, state, context, name)
            made.append(video)
        images = torch.cat(made)
        if smooth is not None:
            images = torch.stack([_smoothed(smooth, *pair) for pair in zip(batch, images, strict=True)])
        yield Chunk(position, images.clamp(0, 1))
        position += len(batch)


def _reference(net: nn.Module, context: Context, name: str, options: StyleOptions) -> Tensor | None:
    """The clip ``(1, S, 3, h, w)`` on the device; None for a network with a style of its own."""
    if not getattr(net, "takes_reference", False):
        return None
    clip = options.read()
    clip = context.reference if clip is None else clip
    if clip is None:
        raise ConfigError(
            f"method {name!r} takes the style of a reference, and there is none: set inference: {{reference: <image, "
            "video or folder>}, or data.reference of a benchmark"
        )
    return clip[None].to(context.device, torch.float32)


def _frames(chunks: Iterable[Chunk], video: str, detector: MotionCutDetector | None) -> Iterator[_Frame]:
    size: torch.Size | None = None
    for chunk in chunks:
        known = SHOT_START in chunk.extras
        for image, marked in zip(chunk.frames, starts_of(chunk), strict=True):
            if size is not None and image.shape != size:
                raise DataError(
                    f"the frames of the video {video!r} change their size from {size[2]}x{size[1]} to "
                    f"{image.shape[2]}x{image.shape[1]} (width x height)"
                )
            starts = size is None
            size = image.shape
            cut = detector is not None and (marked if known else detector.push(image))
            yield _Frame(image, starts or cut)


def _scenes(batch: list[_Frame]) -> Iterator[list[_Frame]]:
    """Parts of a batch that lie in one scene."""
    begins = [place for place, frame in enumerate(batch) if frame.starts or place == 0]
    for begin, end in zip(begins, [*begins[1:], len(batch)], strict=True):
        yield batch[begin:end]


def _forward(
    net: nn.Module, scene: list[_Frame], reference: Tensor | None, state: Any, context: Context, name: str
) -> tuple[Tensor, Any]:
    video = torch.stack([frame.image for frame in scene])[None].to(context.device, torch.float32)
    # Not inference_mode: a network may keep tensors (sampling grids) that training later needs in autograd.
    with (
        torch.no_grad(),
        torch.autocast(context.device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
    ):
        made = net(video, reference, state)
    if tuple(made.video.shape) != tuple(video.shape):
        raise ValueError(f"method {name!r} returned {tuple(made.video.shape)}, expected {tuple(video.shape)}")
    return made.video[0].float().cpu(), made.state


def _smoothed(smooth: CoherenceFilter, frame: _Frame, made: Tensor) -> Tensor:
    if frame.starts:
        smooth.reset()
    return smooth.push(frame.image, made)


def _filter(options: StyleOptions, device: torch.device) -> CoherenceFilter:
    assert options.coherence is not None
    if options.flow in list_models("flow", baselines=True):
        flow = create_model(options.flow)
    elif Path(options.flow).expanduser().exists():
        flow = load_model(Path(options.flow).expanduser())
    else:
        what = "needs weights: give a weight file" if options.flow in list_models() else "is no flow method"
        known = ", ".join(list_models("flow", baselines=True))
        raise ConfigError(f"flow={options.flow!r} {what} (without weights: {known}; or a weight file or run folder)")
    return CoherenceFilter(flow.to(device).eval(), options.coherence, device)


@functools.lru_cache(maxsize=8)
def _read(path: str, frames: int, size: int | None, stamp: tuple[int, ...]) -> Tensor:
    """Read once, as long as the file is the same."""
    return read_reference(path, frames, size)


def _stamp(path: Path) -> tuple[int, ...]:
    files = [path, *(sorted(path.iterdir()) if path.is_dir() else ())]
    stats = [file.stat() for file in files if file.exists()]
    return tuple(value for stat in stats for value in (stat.st_mtime_ns, stat.st_size))


def _contents(path: Path) -> dict[str, str]:
    """The SHA-256 of a file, or of all files of a folder, by name."""
    files = [path] if path.is_file() else sorted(entry for entry in path.iterdir() if entry.is_file())
    return {entry.name: sha256_file(entry) for entry in files}
