"""Protocols as YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
from framewright.benchmark import Protocol, load_protocol
from framewright.benchmark.scoring import make_columns
from framewright.core.errors import ConfigError
from torch import device

CONFIGS = Path(__file__).parents[2] / "configs" / "protocol"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_protocol_file_is_valid_and_its_metrics_exist(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path))
    protocol = load_protocol(path)
    assert protocol.name == path.stem
    # options are right, and what is missing is weights only
    for column in make_columns(protocol, device("cpu")):
        assert column.metric is not None or str(tmp_path) in column.reason


def test_unknown_key_names_the_nearest(protocol: Protocol) -> None:
    with pytest.raises(ConfigError, match=r"protocol.mean_ower.*did you mean 'mean_over'"):
        Protocol.from_mapping({**protocol.model_dump(), "mean_ower": "frames"})


def test_keys_are_unique(protocol: Protocol) -> None:
    with pytest.raises(ConfigError, match="two metrics have the key psnr"):
        Protocol.from_mapping({**protocol.model_dump(), "metrics": [{"key": "psnr"}, {"key": "psnr"}]})


def test_identity_ignores_prose_and_follows_options(protocol: Protocol) -> None:
    reworded = protocol.model_copy(update={"description": ("other words",)})
    assert reworded.problem_identity() == protocol.problem_identity()
    assert protocol.model_copy(update={"version": 9}).problem_identity() != protocol.problem_identity()
    values = protocol.model_dump()
    values["metrics"][0]["label"] = "other words"
    assert Protocol.from_mapping(values).metrics[0].identity() == protocol.metrics[0].identity()
    values["metrics"][0]["options"] = {"rounded": False}
    assert Protocol.from_mapping(values).metrics[0].identity() != protocol.metrics[0].identity()


def test_unknown_metric_is_an_error(protocol: Protocol) -> None:
    values = {**protocol.model_dump(), "metrics": [{"key": "psrn"}]}
    with pytest.raises(ConfigError, match="did you mean 'psnr'"):
        make_columns(Protocol.from_mapping(values), device("cpu"))


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the protocol .*none.yaml"):
        load_protocol(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(ConfigError, match=r"bad.yaml is not valid YAML"):
        load_protocol(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"list.yaml must hold a mapping"):
        load_protocol(tmp_path / "list.yaml")
