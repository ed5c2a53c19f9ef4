"""The program ``python -m framewright.benchmark.devil``: scores, slices, masks and tables.

Exit status: 0 done, 2 an argument or a file is wrong (one message says which), 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.command import run_command
from ...core.errors import ConfigError, nearest

_SETTINGS: dict[str, tuple[str, ...]] = {
    "scores": ("masks", "out", "flow", "flow_weights"),
    "slices": ("out", "fraction", "largest", "group"),
    "masks": ("preset", "videos", "out", "size", "frames", "seed"),
    "table": ("out",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    return run_command(_run, arguments, "interrupted; what was finished is kept")


def _run(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    commands: dict[str, Callable[[list[str], Mapping[str, str]], None]] = {
        "scores": _scores,
        "slices": _slices,
        "masks": _masks,
        "table": _table,
    }
    files, settings = _split(options.command, options.arguments)
    commands[options.command](files, settings)


def _split(command: str, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Files, and settings written ``key=value``; a word with ``=`` whose beginning is no setting's shape is a file."""
    files: list[str] = []
    settings: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.isidentifier():
            files.append(argument)
        elif key not in _SETTINGS[command]:
            known = _SETTINGS[command]
            raise ConfigError(f"{command} has no setting {key!r}{nearest(key, known)} (known: {', '.join(known)})")
        else:
            settings[key] = value
    return files, settings


def _only(command: str, files: Sequence[str], expected: str, least: int, most: int) -> None:
    if not least <= len(files) <= most:
        raise ConfigError(f"{command} takes {expected}, got {' '.join(files) or 'nothing'}")


def _required(command: str, settings: Mapping[str, str], key: str, example: str) -> str:
    if not settings.get(key):
        raise ConfigError(f"{command} needs {key}={example}")
    return settings[key]


def _number(settings: Mapping[str, str], key: str, default: float, kind: Callable[[str], Any]) -> Any:
    text = settings.get(key)
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{key}={text} should be a {'whole ' if kind is int else ''}number") from None


def _scores(files: list[str], settings: Mapping[str, str]) -> None:
    from .flows import flow_function
    from .scoring import score_folder

    _only("scores", files, "the folder of videos", 0, 1)
    out = _required("scores", settings, "out", "scores.json")
    name, weights = settings.get("flow", "dis"), settings.get("flow_weights")
    flow = flow_function(name, weights) if files else None
    scores = score_folder(
        files[0] if files else None,
        out,
        masks=settings.get("masks"),
        flow=flow,
        flow_name=name if weights is None else f"{name}:{weights}",
        report=lambda video, entry: print(f"{video}: {_line(entry)}", flush=True),
    )
    print(f"{len(scores['videos'])} videos scored: {out}")


def _line(entry: Mapping[str, Any]) -> str:
    shown = {key: "-" if value is None else value for key, value in entry["scores"].items()}
    return "  ".join(
        f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items()
    )


def _slices(files: list[str], settings: Mapping[str, str]) -> None:
    from .scoring import read_scores
    from .slices import FRACTION, LARGEST, make_slices, write_slices

    _only("slices", files, "the file of scores", 1, 1)
    out = _required("slices", settings, "out", "slices.json")
    scores = read_scores(files[0])
    options = {
        "fraction": _number(settings, "fraction", FRACTION, float),
        "largest": _number(settings, "largest", LARGEST, int),
        "group": settings.get("group"),
    }
    slices = make_slices(scores, **options)
    write_slices(out, slices, scores, **options)
    for piece in slices:
        print(f"{piece.name}: {len(piece.videos)} video{'' if len(piece.videos) == 1 else 's'}")
    print(f"slices: {out}")


def _masks(files: list[str], settings: Mapping[str, str]) -> None:
    from ...datamodules.masks import devil_masks, write_mask_folder
    from ...datamodules.masks.devil import FRAMES

    _only("masks", files, "settings only", 0, 0)
    name = _required("masks", settings, "preset", "fgs-l_fgm-h_fgd-l, or a split such as fgs-l or all")
    out = _required("masks", settings, "out", "<folder>")
    videos = devil_masks(
        name,
        _number(settings, "videos", 150, int),
        frames=_number(settings, "frames", FRAMES, int),
        size=_size(settings.get("size", "832x480")),
        seed=_number(settings, "seed", 0, int),
    )
    named = {f"{index:05d}": video for index, video in enumerate(videos)}
    manifest = write_mask_folder(named, out, report=lambda video: print(video, flush=True))
    print(f"{len(named)} mask videos of {name} in {out}; manifest {manifest['sha256'][:16]}")


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise ConfigError(f"size={text} should be width x height, such as 432x240")
    return int(height), int(width)


def _table(files: list[str], settings: Mapping[str, str]) -> None:
    from ..results import read_results
    from .slices import read_slices
    from .table import slice_table, write_slice_table

    _only("table", files, "results.json and slices.json", 2, 2)
    out = _required("table", settings, "out", "<folder>")
    table = slice_table(read_results(files[0]), read_slices(files[1]))
    written = write_slice_table(table, out)
    print(table.markdown(), end="")
    print(f"table: {', '.join(str(path) for path in written)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m framewright.benchmark.devil",
        description="The DEVIL benchmark on your own videos: scores of attributes, slices, masks, and tables by slice.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    usages = {
        "scores": ("<videos> [masks=<folder>] out=scores.json [flow=dis] [flow_weights=...]", "score every video"),
        "slices": (
            "scores.json out=slices.json [fraction=0.16] [largest=150] [group=<regex>]",
            "sort them into slices",
        ),
        "masks": ("preset=<preset or split> out=<folder> [videos=150] [size=832x480] [frames=90]", "write masks"),
        "table": ("results.json slices.json out=<folder>", "a table by slices of an evaluation"),
    }
    for name, (usage, text) in usages.items():
        command = commands.add_parser(name, usage=f"%(prog)s {usage}", help=text, description=text)
        command.add_argument("arguments", nargs="*", metavar="argument")
    return parser


if __name__ == "__main__":
    sys.exit(main())
