"""Checked sections and the allowlist of classes."""

from __future__ import annotations

import pytest
import torch
from framewright.core.config import Section, instantiate, locate_class, parse_section, resolve_target
from framewright.core.errors import ConfigError
from pydantic import Field


class Inner(Section):
    rate: float = Field(default=0.1, gt=0)


class Outer(Section):
    iterations: int
    inner: Inner = Inner()


def test_unknown_keys_come_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optim.inner.rte'; did you mean 'rate'"):
        parse_section(Outer, {"iterations": 1, "inner": {"rte": 1.0}}, "optim")


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_section(Outer, {"iteration": 3, "inner": {"rate": -1}})
    message = str(caught.value)
    assert "unknown key 'iteration'; did you mean 'iterations'" in message
    assert "iterations is required and not set" in message
    assert "inner.rate" in message
    assert "greater than 0, got -1" in message


def test_a_text_where_a_number_belongs() -> None:
    with pytest.raises(ConfigError, match=r"inner.rate: .*number.*'abc'"):
        parse_section(Outer, {"iterations": 1, "inner": {"rate": "abc"}})


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "builtins.eval",
        "torch.load",
        "torch.nn.functional.torch.load",
        "torch.nn.modules.module.warnings.catch_warnings",
        "torch.optim.optimizer.Path",
        "framewright.core.files.os.remove",
        "framewright.core.files.Path",
        "framewright.core.files.sha256_file",
        "torch.nn.init.normal_",
    ],
)
def test_nothing_but_allowed_classes_can_be_named(target: str) -> None:
    with pytest.raises(ConfigError):
        locate_class(target)


def test_an_allowed_package_can_be_added() -> None:
    with pytest.raises(ConfigError, match=r"allow_targets=\[fractions\]"):
        locate_class("fractions.Fraction")
    assert locate_class("fractions.Fraction", allow=["fractions"]).__name__ == "Fraction"


def test_arguments_are_checked_before_anything_is_built() -> None:
    optimizer = {"_target_": "torch.optim.AdamW", "lrr": 1e-3}
    with pytest.raises(ConfigError, match=r"unknown key 'optim.optimizer.lrr'; did you mean 'lr'"):
        resolve_target(optimizer, where="optim.optimizer", positional=1)
    with pytest.raises(ConfigError, match=r"loss.x.num_embeddings is required"):
        resolve_target({"_target_": "torch.nn.Embedding", "embedding_dim": 3}, where="loss.x")


def test_nested_targets_are_built_and_checked() -> None:
    config = {
        "_target_": "torch.nn.TransformerEncoder",
        "encoder_layer": {"_target_": "torch.nn.TransformerEncoderLayer", "d_model": 4, "nhead": 2},
        "num_layers": 1,
        "enable_nested_tensor": False,
    }
    assert isinstance(instantiate(config, where="x"), torch.nn.TransformerEncoder)
    config["encoder_layer"]["_target_"] = "os.system"  # type: ignore[index]
    with pytest.raises(ConfigError, match="not allowed"):
        instantiate(config, where="x")


def test_values_that_a_constructor_refuses_are_named() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    with pytest.raises(ConfigError, match=r"optim.optimizer: AdamW refused its arguments.*-1"):
        instantiate({"_target_": "torch.optim.AdamW", "lr": -1}, weights, where="optim.optimizer")
