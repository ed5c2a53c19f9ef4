"""Where weights come from: official files (downloaded, verified, cached), safe reading, our own format.

No pickle is ever executed: torch files are read with ``weights_only=True``, which constructs tensors and
plain containers only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import urllib.parse
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .core.download import TransferError, download
from .core.errors import FramewrightError, WeightsError
from .core.files import atomic_path, make_directory, sha256_file

_LOCK_TIMEOUT_S = 3600.0
_PACKED = "framewright"

# order of preference: averaged weights before live ones, a generator before a discriminator
_WRAPPERS = (
    *("params_ema", "state_dict_ema", "model_ema", "params", "state_dict", "model_state_dict", "model_state"),
    *("model", "net", "netG", "net_g", "generator", "network", "weights"),
    *("netD", "net_d", "discriminator"),
)


@dataclass(frozen=True)
class OfficialWeights:
    """One official checkpoint of a network.

    Attributes:
        tag: the name that ``create_model(..., weights=tag)`` takes, after the training data where there are
            several.
        filename: name of the file in the cache.
        licence: licence of the file, as far as its source states one.
        source: the page where a person finds it.
        url: direct address; None when only a person can fetch it (a drive page, a form).
        sha256: of the whole file, in lower-case hexadecimal digits; required with ``url``. Where the source states
            only its beginning, as file names of torch hub do (``vgg16-397923af.pth``), those 8 or more digits.
        size: in bytes, if known.
        trained_on: data sets.
    """

    tag: str
    filename: str
    licence: str
    source: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    trained_on: str = ""

    def __post_init__(self) -> None:
        if not self.filename or Path(self.filename).name != self.filename or "\\" in self.filename:
            raise ValueError(f"weights {self.tag!r}: {self.filename!r} is not a plain file name")
        if self.url is not None and self.sha256 is None:
            raise ValueError(f"weights {self.tag!r}: a url needs a sha256, or anything could be downloaded")
        if self.url is not None and urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"weights {self.tag!r}: {self.url!r} is not an http(s) address")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise ValueError(
                f"weights {self.tag!r}: sha256 must be 64 lower-case hexadecimal digits, or the first 8 or more"
            )


@dataclass(frozen=True)
class Checkpoint:
    """What a weight file holds: its (possibly nested) mapping, and the metadata of a safetensors file."""

    state: dict[str, Any]
    metadata: dict[str, str]


# --- fetching ---------------------------------------------------------------------------------------------


def cache_directory() -> Path:
    """The folder for downloaded files: ``FRAMEWRIGHT_CACHE``, else ``~/.cache/framewright``."""
    return Path(os.environ.get("FRAMEWRIGHT_CACHE") or Path.home() / ".cache" / "framewright").expanduser()


def hub_directory() -> Path:
    """The folder in which torch hub keeps downloaded checkpoints; ``TORCH_HOME`` names its parent."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def fetch(model: str, entry: OfficialWeights) -> Path:
    """The local path of an official checkpoint, downloaded and verified if need be.

    A file whose hash is known is also taken from torch hub's cache, where other programs may have put it.
    An interrupted download is resumed. ``FRAMEWRIGHT_OFFLINE=1`` forbids the network;
    ``FRAMEWRIGHT_MIRROR=<address>`` fetches ``<address>/<model>/<filename>`` instead of the official address.

    Raises:
        WeightsError: offline, not downloadable, server or disk failed, or the SHA-256 is wrong; the message
            names the file, its source and where to put it by hand.
    """
    target = cache_directory() / "weights" / model / entry.filename
    if _is_valid(target, entry):
        return target
    if _is_in_hub(entry):
        return hub_directory() / entry.filename
    url = _address(model, entry, target)
    try:
        make_directory(target.parent)
    except FramewrightError as error:
        raise WeightsError(
            f"cannot cache the weights {entry.tag!r} of {model!r}: {error} "
            "FRAMEWRIGHT_CACHE names another cache folder."
        ) from error
    with _locked(target):
        # another process may have fetched it while this one waited
        if not _is_valid(target, entry):
            assert entry.sha256 is not None
            try:
                download(url, target, sha256=entry.sha256, size=entry.size)
            except TransferError as error:
                raise WeightsError(
                    f"cannot download the weights {entry.tag!r} of {model!r} from {error}. {_by_hand(entry, target)}"
                ) from error
            except OSError as error:
                raise WeightsError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    return target


