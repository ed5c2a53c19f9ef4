"""Verify a data set before hours of training: ``python -m framewright.datamodules.check <dataset> <root>``.

Every file is read to its end by the readers that training and evaluation use, its frames are counted, and its
SHA-256 goes into a manifest. Exit status: 0 sound, 1 damaged, changed or incomplete, 2 not to be checked at
all (unknown data set, wrong folder, nowhere to write).

How this goes together with ``data.on_error``: what this program calls damaged is exactly what raises
``DataError`` while training. With ``on_error=raise`` (the default) a run stops at the first such sample. With
``on_error=skip`` a run replaces these samples deterministically, lists them in ``skipped_samples.jsonl``, and
gives up above 1 % (of at least 10); the summary says which share it will be. Evaluation never skips.

Every worker process imports this module again, so its imports stand where they are needed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, DataError, FramewrightError, nearest

if TYPE_CHECKING:
    from .layouts import FrameSequence, Layout
    from .verify import Entry

_SHOWN = 100


def all_layouts() -> dict[str, Layout]:
    """The layouts of all data sets that lie on disk, by name."""
    from .flow_layouts import FLOW_LAYOUTS
    from .folder_index import FOLDER
    from .interpolation_sets import HD, MIDDLEBURY, SNU_FILM, UCF101, X_TEST
    from .label_layouts import LABEL_LAYOUTS
    from .sr_layouts import SR_LAYOUTS
    from .vimeo90k import SEPTUPLET_LAYOUT, TRIPLET_LAYOUT
    from .vos_layouts import DAVIS, YOUTUBE_VOS

    interpolation = (TRIPLET_LAYOUT, SEPTUPLET_LAYOUT, UCF101, MIDDLEBURY, SNU_FILM, HD, X_TEST)
    layouts = (FOLDER, *interpolation, *FLOW_LAYOUTS, *SR_LAYOUTS, DAVIS, YOUTUBE_VOS, *LABEL_LAYOUTS)
    return {layout.name: layout for layout in layouts}


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.list:
            print(_listing())
            return 0
        if options.dataset is None or options.root is None:
            parser.error("give a data set and its folder, or --list")
        return check(
            options.dataset,
            options.root,
            manifest=options.manifest,
            against=options.against,
            workers=options.workers,
            partial=options.partial,
        )
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130


def check(
    dataset: str,
    root: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    workers: int = 1,
    partial: bool = False,
    progress: bool | None = None,
) -> int:
    """Verify a data set and write its manifest, or compare it with an earlier one.

    Args:
        dataset: one of :func:`all_layouts`.
        root: as for ``data.root``.
        manifest: file to write; default ``framewright-<dataset>.json`` below the root (none with ``against``).
        against: an earlier manifest: files with the recorded hash are not decoded again.
        workers: processes.
        partial: accept fewer sequences than the published set has.
        progress: show a bar; None: if stderr is a terminal.

    Returns:
        0, or 1 where anything is damaged, changed or missing; everything is printed.

    Raises:
        ConfigError: unknown data set, workers below 1.
        DataError: the folder is laid out wrongly, or ``against`` cannot be read.
        FramewrightError: the manifest cannot be written where it should go (found out before the work).
    """
    from . import manifest as manifests

    layout = _layout(dataset)
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1")
    base = layout.find(root)
    recorded = None if against is None else manifests.read(Path(against), layout.name)
    target = _target(layout, base, manifest, against)
    sequences = layout.sequences(base)
    entries = _verify(layout, base, sequences, workers, recorded, progress)
    built = manifests.build(layout, sequences, entries)
    failures = _report(layout, base, built, partial)
    if recorded is not None:
        changes = manifests.differences(recorded["files"], entries)
        failures += _print_list(f"different from {against}", changes)
        if not changes:
            print(f"all {len(entries)} files are as recorded in {against}")
    if target is not None:
        manifests.write(target, built)
        print(f"manifest: {target}")
    return 1 if failures else 0


def _layout(dataset: str) -> Layout:
    layouts = all_layouts()
    if dataset in layouts:
        return layouts[dataset]
    if dataset == "scenes":
        raise ConfigError("the data set 'scenes' is drawn on the fly; there are no files to check")
    if dataset in ("flow_mix", "sr_mix"):
        raise ConfigError(f"the data set {dataset!r} is made of others; check each of its parts by its own name")
    if dataset == "photographs":
        raise ConfigError("the data set 'photographs' lies inside scikit-image, which checks its files by hash")
    raise ConfigError(f"unknown data set {dataset!r}{nearest(dataset, layouts)} (known: {', '.join(layouts)})")


def _target(
    layout: Layout,
    base: Path,
    manifest: str | os.PathLike[str] | None,
    against: str | os.PathLike[str] | None,
) -> Path | None:
    """Where the manifest goes; proves that it can be written there before hours of reading."""
    from .manifest import file_name

    if manifest is None and against is not None:
        return None
    target = Path(manifest).expanduser() if manifest is not None else base / file_name(layout.name)
    if target.is_dir():
        target /= file_name(layout.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write the manifest to {str(target.parent)!r}: {error.strerror or error}. "
            "Name another place with --manifest <file>"
        ) from None
    return target


def _verify(
    layout: Layout,
    base: Path,
    sequences: Sequence[FrameSequence],
    workers: int,
    recorded: Mapping[str, Any] | None,
    progress: bool | None,
) -> dict[str, Entry]:
    from tqdm import tqdm

    from .verify import verify_members

    members = layout.members(base, sequences)
    known = {} if recorded is None else recorded["files"]
    hidden = None if progress is None else not progress
    entries: dict[str, Entry] = {}
    damaged = 0
    with tqdm(total=len(members), desc=layout.name, unit="file", disable=hidden) as bar:
        for path, entry in verify_members(base, members, workers, known):
            entries[path] = entry
            if "error" in entry:
                damaged += 1
                bar.set_postfix_str(f"{damaged} damaged", refresh=False)
            bar.update()
    return entries


def _report(layout: Layout, base: Path, manifest: Mapping[str, Any], partial: bool) -> int:
    """Print what was found; returns the number of failures."""
    files, counts = manifest["files"], manifest["sequences"]
    total = sum(entry.get("bytes", 0) for entry in files.values())
    frames = sum(count for count in counts.values() if count)
    failures = _print_list("damaged", {path: files[path]["error"] for path in manifest["damaged"]})
    failures += _print_list("inconsistent", manifest["inconsistent"])
    unusable = sum(count is None for count in counts.values())
    print(
        f"{layout.title} in {base}: {len(counts)} sequences, {frames} frames, {len(files)} files, "
        f"{total / 2**20:.1f} MiB"
    )
    if unusable:
        print(
            f"{unusable} of {len(counts)} sequences ({unusable / len(counts):.2%}) cannot be used: fetch their files "
            "again, or train with data.on_error=skip, which tolerates 1 %; evaluation needs all of them"
        )
    if layout.published is not None and len(counts) != layout.published and not partial:
        print(
            f"not the whole set: {len(counts)} sequences, the published set has {layout.published} "
            "(--partial accepts that)"
        )
        failures += 1
    if not counts:
        print("nothing to check: no sequence was found")
        failures += 1
    return failures


def _print_list(heading: str, reasons: Mapping[str, str]) -> int:
    if reasons:
        print(f"{heading} ({len(reasons)}):")
        for path, reason in list(reasons.items())[:_SHOWN]:
            print(f"  {path}: {reason}")
        if len(reasons) > _SHOWN:
            print(f"  ... and {len(reasons) - _SHOWN} more, see the manifest")
    return len(reasons)


def _listing() -> str:
    lines = []
    for layout in all_layouts().values():
        count = "any number of" if layout.published is None else str(layout.published)
        lines.append(f"{layout.name}\n    {layout.title}: {count} sequences\n    root: {layout.expected}")
        if layout.homepage:
            lines.append(f"    from: {layout.homepage}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m framewright.datamodules.check",
        description="Read every file of a data set to its end, count the frames, and write a manifest with hashes.",
    )
    parser.add_argument("dataset", nargs="?", help="name of the data set, see --list")
    parser.add_argument("root", nargs="?", help="its folder, as for data.root")
    parser.add_argument("--manifest", help="file to write (default: framewright-<dataset>.json in the root)")
    parser.add_argument("--against", help="an earlier manifest to compare with; then none is written unless named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--partial", action="store_true", help="accept fewer sequences than were published")
    parser.add_argument("--list", action="store_true", help="list the data sets and where to get them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
