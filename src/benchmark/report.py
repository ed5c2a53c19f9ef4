"""Everything an evaluation leaves behind: JSON, Markdown, LaTeX, CSV and one HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.files import write_json, write_text
from .plots import colour, video_plot
from .results import MetricColumn, Results, write_results
from .samples import Clip, Gallery, Still
from .tables import heading, latex, make_table, markdown, number, table_csv, videos_csv

# larger clips are linked, so that the page stays light
INLINE_CLIP_BYTES = 4 * 2**20


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
        gallery: pictures for the page; they are put into it, so that it can be sent as a single file.
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
    """The page: self-contained, without scripts from elsewhere, readable offline.

    Args:
        results: of the evaluation.
        gallery: pictures, which are read and put into the page.
        out: folder that the page will lie in; large clips are linked relative to it.
    """
    return render("report.html", results, gallery, out)


def render(template: str, results: Results, gallery: Gallery, out: Path, **more: Any) -> str:
    """A page made of ``templates/<template>``, which knows the names in ``more`` beside those of every report."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table = make_table(results)
    page: str = templates.get_template(template).render(
        results=results,
        table=table,
        headings=[heading(column) for column in table.columns],
        colours=[colour(index) for index in range(len(results.methods))],
        plots=[plot for column in table.columns if (plot := video_plot(results, column)) is not None],
        videos=_video_rows(results),
        stills=[_still(still) for still in gallery.stills],
        clips=[_clip(clip, out) for clip in gallery.clips],
        environment=_flat(results.environment),
        **more,
    )
    return page


def _video_rows(results: Results) -> list[dict[str, Any]]:
    """Per video one list of cells, method by method and metric by metric; the best of a video is marked."""
    rows = []
    for video in results.methods[0].videos if results.methods else ():
        best = {column.key: _best(results, video, column) for column in results.protocol.metrics}
        cells = []
        for method in results.methods:
            for column in results.protocol.metrics:
                value = method.videos[video].get(column.key)
                text = number(value, column)
                cells.append({"text": text, "best": value is not None and text == best[column.key]})
        rows.append({"video": video, "cells": cells})
    return rows


def _best(results: Results, video: str, column: MetricColumn) -> str | None:
    """The best value as it is printed; None where there is nothing to compare."""
    found = [v for m in results.methods if (v := m.videos[video].get(column.key)) is not None]
    if len(found) < 2:
        return None
    return number(max(found) if column.higher_is_better else min(found), column)


def _still(still: Still) -> dict[str, Any]:
    panels = [
        {
            "label": panel.label,
            "caption": panel.caption,
            "image": _data_uri(panel.image, "image/jpeg"),
            "error": _data_uri(panel.error, "image/jpeg") if panel.error is not None else None,
        }
        for panel in still.panels
    ]
    return {"title": still.title, "video": still.video, "frame": still.frame, "panels": panels}


def _clip(clip: Clip, out: Path) -> dict[str, Any]:
    if clip.path.stat().st_size <= INLINE_CLIP_BYTES:
        source, inline = _data_uri(clip.path, "video/mp4"), True
    else:
        try:
            relative = clip.path.resolve().relative_to(out.resolve()).as_posix()
        except ValueError:
            relative = clip.path.name
        source, inline = quote(relative), False
    return {
        "video": clip.video,
        "labels": clip.labels,
        "source": source,
        "inline": inline,
        "name": clip.path.name,
    }


def _data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


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
