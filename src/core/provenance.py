"""Where a result comes from: source code, packages, machine and command."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "framewright",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
    "opencv-python-headless",
)

_PACKAGE = Path(__file__).resolve().parent.parent


def environment() -> dict[str, Any]:
    """Everything about the machine and the software that a result should record, JSON-able.

    Returns:
        ``python``, ``platform``, ``packages`` (name to version), ``cpu``, ``cpu_cores``, ``devices`` (names
        of the accelerators) and, where the package lies in a git repository, ``git`` (:func:`git_state`).
    """
    value: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": package_versions(),
        "cpu": cpu_name(),
        "cpu_cores": available_cores(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
    git = git_state()
    if git is not None:
        value["git"] = git
    return value


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command as it can be typed again (default: the running one, as it was before anybody parsed it)."""
    return shlex.join(["python", *sys.orig_argv[1:]] if arguments is None else arguments)


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of the installed ones among ``names``."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def package_version() -> str:
    """This package's version; ``unknown`` where it runs from a folder without being installed."""
    return package_versions(("framewright",)).get("framewright", "unknown")


def git_state(directory: Path = _PACKAGE) -> dict[str, Any] | None:
    """``{"commit": 40 hex digits, "dirty": bool}`` of the repository that tracks ``directory``.

    None without git, outside a repository, and where the surrounding repository does not track the folder
    (a virtual environment inside somebody's project).
    """
    tracked = _git(directory, "ls-files", "--", ".")
    commit = _git(directory, "rev-parse", "HEAD")
    status = _git(directory, "status", "--porcelain", "--untracked-files=no")
    if not tracked or not commit or status is None:
        return None
    return {"commit": commit, "dirty": bool(status)}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def source_sha256(*rooms: str) -> str:
    """SHA-256 over the Python files of some rooms of this package (``models``, ``ops`` ...).

    Cached results carry it, so that they are never mistaken for results of code that was edited since.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def available_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's model name as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
