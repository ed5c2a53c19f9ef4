"""Reads the transaction log of an offline W&B run, with W&B's own message definitions.

The file is a LevelDB log with W&B's header: blocks of 32 KiB with records of a checksum (4 bytes), a length (2)
and a type (1: whole, 2: first, 3: middle, 4: last part).
"""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 1 << 15


@dataclass
class OfflineRun:
    """What the server would be told."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    step_metrics: dict[str, str] = field(default_factory=dict)
    artifacts: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def records(path: Path) -> list[bytes]:
    content = path.read_bytes()
    assert content[:4] == b":W&B", "not a W&B transaction log"
    found, parts, position = [], b"", 7
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            found.append(parts)
            parts = b""
    return found


def read_offline_run(folder: Path) -> OfflineRun:
    """The run of an ``offline-run-*`` folder."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("*.wandb")
    run = OfflineRun()
    for content in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run" and record.run.run_group:
            run.id, run.group, run.job_type = record.run.run_id, record.run.run_group, record.run.job_type
            run.name, run.tags = record.run.display_name, list(record.run.tags)
            run.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            run.history.append(_row(record.history.item))
        elif kind == "summary":
            for item in record.summary.update:
                run.summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "metric":
            run.step_metrics[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        elif kind == "artifact":
            artifact = record.artifact
            run.artifacts.append((artifact.type, artifact.name, tuple(sorted(artifact.aliases))))
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            artifact = record.request.log_artifact.artifact
            run.artifacts.append((artifact.type, artifact.name, tuple(sorted(artifact.aliases))))
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _row(items: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in items:
        *path, last = item.nested_key or [item.key]
        inner = row
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = json.loads(item.value_json)
    return row


def offline_runs(folder: Path) -> list[OfflineRun]:
    """All ended runs below ``folder/wandb``, oldest first; W&B may still be writing when ``finish`` returns."""
    paths = sorted((folder / "wandb").glob("offline-run-*"))
    deadline = time.monotonic() + 30
    while True:
        runs = [read_offline_run(path) for path in paths]
        if all(run.exit_code is not None for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.1)