def _is_valid(target: Path, entry: OfficialWeights) -> bool:
    """Whether the right file is in the cache; a wrong one that cannot be replaced is an error."""
    try:
        if not target.is_file():
            return False
        digest = sha256_file(target) if entry.sha256 else None
    except OSError as error:
        raise WeightsError(f"cannot read {str(target)!r}: {error.strerror or error}") from error
    if digest is None or digest.startswith(entry.sha256 or ""):
        return True
    if entry.url is None or _offline():
        raise WeightsError(
            f"{str(target)!r} is not the expected file: its sha256 is {digest}, expected {_stated(entry)}. "
            f"Remove it and fetch {entry.filename!r} from {entry.source} again."
        )
    print(f"framewright: {target} is damaged and will be downloaded again", file=sys.stderr)
    return False


def _is_in_hub(entry: OfficialWeights) -> bool:
    """Whether torch hub's cache holds the right file; that folder belongs to others, so a wrong one is only told."""
    if entry.sha256 is None:
        return False
    path = hub_directory() / entry.filename
    try:
        if not path.is_file():
            return False
        if sha256_file(path).startswith(entry.sha256):
            return True
    except OSError:
        return False
    print(f"framewright: {path} is not the expected file (its sha256 is another) and is left aside", file=sys.stderr)
    return False


def _offline() -> bool:
    return os.environ.get("FRAMEWRIGHT_OFFLINE", "").lower() not in ("", "0", "false", "no")


def _stated(entry: OfficialWeights) -> str:
    """The hash as far as it is known."""
    return f"{entry.sha256}{'…' if entry.sha256 and len(entry.sha256) < 64 else ''}"


def _by_hand(entry: OfficialWeights, target: Path) -> str:
    digest = f" (sha256 {_stated(entry)})" if entry.sha256 else ""
    return f"Fetch {entry.filename!r}{digest} from {entry.url or entry.source} and put it at {str(target)!r}."


def _address(model: str, entry: OfficialWeights, target: Path) -> str:
    what = f"the weights {entry.tag!r} of {model!r}"
    mirror = os.environ.get("FRAMEWRIGHT_MIRROR") if entry.sha256 else None
    if entry.url is None and not mirror:
        raise WeightsError(f"{what} cannot be downloaded automatically. {_by_hand(entry, target)}")
    if _offline():
        raise WeightsError(
            f"{what} are not in the cache and FRAMEWRIGHT_OFFLINE forbids downloading. "
            f"{_by_hand(entry, target)} Source: {entry.source}"
        )
    if mirror:
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(model)}/{urllib.parse.quote(entry.filename)}"
    assert entry.url is not None
    return entry.url


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    import filelock

    try:
        with filelock.FileLock(f"{target}.lock", timeout=_LOCK_TIMEOUT_S):
            yield
    except filelock.Timeout as error:
        raise WeightsError(
            f"another process has held {target}.lock for over {_LOCK_TIMEOUT_S / 60:.0f} minutes. "
            "If none is downloading, remove that file."
        ) from error


# --- reading ----------------------------------------------------------------------------------------------


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a ``.safetensors`` or torch file onto the CPU without executing anything in it.

    Besides tensors and plain containers, NumPy scalars and arrays and ``argparse.Namespace`` are accepted,
    which many research checkpoints carry beside the weights.

    Raises:
        WeightsError: when the file is missing, empty, damaged, truncated, of another format, or would run
            code.
    """
    path = Path(path)
    name = str(path)
    try:
        if path.is_dir():
            raise WeightsError(f"{name!r} is a folder; expected a weight file")
        with open(path, "rb") as handle:
            head = handle.read(16)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {name!r}: {error.strerror or error}") from error
    if not head:
        raise WeightsError(f"the weight file {name!r} is empty (0 bytes)")
    if head[:10] == b"version ht" or head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        raise WeightsError(
            f"{name!r} holds text (a web page or a Git LFS pointer) instead of weights: the download failed"
        )
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(name)
    return Checkpoint(_read_torch(name), {})


def _read_safetensors(name: str) -> Checkpoint:
    import safetensors

    try:
        with safetensors.safe_open(name, framework="pt", device="cpu") as handle:
            metadata = dict(handle.metadata() or {})
            if _PACKED in metadata:
                metadata = json.loads(metadata[_PACKED])
            return Checkpoint({key: handle.get_tensor(key) for key in handle.keys()}, metadata)  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise WeightsError(
            f"the weight file {name!r} is damaged or truncated ({_first_line(error)}). Fetch it again."
        ) from error


def _harmless_globals() -> list[Any]:
    """Names that torch's restricted unpickler may use in addition: they hold data and run nothing."""
    from numpy._core.multiarray import _reconstruct, scalar

    numpy_names: list[Any] = [np.ndarray, np.dtype]
    numpy_names += [type(np.dtype(kind)) for kind in "?bhilqBHILQefd"]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        numpy_names += [(scalar, f"{module}.scalar"), (_reconstruct, f"{module}._reconstruct")]
    return [*numpy_names, argparse.Namespace]


