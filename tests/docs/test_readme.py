"""What the README and the docs say is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import framewright
import pytest
from framewright.cli.edit import EditSection, choose_preset
from framewright.cli.entry import compose
from framewright.core.config import parse_section
from framewright.datamodules.evaluation_sets import EVALUATION_SETS
from framewright.datamodules.sources import SOURCES
from framewright.models.overview import networks_table

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_networks_is_the_cards() -> None:
    assert networks_table() in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for folder, name in re.findall(r"\b(experiment|benchmark)=([a-z0-9_]+)", text):
        assert (ROOT / "configs" / folder / f"{name}.yaml").is_file(), f"{folder}={name}"


def test_the_page_of_data_sets_knows_them_all() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in {*SOURCES, *EVALUATION_SETS}:
        assert f"`{name}`" in text, name


def test_the_commands_of_the_gallery_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("uv run python ")]
    made: set[str] = set()
    presets = set()
    for command in commands:
        what, arguments = command[3], command[4:]
        if what == "edit.py":
            values = compose(ROOT / "configs", "edit", choose_preset(arguments, ROOT / "configs"))
            config = parse_section(EditSection, values)
            presets.add(config.preset)
            given = (config.input, config.mask, config.other, config.reference, config.background)
            assert {str(name) for name in given if name is not None} <= made, command
            made.add(str(config.output))
        elif "framewright.video.montage" in arguments:
            videos = [name for name in arguments if name.startswith("gallery/")]
            assert set(videos) <= made, command
            made.add(arguments[-1])
        else:
            made.update(name.removeprefix("out=") for name in arguments if "gallery/" in name)
    assert presets == {path.stem for path in (ROOT / "configs" / "pipeline").glob("*.yaml")}
    assert {f"docs/{name}" for name in re.findall(r"\]\((images/[^)]+)\)", text)} <= made


def test_nothing_imports_the_package_as_src() -> None:
    pattern = re.compile(r"^\s*(from|import) src\b", re.MULTILINE)
    files = [*ROOT.glob("*.py"), *(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert len(files) > 50
    assert [path for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_the_public_api_is_there() -> None:
    for name in framewright.__all__:
        assert getattr(framewright, name) is not None
