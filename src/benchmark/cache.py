"""What is already known: rows per method and video, and intermediate results of the ground truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..core.files import atomic_path, make_directory, safe_name, sha256_json, write_json
from ..core.provenance import package_version, source_sha256
from ..inference import Context, Method
from ..metrics import SetMetric, Shared
from .protocol import Protocol
from .scoring import Column, Row

Pictures = npt.NDArray[np.uint8]

# a change of these rooms may change numbers; with them in the key, no edit is ever hidden by an old row
_ROOMS = ("ops", "video", "models", "metrics", "inference")


def _common(protocol: Protocol, manifest_sha256: str, context: Context) -> dict[str, Any]:
    return {
        "protocol": protocol.problem_identity(),
        "data": manifest_sha256,
        "device": context.device.type,
        "version": package_version(),
        "code": source_sha256(*_ROOMS),
    }


class MethodCache:
    """The known rows of one method under one protocol on one data set: one small file per video.

    Values are kept per metric, its options and its weights, so that a column that is added later does not make the
    others be computed again.

    Args:
        folder: of the whole cache, shared by all methods; None keeps nothing.
        method: its fingerprint and weights are part of the key; a method without a fingerprint is not cached.
        protocol: its rules are part of the key.
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
            **_common(protocol, manifest_sha256, context),
            "method": dict(fingerprint),
            "weights": method.weights_sha256,
            "precision": context.precision,
        }
        self.folder = _keyed_folder(folder, key)

    def load(self, index: int, columns: Sequence[Column]) -> Row | None:
        """What is known of video ``index``, with the columns that are; None if nothing is, or the file is damaged."""
        if self.folder is None:
            return None
        try:
            stored: dict[str, Any] = json.loads((self.folder / f"{index:06d}.json").read_text(encoding="utf-8"))
            row = Row(stored["video_id"], int(stored["frames"]), float(stored["seconds"]))
            for column in columns:
                entry = stored["columns"].get(_name(column))
                if entry is None or column.metric is None:
                    continue
                if isinstance(column.metric, SetMetric):
                    with np.load(self.folder / f"{index:06d}-{column.identity}.npz", allow_pickle=False) as arrays:
                        row.features[column.key] = (arrays["predicted"], arrays["real"])
                else:
                    values = [_decoded(value) for value in entry["values"]]
                    if len(values) != entry["n"]:
                        return None
                    row.values[column.key] = values
                    if entry.get("weights") is not None:
                        row.weights[column.key] = [int(weight) for weight in entry["weights"]]
        except Exception:  # json, zip and header errors of a damaged file: it is only a cache, compute again
            return None
        return row

    def store(self, index: int, row: Row, columns: Sequence[Column]) -> None:
        """Keep the row of video ``index``, beside columns of it that are known but not in use now."""
        if self.folder is None:
            return
        path = self.folder / f"{index:06d}.json"
        try:
            known = dict(json.loads(path.read_text(encoding="utf-8"))["columns"])
        except Exception:  # none, or damaged
            known = {}
        for column in columns:
            if column.key in row.features:
                predicted, real = row.features[column.key]
                with atomic_path(self.folder / f"{index:06d}-{column.identity}.npz") as temporary:
                    np.savez(temporary, predicted=predicted, real=real)
                known[_name(column)] = {"features": len(predicted)}
            elif column.key in row.values:
                values = row.values[column.key]
                known[_name(column)] = {"n": len(values), "values": [_encoded(value) for value in values]}
                if column.key in row.weights:
                    known[_name(column)]["weights"] = row.weights[column.key]
        # last, because it says what there is
        write_json(path, {"video_id": row.video_id, "frames": row.frames, "seconds": row.seconds, "columns": known})

    def load_json(self, name: str) -> dict[str, Any] | None:
        """A small mapping kept under ``name``, None if there is none."""
        if self.folder is None:
            return None
        try:
            value = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def store_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a small mapping."""
        if self.folder is not None:
            write_json(self.folder / f"{name}.json", dict(value))

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


class StoredTruth:
    """What metrics computed of the ground truth of one data set: the same for every method.

    Args:
        folder: of the whole cache; None keeps things in memory only, as long as a video is at hand.
        protocol: its rules say which frames are compared.
        manifest_sha256: of the data set's manifest.
        context: its device type is part of the key.

    Attributes:
        computed: how many intermediate results were computed, by name.
        loaded: how many were known from earlier evaluations.
    """

    def __init__(self, folder: Path | None, protocol: Protocol, manifest_sha256: str, context: Context) -> None:
        self.folder: Path | None = None
        self.device = context.device
        if folder is not None:
            self.folder = _keyed_folder(folder / "truth", _common(protocol, manifest_sha256, context))
        self.computed: dict[str, int] = {}
        self.loaded: dict[str, int] = {}

    def video(self, index: int) -> Shared:
        """The results of video ``index``."""
        return _VideoTruth(self, index)


class _VideoTruth(Shared):
    def __init__(self, owner: StoredTruth, index: int) -> None:
        super().__init__()
        self._owner, self._index = owner, index
        self.computed, self.loaded = owner.computed, owner.loaded

    def load(self, name: str, identity: Mapping[str, Any]) -> dict[str, Tensor] | None:
        path = self._path(name, identity)
        if path is None or not path.exists():
            return None
        try:
            # mapped into memory, not read: flow is most of what a warm cache holds, and an archive's checksums
            # would be a tenth of the time of a whole table
            return dict(load_file(path, device=str(self._owner.device)))
        except Exception:  # header and size errors of a damaged file: it is only a cache, compute again
            return None

    def store(self, name: str, identity: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        path = self._path(name, identity)
        if path is not None:
            with atomic_path(path) as temporary:
                save_file({key: value.cpu().contiguous() for key, value in tensors.items()}, temporary)

    def _path(self, name: str, identity: Mapping[str, Any]) -> Path | None:
        if self._owner.folder is None:
            return None
        digest = sha256_json({"name": name, **identity})[:16]
        return self._owner.folder / f"{self._index:06d}-{safe_name(name)}-{digest}.safetensors"


def _keyed_folder(folder: Path, key: Mapping[str, Any]) -> Path:
    place = folder / sha256_json(key)[:32]
    if not (place / "key.json").exists():
        make_directory(place)
        write_json(place / "key.json", key)
    return place


def _name(column: Column) -> str:
    return f"{column.key}@{column.identity}"


def _encoded(value: float | None) -> float | str | None:
    # strict JSON has no infinity
    return value if value is None or math.isfinite(value) else "inf" if value > 0 else "-inf"


def _decoded(value: float | str | None) -> float | None:
    return float(value) if value is not None else None