def _read_torch(name: str) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_harmless_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's age; what matters becomes an error below
            content = torch.load(name, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _torch_error(name, error) from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"the weight file {name!r} holds a {type(content).__name__}; expected a state dict of tensors"
        )
    return dict(content)


def _torch_error(name: str, error: Exception) -> WeightsError:
    """One readable message for the many ways in which ``torch.load`` fails."""
    text = str(error)
    refused = re.search(r"(?:Unsupported global: GLOBAL|GLOBAL) ([\w.]+)", text)
    if refused is None:
        refused = re.search(r"(?:class|function|global|operand|type) '?<?([\w.]+)", text) if "nsafe" in text else None
    if refused is not None or "Unsupported operand" in text or "Unsupported class" in text:
        culprit = f" (it refers to {refused.group(1)!r})" if refused else ""
        return WeightsError(
            f"the file {name!r} was refused: loading it would run code{culprit}. Only tensors and plain "
            "containers are accepted; ask its author for a .safetensors file or a plain state dict."
        )
    if "TorchScript" in text or "legacy .tar" in text:
        kind = "a TorchScript program" if "TorchScript" in text else "in the format of torch 0.1"
        return WeightsError(f"the file {name!r} is {kind}; expected a state dict saved with torch.save")
    return WeightsError(f"the weight file {name!r} is damaged, truncated or not a checkpoint ({_first_line(error)}).")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__


def unwrap_state_dict(obj: Any) -> dict[str, Tensor]:
    """The tensors of one network out of what a training program saved around them.

    Opens wrapper dictionaries (``params_ema`` before ``params`` before ``state_dict``, ``model``, ``netG``
    ..., or a single unknown one), and strips prefixes that ``DataParallel`` (``module.``) and
    ``torch.compile`` (``_orig_mod.``) put before every key. Entries that are not tensors are left out.

    Raises:
        WeightsError: when there are no tensors in it, or several unknown dictionaries with tensors.
    """
    found = _open_wrappers(obj, depth=0)
    if not found:
        raise WeightsError("the checkpoint holds no tensors that belong to a network")
    for prefix in ("module.", "_orig_mod.", "module."):
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def _open_wrappers(obj: Any, depth: int) -> dict[str, Tensor]:
    if not isinstance(obj, Mapping) or depth > 4:
        return {}
    inner = {str(key): value for key, value in obj.items() if isinstance(value, Mapping) and _has_tensors(value, depth)}
    for wrapper in _WRAPPERS:
        if wrapper in inner:
            return _open_wrappers(inner[wrapper], depth + 1)
    direct = {str(key): value for key, value in obj.items() if isinstance(value, Tensor)}
    if direct or not inner:
        return direct
    if len(inner) == 1:
        return _open_wrappers(next(iter(inner.values())), depth + 1)
    raise WeightsError(
        f"the checkpoint holds several networks ({', '.join(sorted(inner))}) and none of them under a known "
        "name; save the wanted one alone"
    )


def _has_tensors(obj: Mapping[Any, Any], depth: int) -> bool:
    return any(
        isinstance(value, Tensor) or (isinstance(value, Mapping) and depth < 4 and _has_tensors(value, depth + 1))
        for value in obj.values()
    )


# --- writing ----------------------------------------------------------------------------------------------


def save_weights(path: str | os.PathLike[str], state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text metadata as safetensors, atomically.

    Raises:
        WeightsError: when the path does not end in ``.safetensors`` or cannot be written.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"weights are saved as .safetensors, not as {str(path)!r}")
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()
    for key, value in state_dict.items():
        tensor = value.detach().cpu().contiguous()
        # the format forbids shared memory: a tied parameter is stored once per name
        storage = tensor.untyped_storage().data_ptr()
        tensors[key] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    try:
        with atomic_path(path) as temporary:
            # one entry: the format's writer puts several in random order, and equal weights would differ in bytes
            packed = {_PACKED: json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)}
            save_file(tensors, str(temporary), metadata=packed)
    except (OSError, FramewrightError) as error:
        raise WeightsError(f"cannot write the weights {str(path)!r}: {error}") from error
