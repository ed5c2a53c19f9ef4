"""The manifest of a verified data set: every file with its hash and frame count, as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.files import sha256_json, write_text
from .layouts import FrameSequence, Layout
from .verify import Entry

SCHEMA = 1


def file_name(dataset: str) -> str:
    """How a manifest is called where the user names no file."""
    return f"framewright-{dataset}.json"


def sequence_problems(sequences: Sequence[FrameSequence], entries: Mapping[str, Entry]) -> dict[str, str]:
    """Sequences whose files are sound but do not belong together: ``{id: reason}``."""
    problems = {}
    for sequence in sequences:
        found = [entries[member.name] for member in sequence.members]
        if any("error" in entry for entry in found):
            continue
        # frames in low resolution are meant to be of another size
        alike = [(index, entry) for index, entry in enumerate(found) if entry["kind"] != "small"]
        sizes = {(entry["height"], entry["width"]): index for index, entry in reversed(alike)}
        if len(sizes) > 1:
            (first, _), (other, index) = sorted(sizes.items(), key=lambda item: item[1])[:2]
            problems[sequence.id] = (
                f"its frames differ in size: {sequence.members[index].name} is {other[1]}x{other[0]}, "
                f"the first is {first[1]}x{first[0]}"
            )
    return problems


def build(layout: Layout, sequences: Sequence[FrameSequence], entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The manifest as plain values. It depends on the files alone, not on their place or on the time.

    ``sequences`` gives the true number of frames of each sequence, null where one of its files is damaged.
    ``content_sha256`` is one number for all: the hash of every path with its file's hash.
    """
    problems = sequence_problems(sequences, entries)
    counts: dict[str, int | None] = {}
    for sequence in sequences:
        found = [entries[member.name] for member in sequence.members]
        sound = sequence.id not in problems and not any("error" in entry for entry in found)
        counts[sequence.id] = sum(entry["frames"] for entry in found) if sound else None
    files = {path: entries[path] for path in sorted(entries)}
    return {
        "schema": SCHEMA,
        "dataset": layout.name,
        "published_sequences": layout.published,
        "content_sha256": sha256_json({path: entry.get("sha256") for path, entry in files.items()}),
        "damaged": sorted(path for path, entry in files.items() if "error" in entry),
        "inconsistent": problems,
        "sequences": counts,
        "files": files,
    }


def write(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest atomically, one file and one sequence per line."""
    parts = []
    for key, value in manifest.items():
        text = _compact(value)
        if key in ("sequences", "files") and value:
            lines = [f"    {_compact(name)}: {_compact(entry)}" for name, entry in value.items()]
            text = "{\n" + ",\n".join(lines) + "\n  }"
        parts.append(f"  {json.dumps(key)}: {text}")
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read(path: Path, dataset: str) -> dict[str, Any]:
    """Read a manifest of ``dataset``.

    Raises:
        DataError: missing, not a manifest, of another schema or of another data set.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the manifest {str(path)!r}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"the manifest {str(path)!r} is not valid JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not isinstance(value.get("files"), dict):
        raise DataError(f"{str(path)!r} is not a manifest of schema {SCHEMA}, as the data check writes it")
    if value.get("dataset") != dataset:
        raise DataError(f"the manifest {str(path)!r} is of the data set {value.get('dataset')!r}, not {dataset!r}")
    return value


def differences(recorded: Mapping[str, Entry], entries: Mapping[str, Entry]) -> dict[str, str]:
    """``{path: what differs}`` between a recorded manifest's files and those found now."""
    found = {}
    for path in sorted({*recorded, *entries}):
        if path not in entries:
            found[path] = "is in the manifest but does not belong to the data set any more"
        elif path not in recorded:
            found[path] = "is not in the manifest"
        elif entries[path].get("sha256") is None and recorded[path].get("sha256") is not None:
            found[path] = entries[path].get("error", "cannot be read")
        elif entries[path].get("sha256") != recorded[path].get("sha256"):
            found[path] = "has changed: its SHA-256 is another one"
    return found
