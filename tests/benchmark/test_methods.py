"""From a specification to a method."""

from __future__ import annotations

from pathlib import Path

import pytest
from framewright.benchmark import method_from_spec
from framewright.core.errors import ConfigError, WeightsError
from framewright.core.files import sha256_file
from framewright.inference import FolderMethod, NetworkMethod
from framewright.inference.specs import recognise
from framewright.models import registry

TASK = "interpolation"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my run, 1=a"
    folder.mkdir()
    net = registry.create_model("rife", **registry.get_card("rife").tiny)
    registry.save_model(net, folder / "weights.safetensors", training={})
    return folder


def test_bare_run_folder(run_folder: Path) -> None:
    method, decision, _ = method_from_spec("ours", str(run_folder), TASK)
    assert isinstance(method, NetworkMethod)
    assert method.name == "ours"
    assert method.weights_sha256 == sha256_file(run_folder / "weights.safetensors")
    assert decision.startswith(f"methods.ours: run {run_folder}: rife")
    assert "holds weights.safetensors" in decision
    assert method.published == (), "a small variant is not the published network"


def test_bare_weight_file(run_folder: Path) -> None:
    path = run_folder / "weights.safetensors"
    method, decision, _ = method_from_spec("ours", str(path), TASK)
    assert method.weights_sha256 == sha256_file(path)
    assert "taken as weights" in decision


def test_bare_folder_of_results(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    method, decision, _ = method_from_spec("theirs", str(tmp_path), TASK)
    assert isinstance(method, FolderMethod)
    assert "taken as results" in decision


def test_existing_folder_wins_over_a_registered_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recognise("frame_average", "methods.x", TASK)[0] == "baseline"
    (tmp_path / "frame_average").mkdir()
    monkeypatch.chdir(tmp_path)
    assert recognise("frame_average", "methods.x", TASK)[0] == "folder"


def test_bare_baseline() -> None:
    method, decision, _ = method_from_spec("average", "frame_average", TASK)
    assert isinstance(method, NetworkMethod)
    assert method.weights_sha256 is None
    assert method.fingerprint() is not None
    assert decision == "methods.average: baseline frame_average (a registered baseline)"


def test_unknown_string_lists_what_was_tried() -> None:
    with pytest.raises(ConfigError) as caught:
        method_from_spec("x", "frame_averag", TASK)
    message = str(caught.value)
    assert "did you mean 'frame_average'" in message
    for tried in ("not a run folder", "not a folder of results or a weight file", "not a method for interpolation"):
        assert tried in message


def test_network_with_weights_and_options(run_folder: Path) -> None:
    path = run_folder / "weights.safetensors"
    spec = {"network": "rife", "weights": str(path), "options": dict(registry.get_card("rife").tiny)}
    method, decision, _ = method_from_spec("ours", spec, TASK)
    assert method.weights_sha256 == sha256_file(path)
    assert decision.startswith("methods.ours: network rife")
    assert isinstance(method, NetworkMethod)
    bare, *_ = method_from_spec("other", str(run_folder), TASK)
    assert method.fingerprint() == bare.fingerprint()


def test_network_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'rife' needs weights.*flownet.pkl"):
        method_from_spec("x", "rife", TASK)


def test_published_numbers_belong_to_the_published_architecture(tmp_path: Path) -> None:
    registry.save_model(registry.create_model("rife"), tmp_path / "weights.safetensors", training={})
    method, *_ = method_from_spec("ours", str(tmp_path), TASK)
    assert {result.benchmark for result in method.published} >= {"vimeo90k", "ucf101"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"netwrk": "rife"}, r"unknown key 'methods.x.netwrk'; did you mean 'network'"),
        ({}, "exactly one of network"),
        ({"network": "rife", "run": "a"}, "exactly one of network.*got network, run"),
        ({"baseline": "frame_average", "weights": "a"}, "weights go with network, not with baseline"),
        ({"folder": "a", "options": {"a": 1}}, "options go with network or baseline"),
        ({"baseline": "rife"}, "'rife' is a network, not a baseline"),
        ({"baseline": "frame_avrage"}, "did you mean 'frame_average'"),
        ({"run": "/no/such"}, "the run folder '/no/such' does not exist"),
        ({"folder": "/no/such"}, "folder of results '/no/such' does not exist"),
        ({"baseline": "frame_average", "options": {"nonsense": 1}}, "nonsense"),
        (7, "must be a name, a path or a mapping, got 7"),
    ],
)
def test_contradictions_are_named(spec: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        method_from_spec("x", spec, TASK)  # type: ignore[arg-type]


def test_networks_of_another_task_are_refused() -> None:
    with pytest.raises(ConfigError, match="'rife' is a network for interpolation, expected one for matting"):
        method_from_spec("x", {"network": "rife", "weights": "a"}, "matting")


def test_hostile_weights_end_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        method_from_spec("x", str(tmp_path / "weights.pth"), TASK)
