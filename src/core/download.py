"""Downloading one file: resumed after interruptions, verified, and complete or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .files import sha256_file, sync_directory

_ATTEMPTS = 3
_PAUSE_S = 0.5
_TIMEOUT_S = 30.0
_CHUNK = 1 << 20


class TransferError(Exception):
    """A transfer failed; ``final`` when trying again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def download(url: str, target: Path, *, sha256: str, size: int | None = None) -> None:
    """Download ``url`` to ``target`` by way of ``<target>.part``, which a later call resumes.

    Resuming uses HTTP ``Range``; a server without it sends everything again. The folder must exist.

    Args:
        url: http(s) address.
        target: final path, written only when the SHA-256 agrees.
        sha256: of the whole file, or its first digits where no more is known.
        size: in bytes, used where the server does not state it.

    Raises:
        TransferError: the server refused, the connection broke repeatedly, or the file is not the expected
            one (it is removed then).
        OSError: the disk failed.
    """
    part = target.with_name(target.name + ".part")
    attempt = 0
    while True:
        attempt += 1
        resumed = part.exists()
        try:
            digest = _transfer(url, part, size)
        except TransferError as error:
            if error.final or attempt >= _ATTEMPTS:
                raise TransferError(f"{url}: {error}", final=error.final) from error
            time.sleep(_PAUSE_S * attempt)
            continue
        if digest.startswith(sha256):
            break
        part.unlink(missing_ok=True)
        if not resumed:
            raise TransferError(
                f"{url}: this is not the expected file, its sha256 is {digest} instead of {sha256}; it was removed",
                final=True,
            )
        # the resumed half may have been of an older file: one more try from the start
    with open(part, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(part, target)
    sync_directory(target.parent)


def _transfer(url: str, part: Path, size: int | None) -> str:
    """Append to ``part`` what is missing; the SHA-256 of the whole."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "framewright", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            if start and response.status != 206:
                start = 0
            elif start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                part.unlink()
                raise TransferError("the server resumed at the wrong place")
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdecimal() else size
            return _receive(response, part, start, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            return sha256_file(part)  # nothing is left to send: complete, or longer than the file
        final = 400 <= error.code < 500 and error.code not in (408, 429)
        raise TransferError(f"the server answered {error.code} {error.reason}", final=final) from error
    except urllib.error.URLError as error:
        raise TransferError(f"no connection ({error.reason})") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise TransferError(f"the connection broke ({error or type(error).__name__})") from error


def _receive(response: Any, part: Path, start: int, total: int | None) -> str:
    digest = hashlib.sha256()
    done = start
    with open(part, "ab" if start else "wb") as handle, _progress(part.stem, total) as show:
        if start:
            with open(part, "rb") as earlier:
                while block := earlier.read(_CHUNK):
                    digest.update(block)
        while block := response.read(_CHUNK):
            handle.write(block)
            digest.update(block)
            done += len(block)
            show(done)
    if total is not None and done < total:
        raise TransferError(f"the transfer ended after {done} of {total} bytes; run again to resume it")
    return digest.hexdigest()


@contextlib.contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function that redraws one line on a terminal's stderr, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return

    def show(done: int) -> None:
        share = f" of {total / 1e6:.1f} MB ({100 * done / total:.0f} %)" if total else " MB"
        print(f"\r{name}: {done / 1e6:.1f}{share}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(file=sys.stderr)
