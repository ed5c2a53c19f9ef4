"""Everything an evaluation leaves behind: JSON, Markdown, LaTeX, CSV and one HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.files import write_json, write_text
from .formats import latex, markdown, table_csv, videos_csv
from .plots import look, video_plot
from .results import MetricColumn, Results, write_results
from .samples import Clip, Gallery, Still
from .tables import heading, make_table, number

# pictures and clips beyond it are linked, so that a browser can still open the page
INLINE_BYTES = 48 * 2**20
_LONG_NAME = 28
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Written:
    """Where the parts of a report lie."""

    results: Path
    markdown: Path
    latex: Path
    csv: Path
    videos: Path
    html: Path


def write_reports(
    results: Results,
    out: str | Path,
    gallery: Gallery | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Written:
    """Write all formats into the folder ``out``, each file atomically.

    Args:
        results: of the evaluation.
        out: made if necessary.
        gallery: pictures for the page; they are put into it, so that it can be sent as a single file, as long as
            it does not get larger than :data:`INLINE_BYTES`.
        manifest: of the data set, written as ``data_manifest.json``.

    Raises:
        FramewrightError: ``out`` cannot be written to.
    """
    out = Path(out)
    written = Written(
        results=out / "results.json",
        markdown=out / "table.md",
        latex=out / "table.tex",
        csv=out / "table.csv",
        videos=out / "videos.csv",
        html=out / "report.html",
    )
    write_results(results, written.results)
    if manifest is not None:
        write_json(out / "data_manifest.json", manifest)
    write_text(written.markdown, markdown(results))
    write_text(written.latex, latex(results))
    write_text(written.csv, table_csv(results))
    write_text(written.videos, videos_csv(results))
    write_text(written.html, html(results, gallery or Gallery(), out))
    return written


def html(results: Results, gallery: Gallery, out: Path) -> str:
    """The page: self-contained, readable offline and without JavaScript, which only adds sorting and the player.

    Args:
        results: of the evaluation.
        gallery: pictures, which are read and put into the page.
        out: folder that the page will lie in; large clips are linked relative to it.
    """
    return render("report.html", results, gallery, out)


def render(template: str, results: Results, gallery: Gallery, out: Path, **more: Any) -> str:
    """A page made of ``templates/<template>``, which knows the names in ``more`` beside those of every report."""
    import jinja2
    import markupsafe

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table = make_table(results)
    embedder = _Embedder(out)
    curves = [(curve.method, *embedder.addresses([curve.image], "image/png")) for curve in gallery.curves]
    stills = [_still(still, embedder) for still in gallery.stills]
    linked = len(embedder.linked)
    clips = [_clip(clip, embedder) for clip in gallery.clips]
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    columns = _video_columns(results)
    page: str = templates.get_template(template).render(
        results=results,
        table=table,
        headings=[_unbroken(heading(column)) for column in table.columns],
        long_names=max((len(method.name) for method in results.methods), default=0) > _LONG_NAME,
        intervals=any(cell.interval for row in table.rows for cell in row.cells),
        looks=[look(index) for index in range(len(results.methods))],
        plots=[plot for column in table.columns if (plot := video_plot(results, column)) is not None],
        videos=_video_rows(results, columns),
        video_columns=columns,
        column_heads={column.key: _unbroken(heading(column)) for column in columns},
        stills=stills,
        curves=curves,
        clips=clips,
        clips_linked=len(embedder.linked) > linked,
        environment=_flat(results.environment),
        style=markupsafe.Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=markupsafe.Markup(script),
        # the page runs this script and no other, whatever a method or a video is called
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        **more,
    )
    return page


def _unbroken(text: str) -> str:
    """A heading whose arrow never stands alone on a line."""
    return "\N{NO-BREAK SPACE}".join(text.rsplit(" ", 1))


def _video_columns(results: Results) -> list[MetricColumn]:
    """The columns that have values per video."""
    videos = [video for method in results.methods for video in method.videos.values()]
    return [c for c in results.protocol.metrics if any(video.get(c.key) is not None for video in videos)]


def _video_rows(results: Results, columns: Sequence[MetricColumn]) -> list[dict[str, Any]]:
    """Per video one list of cells, method by method and metric by metric; the best of a video is marked."""
    rows = []
    for video in results.methods[0].videos if results.methods and columns else ():
        best = {column.key: _best(results, video, column) for column in columns}
        cells = []
        for method in results.methods:
            for column in columns:
                value = method.videos[video].get(column.key)
                text = number(value, column)
                marked = value is not None and text == best[column.key]
                classes = [*(["best"] if marked else []), *(["starts"] if column is columns[0] else [])]
                cells.append({"text": text, "number": value, "classes": " ".join(classes)})
        rows.append({"video": video, "cells": cells})
    return rows


def _best(results: Results, video: str, column: MetricColumn) -> str | None:
    """The best value as it is printed; None where there is nothing to compare."""
    found = [v for m in results.methods if (v := m.videos[video].get(column.key)) is not None]
    if len(found) < 2:
        return None
    return number(max(found) if column.higher_is_better else min(found), column)


class _Embedder:
    """Puts files into a page until it is large enough, and links the others relative to it."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.left = INLINE_BYTES
        self.linked: list[Path] = []

    def addresses(self, paths: Sequence[Path], kind: str) -> list[str]:
        """Of files that belong together: all of them in the page, or none."""
        size = sum(path.stat().st_size for path in paths)
        if size <= self.left:
            self.left -= size
            return [f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}" for path in paths]
        self.linked += paths
        return [quote(self._relative(path)) for path in paths]

    def _relative(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.out).as_posix()
        except ValueError:
            return path.name


def _still(still: Still, embedder: _Embedder) -> dict[str, Any]:
    paths = [path for p in still.panels for path in (p.image, p.error, p.warped) if path is not None]
    addresses = dict(zip(paths, embedder.addresses(paths, "image/jpeg"), strict=True))
    panels = [
        {
            "label": panel.label,
            "caption": panel.caption,
            "image": addresses[panel.image],
            "error": None if panel.error is None else addresses[panel.error],
            "warped": None if panel.warped is None else addresses[panel.warped],
        }
        for panel in still.panels
    ]
    return {"title": still.title, "video": still.video, "frame": still.frame, "panels": panels, "legend": still.legend}


def _clip(clip: Clip, embedder: _Embedder) -> dict[str, Any]:
    """With one file per method, the file with all side by side stays out of the page."""
    sources = embedder.addresses([track.path for track in clip.tracks] or [clip.path], "video/mp4")
    labels = [track.label for track in clip.tracks]
    return {
        "video": clip.video,
        "labels": clip.labels,
        "source": sources[0],
        "tracks": [{"label": label, "source": source} for label, source in zip(labels, sources, strict=False)],
        "fps": clip.fps,
        "frames": clip.frames,
        "height": clip.size[0],
        "width": clip.size[1],
    }


def _flat(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The environment as lines for people."""
    lines = []
    for key, value in environment.items():
        if key == "git":
            text = f"{value['commit']}{' with uncommitted changes' if value['dirty'] else ''}"
        elif isinstance(value, Mapping):
            text = ", ".join(f"{name} {entry}" for name, entry in value.items())
        elif isinstance(value, list):
            text = ", ".join(str(entry) for entry in value)
        else:
            text = str(value)
        lines.append((key.replace("_", " "), text or "none"))
    return lines
