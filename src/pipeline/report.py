"""What a run leaves for people: a page with timings and frames before and after, and a video of both."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..core.files import write_json, write_text
from ..video import VideoReader, VideoWriter, open_video
from .executor import EditRun

Preview = Literal["side_by_side", "wipe"]

_TEMPLATES = Path(__file__).parent / "templates"
_COLOURS = ("#3b82b0", "#d98032", "#4d9f62", "#b04d8f", "#8067c0", "#a08030", "#40a0a0", "#808080")
_WAITING = "wait"
_PAIRS = 3
_SIDE = 640
# of the line between both sides of a wipe, and seconds that it takes to cross
_LINE = 2
_SWEEP = 4.0


def write_report(run: EditRun, plan: Sequence[str], page: Path) -> None:
    """Write the page, and beside it the same figures as JSON.

    Args:
        run: what was done.
        plan: its description, line by line.
        page: file to write, ending in ``.html``.

    Raises:
        FramewrightError: a file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader

    summary = run.timeline.summary()
    made = run.frames - run.reused
    busy = {lane: seconds for lane, seconds in summary["busy"].items() if lane != _WAITING}
    total = sum(busy.values())
    rows = [
        {"lane": lane, "seconds": seconds, "share": 100 * seconds / run.seconds, "frame": 1e3 * seconds / max(made, 1)}
        for lane, seconds in busy.items()
    ]
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    text = environment.get_template("edit.html").render(
        title=run.target.name,
        summary=f"{run.frames} frames of {run.size[1]}x{run.size[0]} in {run.seconds:.1f} s ({made / run.seconds:.1f} "
        f"frames/s), made of {run.source}" + (f"; {run.reused} frames were there already" if run.reused else ""),
        plan="\n".join(plan),
        rows=rows,
        overlap=f"Together {total:.2f} s of work in {run.seconds:.2f} s.",
        lanes=list(_lanes(summary)),
        height=28 * len(busy) + 20,
        seconds=summary["seconds"],
        pairs=_pairs(run),
    )
    write_text(page, text)
    figures = {"source": str(run.source), "target": str(run.target), "frames": run.frames, "size": list(run.size)}
    times = {"seconds": round(run.seconds, 4), "reused": run.reused, "work": round(total, 4)}
    write_json(page.with_suffix(".json"), {**figures, **times, "timeline": summary})


def write_preview(run: EditRun, kind: Preview, target: Path) -> None:
    """Write a video that shows before and after at once, in the size of the result.

    Args:
        run: what was done.
        kind: ``side_by_side``, or ``wipe``: a line moves to and fro, before on its left, after on its right.
        target: file to write.

    Raises:
        VideoError: a file cannot be read or written.
    """
    with open_video(run.source) as source, open_video(run.target) as result:
        height, width = result.size
        wide = 2 * width if kind == "side_by_side" else width
        base = result.probe().time_base
        with VideoWriter(target, size=(height, wide), source=result, time_base=base) as writer:
            for number, shown in enumerate(result.timestamps):
                before = _before(source, result, float(shown), (height, width))
                after = result.get([number])[0]
                if kind == "side_by_side":
                    both = np.concatenate([before, after], axis=1)
                else:
                    both = _wiped(before, after, float(shown))
                writer.write(both[None])


def _wiped(before: NDArray[np.uint8], after: NDArray[np.uint8], seconds: float) -> NDArray[np.uint8]:
    phase = seconds / _SWEEP % 2
    place = round(min(phase, 2 - phase) * before.shape[1])
    both = after.copy()
    both[:, :place] = before[:, :place]
    both[:, max(0, place - _LINE) : place + _LINE] = 255
    return both


def _before(source: VideoReader, result: VideoReader, shown: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The source's frame at a time of the result, in the size of the result."""
    # both clocks begin with the first frame; half a millisecond is the rounding of Matroska
    seconds = shown - float(result.timestamps[0]) + float(source.timestamps[0]) + 5e-4
    frame: NDArray[np.uint8] = source.get([max(0, bisect_right(source.timestamps.tolist(), seconds) - 1)])[0]
    if frame.shape[:2] == size:
        return frame
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(image, size, mode="bicubic", align_corners=False, antialias=True)
    levels: NDArray[np.uint8] = scaled[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return levels


def _lanes(summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    scale = 840 / max(summary["seconds"], 1e-9)
    shown = [lane for lane in summary["spans"] if lane != _WAITING]
    for place, lane in enumerate(shown):
        bars = [
            {"x": round(160 + start * scale, 2), "width": round(max((end - start) * scale, 0.3), 2)}
            for start, end in summary["spans"][lane]
        ]
        yield {"name": lane, "y": 28 * place, "colour": _COLOURS[place % len(_COLOURS)], "bars": bars}


def _pairs(run: EditRun) -> list[dict[str, Any]]:
    pairs = []
    with open_video(run.source) as source, open_video(run.target) as result:
        count = min(_PAIRS, len(result))
        numbers = sorted({round((place + 0.5) * (len(result) - 1) / count) for place in range(count)})
        for number in numbers:
            shown = float(result.timestamps[number])
            after = result.get([number])[0]
            before = _before(source, result, shown, (after.shape[0], after.shape[1]))
            pairs.append({"time": shown, "before": _inline(before), "after": _inline(after)})
    return pairs


def _inline(frame: NDArray[np.uint8]) -> str:
    import cv2

    factor = min(1.0, _SIDE / max(frame.shape[:2]))
    small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else frame
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
