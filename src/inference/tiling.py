"""Large images in tiles: exact where a network sees less far than the overlap, blended where it does not.

A network says as ``receptive_radius`` how far, in pixels of its input, an output pixel looks to each side, and as
``alignment`` where tiles may begin (a network that folds 2x2 pixels into channels: at multiples of 2). Every tile is
computed with its surroundings. Where these hold all that is looked at, the inner part is what the whole image would
have given, up to the order of additions, and is pasted. A network that looks further than is reasonable to compute
twice (RRDBNet: hundreds of pixels), or does not say how far, gets tiles that overlap and are blended across the
overlap: no seams, but not the figures of the whole image.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, FramewrightError

_log = logging.getLogger(__name__)

#: the widest surroundings that are computed for the sake of exact tiles
WIDEST_EXACT = 96
#: surroundings of tiles that are blended
BLENDED_OVERLAP = 32
#: the smallest tile that is tried where memory runs out
SMALLEST_TILE = 32


@dataclass(frozen=True)
class TileRule:
    """How an image is cut.

    Attributes:
        overlap: pixels of the input computed around each tile.
        exact: the overlap covers all that a network sees; else tiles are blended.
        alignment: tiles begin at multiples of it.
        scale: how many times larger the output is.
    """

    overlap: int
    exact: bool
    alignment: int = 1
    scale: int = 1


class Span(NamedTuple):
    """A tile along one axis: pixels that are kept, and those that are computed."""

    start: int
    stop: int
    outer_start: int
    outer_stop: int


def tile_rule(net: nn.Module, scale: int = 1, overlap: int | None = None) -> TileRule:
    """The rule that suits a network.

    Args:
        net: may have the attributes ``receptive_radius`` and ``alignment``.
        scale: of its output.
        overlap: pixels around each tile instead of those chosen here.

    Raises:
        ConfigError: a negative overlap.
    """
    radius: int | None = getattr(net, "receptive_radius", None)
    alignment = int(getattr(net, "alignment", 1))
    if overlap is None:
        overlap = BLENDED_OVERLAP if radius is None or radius > WIDEST_EXACT else radius
    if overlap < 0:
        raise ConfigError(f"the overlap of tiles must not be negative, got {overlap}")
    exact = radius is not None and overlap >= radius
    return TileRule(_up(overlap, alignment), exact, alignment, scale)


def run_tiled(run: Callable[[Tensor], Tensor], image: Tensor, tile: int | None, rule: TileRule, name: str) -> Tensor:
    """``run(image)``, tile by tile where asked for or where memory runs out.

    Where memory runs out, frames are taken one by one, and then the tile is halved until it suffices; a warning says
    so, because blended tiles change the result.

    Args:
        run: the network; ``(B, 3, h, w)`` becomes ``(B, C, scale * h, scale * w)``.
        image: ``(B, 3, H, W)``.
        tile: side of the kept part of a tile in pixels of the input; None: the whole image if it fits.
        rule: overlap and blending.
        name: of the method, for messages.

    Returns:
        ``(B, C, scale * H, scale * W)`` float32 on the CPU.

    Raises:
        ConfigError: a tile below 1 pixel.
        FramewrightError: there is not even enough memory for the smallest tile.
        ValueError: the network did not enlarge an image as it should.
    """
    if tile is not None and tile < 1:
        raise ConfigError(f"method {name!r}: a tile has at least 1 pixel, got {tile}")
    longest = max(image.shape[-2:])
    side = longest if tile is None else min(tile, longest)
    while True:
        try:
            return _all_tiles(run, image, side, rule, name)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            smaller = _next_side(side, longest, rule)
            if smaller is None and len(image) == 1:
                raise FramewrightError(
                    f"method {name!r}: not enough memory on {image.device} for a tile of {side}x{side} of a frame of "
                    f"{image.shape[3]}x{image.shape[2]} (width x height)"
                ) from error
        # outside the handler, which holds on to the tensors of the failed pass
        if image.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(image) > 1:
            return torch.cat([run_tiled(run, frame[None], tile, rule, name) for frame in image])
        assert smaller is not None
        how = "the result stays the same" if rule.exact else "tiles are blended, which changes the result a little"
        _log.warning("method %r: out of memory, going on with tiles of %d pixels; %s", name, smaller, how)
        side = smaller


def _next_side(side: int, longest: int, rule: TileRule) -> int | None:
    """Half the tile; None where that is too small to help."""
    half = _up((side + 1) // 2, rule.alignment)
    least = min(SMALLEST_TILE, longest)
    return half if half < side and half >= least else None


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # the allocator of the CPU and cuDNN have no class of their own
    return any(sign in str(error) for sign in ("not enough memory", "can't allocate memory", "STATUS_ALLOC_FAILED"))


def _all_tiles(run: Callable[[Tensor], Tensor], image: Tensor, side: int, rule: TileRule, name: str) -> Tensor:
    height, width = image.shape[-2:]
    rows, columns = list(_spans(height, side, rule)), list(_spans(width, side, rule))
    if len(rows) == len(columns) == 1:
        return _checked(run, image, rule.scale, name).float().cpu()
    scale = rule.scale
    result: Tensor | None = None
    # the sum of a separable weight over all tiles is separable too
    totals = [_total(spans, length, rule) for spans, length in ((rows, height), (columns, width))]
    for row in rows:
        for column in columns:
            part = image[..., row.outer_start : row.outer_stop, column.outer_start : column.outer_stop]
            made = _checked(run, part, scale, name).float().cpu()
            if result is None:
                result = made.new_zeros(*made.shape[:2], height * scale, width * scale)
            if rule.exact:
                inner = [
                    slice((span.start - span.outer_start) * scale, (span.stop - span.outer_start) * scale)
                    for span in (row, column)
                ]
                made = made[..., inner[0], inner[1]]
                place = [slice(span.start * scale, span.stop * scale) for span in (row, column)]
                result[..., place[0], place[1]] = made
            else:
                place = [slice(span.outer_start * scale, span.outer_stop * scale) for span in (row, column)]
                down = _ramp(row, height, rule) / totals[0][place[0]]
                right = _ramp(column, width, rule) / totals[1][place[1]]
                result[..., place[0], place[1]] += made * (down[:, None] * right).float()
    assert result is not None
    return result


def _checked(run: Callable[[Tensor], Tensor], image: Tensor, scale: int, name: str) -> Tensor:
    made = run(image)
    expected = (len(image), image.shape[-2] * scale, image.shape[-1] * scale)
    if made.dim() != 4 or (len(made), *made.shape[2:]) != expected:
        raise ValueError(
            f"method {name!r} made {tuple(made.shape)} of an image {tuple(image.shape)}, expected "
            f"{(expected[0], 3, *expected[1:])}"
        )
    return made


def _spans(length: int, side: int, rule: TileRule) -> Iterator[Span]:
    """Tiles along one axis, as equal as the grid allows: none is a sliver."""
    count = -(-length // side)
    step = _up(-(-length // count), rule.alignment)
    for start in range(0, length, step):
        stop = min(start + step, length)
        yield Span(start, stop, max(start - rule.overlap, 0), min(stop + rule.overlap, length))


def _ramp(span: Span, length: int, rule: TileRule) -> Tensor:
    """Weights of the output pixels of a blended tile: 1 inside, falling to 0 across the overlap.

    The outer half of the surroundings, where a network sees least, gets no weight.
    """
    scale = rule.scale
    position = torch.arange((span.outer_stop - span.outer_start) * scale, dtype=torch.float64)
    position = span.outer_start + (position + 0.5) / scale
    reach = max(rule.overlap / 2, 0.5 / scale)
    weight = torch.ones_like(position)
    if span.start > 0:
        weight = weight * ((position - span.start) / (2 * reach) + 0.5).clamp(0, 1)
    if span.stop < length:
        weight = weight * ((span.stop - position) / (2 * reach) + 0.5).clamp(0, 1)
    return weight


def _total(spans: list[Span], length: int, rule: TileRule) -> Tensor:
    total = torch.zeros(length * rule.scale, dtype=torch.float64)
    for span in spans:
        total[span.outer_start * rule.scale : span.outer_stop * rule.scale] += _ramp(span, length, rule)
    return total


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
