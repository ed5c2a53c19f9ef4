"""Rows that are already known: one small JSON file per method and video, so that evaluations continue."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.files import atomic_path, make_directory, sha256_json, write_json
from ..core.provenance import package_version, source_sha256
from ..inference import Context, Method
from .protocol import Protocol
from .scoring import Row

Pictures = npt.NDArray[np.uint8]

# a change of these rooms may change numbers; with them in the key, no edit is ever hidden by an old row
_ROOMS = ("ops", "video", "models", "metrics", "inference")


class MethodCache:
    """The known rows of one method under one protocol on one data set.

    Args:
        folder: of the whole cache, shared by all methods; None keeps nothing.
        method: its fingerprint and weights are part of the key; a method without a fingerprint is not cached.
        protocol: its metrics and rules are part of the key.
        manifest_sha256: of the data set's manifest.
        context: device type and precision are part of the key.
    """

    def __init__(
        self, folder: Path | None, method: Method, protocol: Protocol, manifest_sha256: str, context: Context
    ) -> None:
        self.folder: Path | None = None
        fingerprint = method.fingerprint()
        if folder is None or fingerprint is None:
            return
        key = {
            "method": dict(fingerprint),
            "weights": method.weights_sha256,
            "protocol": protocol.identity(),
            "data": manifest_sha256,
            "device": context.device.type,
            "precision": context.precision,
            "version": package_version(),
            "code": source_sha256(*_ROOMS),
        }
        self.folder = folder / sha256_json(key)[:32]
        if not (self.folder / "key.json").exists():
            make_directory(self.folder)
            write_json(self.folder / "key.json", key)

    def load(self, index: int) -> Row | None:
        """The row of video ``index``; None if it is unknown or its file is damaged."""
        if self.folder is None:
            return None
        try:
            value: dict[str, Any] = json.loads((self.folder / f"{index:06d}.json").read_text(encoding="utf-8"))
            row = Row(**value)
        except (OSError, ValueError, TypeError):
            return None
        lengths = {len(values) for values in row.values.values()}
        return row if lengths <= {row.frames} else None

    def store(self, index: int, row: Row) -> None:
        """Keep the row of video ``index``."""
        if self.folder is not None:
            write_json(self.folder / f"{index:06d}.json", dataclasses.asdict(row))

    def load_pictures(self, name: str) -> Pictures | None:
        """``(N, H, W, 3)`` pictures kept under ``name``, None if there are none."""
        if self.folder is None:
            return None
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as stored:
                return np.asarray(stored["pictures"], dtype=np.uint8)
        except Exception:  # zip, zlib and header errors of a damaged file: it is only a cache, compute again
            return None

    def store_pictures(self, name: str, pictures: Pictures) -> None:
        """Keep pictures for the report."""
        if self.folder is not None:
            with atomic_path(self.folder / f"{name}.npz") as temporary:
                np.savez_compressed(temporary, pictures=pictures)
