"""Super-resolution over a stream of frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError
from ..ops.resize import Edges, shrink
from .method import Chunk, Context
from .pairs import batches
from .tiling import run_tiled, tile_rule

_log = logging.getLogger(__name__)


class SuperResolutionOptions(Section):
    """How a network is run over frames that may be large.

    Attributes:
        tile: side in pixels of the input of the tiles into which frames are cut; null: none where memory suffices.
        overlap: pixels computed around each tile; null: all that the network sees, so that tiles change nothing, where
            that is reasonable, and else 32, blended (see :mod:`framewright.inference.tiling`).
        autocast: ``float16`` or ``bfloat16`` for convolutions in that precision; null: as the context says, which knows
            ``bfloat16`` only. On a CPU without instructions for it that is slower than float32, and a warning says so.
    """

    tile: int | None = Field(default=None, ge=1)
    overlap: int | None = Field(default=None, ge=0)
    autocast: Literal["float16", "bfloat16"] | None = None


class ScaleSplit(NamedTuple):
    """What a network sees ``(T, 3, h, w)`` and what it should make of it ``(T, 3, s h, s w)``."""

    sources: Tensor
    targets: Tensor


def split_scales(frames: Tensor, scale: int, lr: Tensor | None = None, edges: Edges = "mirror") -> ScaleSplit:
    """Cut frames to a multiple of the scale, and reduce them where no low-resolution frames are given.

    Args:
        frames: ``(T, 3, H, W)`` 8-bit RGB in [0, 1].
        scale: factor.
        lr: given low-resolution frames; None: MATLAB's ``imresize`` makes them.
        edges: beyond the image, where they are made; see :func:`framewright.ops.resize.imresize`.

    Raises:
        ValueError: frames smaller than the scale, or ``lr`` of another size.
    """
    height, width = (int(side) // scale * scale for side in frames.shape[2:])
    if not (height and width):
        raise ValueError(f"{frames.shape[3]}x{frames.shape[2]} (width x height) is too small for a scale of {scale}")
    targets = frames[..., :height, :width]
    sources = shrink(targets, scale, edges) if lr is None else lr
    expected = (len(targets), 3, height // scale, width // scale)
    if tuple(sources.shape) != expected:
        raise ValueError(
            f"the low-resolution frames are {tuple(sources.shape)}, expected {expected} for a scale of {scale} and "
            f"{width}x{height} (width x height)"
        )
    return ScaleSplit(sources, targets)


def super_resolution_chunks(
    net: nn.Module,
    chunks: Iterable[Chunk],
    context: Context,
    *,
    name: str,
    pixel_budget: int,
    options: Section | None = None,
) -> Iterator[Chunk]:
    """Yield every frame enlarged by the network's ``scale``.

    Frames are independent of each other; what is computed together depends on the position in the video and on the
    pixel budget, never on how the video was cut into chunks.

    Args:
        net: super-resolution network with the attribute ``scale``, on ``context.device``, in eval mode.
        chunks: the frames, all of one size.
        context: device, precision, and the scale that is asked for.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` of the *output* of one forward pass (a single frame always runs).
        options: a :class:`SuperResolutionOptions`; None: the defaults.

    Raises:
        ConfigError: the network has another scale than is asked for.
        FramewrightError: not enough memory even for small tiles.
        ValueError: the network returned another size.
    """
    scale = int(getattr(net, "scale", 1))
    if context.scale is not None and context.scale != scale:
        raise ConfigError(f"method {name!r} enlarges {scale} times, asked for is {context.scale} times")
    options = SuperResolutionOptions() if options is None else options
    assert isinstance(options, SuperResolutionOptions)
    rule = tile_rule(net, scale, options.overlap)
    half = torch.float16 if options.autocast == "float16" else torch.bfloat16
    reduced = options.autocast is not None or context.precision == "bf16-mixed"
    if reduced and not is_fast(half, context.device):
        _log.warning("method %r: this processor has no instructions for %s, which is slower than float32", name, half)

    def run(image: Tensor) -> Tensor:
        # Not inference_mode: a network may keep tensors that training later needs in autograd.
        with torch.no_grad(), torch.autocast(context.device.type, half, enabled=reduced):
            made: Tensor = net(image)
        return made

    position = 0
    for frames in batches((frame for chunk in chunks for frame in chunk.frames), pixel_budget // scale**2, _itself):
        image = torch.stack(frames).to(context.device, torch.float32)
        result = run_tiled(run, image, options.tile, rule, name)
        yield Chunk(position, result.clamp(0, 1))
        position += len(frames)


def is_fast(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a device computes in float16 or bfloat16 itself; a CPU without such instructions converts every number.

    Where a CPU's instructions cannot be asked for (a torch without oneDNN), it has none.
    """
    if device.type != "cpu":
        return True
    asked = "_is_mkldnn_fp16_supported" if dtype is torch.float16 else "_is_mkldnn_bf16_supported"
    try:
        return bool(getattr(torch.ops.mkldnn, asked)())
    except (AttributeError, RuntimeError):
        return False


def _itself(frame: Tensor) -> Tensor:
    return frame
