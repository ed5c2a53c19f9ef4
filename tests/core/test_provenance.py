"""Where a result comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from framewright.core import provenance


def test_environment_is_plain_json_and_names_the_packages() -> None:
    value = json.loads(json.dumps(provenance.environment(), allow_nan=False))
    assert value["packages"]["torch"]
    assert value["cpu_cores"] >= 1
    assert isinstance(value["devices"], list)


def test_command_line_can_be_typed_again() -> None:
    line = provenance.command_line(["evaluate.py", "methods.my run=a b.mp4", "out=x"])
    assert line == "evaluate.py 'methods.my run=a b.mp4' out=x"


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_git_state_tells_clean_from_dirty(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "file.py").write_text("a = 1\n")
    assert provenance.git_state(package) is None, "not a repository yet"
    _git(tmp_path, "init")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "one")
    state = provenance.git_state(package)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (package / "file.py").write_text("a = 2\n")
    changed = provenance.git_state(package)
    assert changed is not None
    assert changed["dirty"] is True


def test_git_state_ignores_a_repository_that_does_not_track_the_package(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("x")
    _git(tmp_path, "init")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "one")
    installed = tmp_path / ".venv" / "framewright"
    installed.mkdir(parents=True)
    (installed / "file.py").write_text("a = 1\n")
    assert provenance.git_state(installed) is None


def test_source_hash_depends_on_the_rooms() -> None:
    assert provenance.source_sha256("models") == provenance.source_sha256("models")
    assert provenance.source_sha256("models") != provenance.source_sha256("ops")
