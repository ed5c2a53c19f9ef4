"""Command lines as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest
from framewright.cli.arguments import configuration_groups, normalise, quote
from hydra.core.override_parser.overrides_parser import OverridesParser

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GROUPS = configuration_groups(CONFIGS)

NAMES = [
    "plain",
    "with space",
    "a, b",
    "it's",
    '"double"',
    "'single'",
    "key=value",
    "[list]",
    "{map}",
    "smörgås 動画",
    "${run.dir}",
    "back\\slash",
    "ends with \\",
    "\\'",
    "null, or not",
    "(bracket",
    "#hash: colon",
    "$HOME",
    "~tilde",
]


def parsed(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.root", "methods.ours", "model.weights", "run.dir", "resume", "model.parts.flow"])
def test_any_file_name_is_a_path_value(name: str, key: str) -> None:
    path = f"/videos/{name}"
    (argument,) = normalise([f"{key}={path}"], GROUPS)
    assert argument.startswith(f"++{key}=")
    # OmegaConf turns the escaped dollar brace back when the value is read
    assert str(parsed(argument)).replace("\\${", "${") == path


@pytest.mark.parametrize("name", NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    once = normalise([f"data.root=/videos/{name}", f"run.notes={name}"], GROUPS)
    assert normalise(once, GROUPS) == once


def test_a_relative_name_that_looks_like_a_list_is_a_file_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (structured,) = normalise(["methods.a=[x]"], GROUPS)
    assert parsed(structured) == ["x"]
    (tmp_path / "[x]").mkdir()
    (existing,) = normalise(["methods.a=[x]"], GROUPS)
    assert parsed(existing) == "[x]"


def test_mappings_for_methods_stay_mappings() -> None:
    (argument,) = normalise(["methods.a={network: rife, weights: 'my file.pkl'}"], GROUPS)
    assert parsed(argument) == {"network": "rife", "weights": "my file.pkl"}


def test_group_choices_flags_and_hydra_settings_stay_as_they_are() -> None:
    arguments = ["experiment=quickstart", "data=folder", "--cfg", "job", "-m", "hydra.verbose=true", "~early_stopping"]
    assert normalise(arguments, GROUPS) == arguments


def test_free_text_needs_no_quotes() -> None:
    (argument,) = normalise(["run.notes=first try, lr = 1e-3 (low)"], GROUPS)
    assert parsed(argument) == "first try, lr = 1e-3 (low)"


def test_numbers_stay_numbers() -> None:
    assert parsed(normalise(["optim.iterations=12"], GROUPS)[0]) == 12
    assert parsed(normalise(["optim.ema=null"], GROUPS)[0]) is None


def test_in_a_sweep_a_comma_separates_paths() -> None:
    _, argument = normalise(["-m", "data.root=/a b,/c"], GROUPS)
    assert argument == f"++data.root={quote('/a b')},{quote('/c')}"
