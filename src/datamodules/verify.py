"""Reading a file of a data set to its end: hash, true frame count, size, or why it cannot be used.

Runs in worker processes, one file after another.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.files import sha256_file
from .layouts import Member

Entry = dict[str, Any]
"""What is known about a file: ``kind``, ``bytes``, ``sha256``, ``frames``, ``height``, ``width``; ``error`` if it
cannot be used (then the rest may be missing)."""

_IMAGES_PER_TASK = 16
_CHUNK = 16


def verify_member(root: Path, member: Member, known: Entry | None = None) -> Entry:
    """Hash a file and decode all of it, with the readers that training and evaluation use.

    Args:
        root: folder of the data set.
        member: the file.
        known: its entry in an earlier manifest; a file with that hash is not decoded again.
    """
    path = root / member.path
    entry: Entry = {"kind": member.kind}
    try:
        entry["bytes"] = path.stat().st_size
        entry["sha256"] = sha256_file(path)
        if known is not None and "error" not in known and known.get("sha256") == entry["sha256"]:
            return dict(known)
        entry.update(_read(path, member))
    except FileNotFoundError:
        entry["error"] = "missing"
    except DataError as error:
        entry["error"] = str(error)
    except OSError as error:
        entry["error"] = f"cannot be read: {error.strerror or error}"
    except Exception as error:  # a decoder's own exception must not hide all other files
        entry["error"] = f"cannot be decoded: {type(error).__name__}: {error}"
    return entry


def _read(path: Path, member: Member) -> Entry:
    """Decode a file; ``frames``, ``height`` and ``width`` where there are any."""
    if member.kind == "text":
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"is not UTF-8 text at byte {error.start}") from None
        return {}
    if member.kind in ("image", "mask", "small"):
        from ..video import read_image

        size, frames = read_image(path).shape[:2], int(member.kind == "image")
    elif member.kind == "labels":
        from ..video import read_labels

        size, frames = read_labels(path).shape, 0
    elif member.kind == "flow":
        from ..video import read_flow

        size, frames = read_flow(path)[1].shape, 0
    elif member.kind == "zip":
        size, frames = _decode_zip(path)
    elif member.kind == "yuv420":
        from .yuv import count_frames

        assert member.size is not None
        size, frames = member.size, count_frames(path, member.size)
    else:
        size, frames = _decode_video(path)
    if member.size is not None and tuple(size) != member.size:
        raise DataError(f"is {size[1]}x{size[0]}, expected {member.size[1]}x{member.size[0]} (width x height)")
    return {"frames": frames, "height": int(size[0]), "width": int(size[1])}


def _decode_zip(path: Path) -> tuple[tuple[int, int], int]:
    from .frame_store import FrameStore

    store = FrameStore(path)
    for first in range(0, len(store), _CHUNK):
        numbers = range(first, min(first + _CHUNK, len(store)))
        # the first frame beside every chunk: all must have its size
        size = store.read_array([0, *numbers]).shape[1:3]
    return (size[0], size[1]), len(store)


def _decode_video(path: Path) -> tuple[tuple[int, int], int]:
    from ..video import open_video

    # PyAV reads every format and, unlike decord, tells a damaged frame from a sound one
    with open_video(path, backend="pyav") as reader:
        frames = sum(len(chunk) for chunk in reader.iterate(_CHUNK))
        if frames != len(reader):
            raise DataError(f"only {frames} of its {len(reader)} frames can be decoded")
        return reader.size, frames


Task = list[tuple[Member, Entry | None]]


def verify_members(
    root: Path, members: Iterable[Member], workers: int, known: Mapping[str, Entry] | None = None
) -> Iterator[tuple[str, Entry]]:
    """``(name, entry)`` of every file, in the order in which they are finished.

    Args:
        root: folder of the data set.
        members: the files.
        workers: processes; up to 1: in this process. One that dies takes no other file with it: the files it
            may have been reading are read again one by one.
        known: entries of an earlier manifest.
    """
    tasks = _tasks(members, known or {})
    if workers <= 1:
        for task in tasks:
            yield from verify_task(root, task)
        return
    while tasks:
        suspects: list[Task] = []
        yield from _run_pool(root, tasks, workers, suspects)
        yield from _run_isolated(root, suspects)


def verify_task(root: Path, task: Task) -> list[tuple[str, Entry]]:
    """The entries of a few files; the unit of work of one process."""
    return [(member.name, verify_member(root, member, known)) for member, known in task]


def _tasks(members: Iterable[Member], known: Mapping[str, Entry]) -> deque[Task]:
    tasks: deque[Task] = deque()
    images: Task = []
    for member in members:
        pair = (member, known.get(member.name))
        if member.kind not in ("image", "mask", "labels", "small", "flow"):
            tasks.append([pair])
            continue
        images.append(pair)
        if len(images) == _IMAGES_PER_TASK:
            tasks.append(images)
            images = []
    if images:
        tasks.append(images)
    return tasks


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawned, not forked: decoders and their threads do not survive a fork
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    """One thread per worker; Ctrl-C is the parent's business."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _run_pool(root: Path, tasks: deque[Task], workers: int, suspects: list[Task]) -> Iterator[tuple[str, Entry]]:
    """Work through ``tasks`` until none is left or a process dies; then ``suspects`` are those that were running."""
    running: dict[Future[list[tuple[str, Entry]]], Task] = {}
    pool = _pool(workers)
    try:
        while tasks or running:
            while tasks and len(running) < 2 * workers:
                future = pool.submit(verify_task, root, tasks[0])
                running[future] = tasks.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                finished = future.result()
                del running[future]
                yield from finished
    except BrokenProcessPool:
        suspects += running.values()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_isolated(root: Path, suspects: list[Task]) -> Iterator[tuple[str, Entry]]:
    """One file at a time in another process, so that it is known which file kills it."""
    files = deque(pair for task in suspects for pair in task)
    while files:
        with _pool(1) as pool:
            while files:
                member, known = files.popleft()
                try:
                    yield member.name, pool.submit(verify_member, root, member, known).result()
                except BrokenProcessPool:
                    yield member.name, {"kind": member.kind, "error": "the decoder crashed on it"}
                    break
