"""Downloading, verifying and reading weight files, against a server on this machine."""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core import download as downloading
from framewright.core.errors import WeightsError
from framewright.weights import (
    OfficialWeights,
    cache_directory,
    fetch,
    read_checkpoint,
    save_weights,
    unwrap_state_dict,
)

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT, and misbehaves as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True
        self.status: list[int] = []  # answers of the next requests, before serving properly
        self.cut: list[int] = []  # the next responses end after so many bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        if self.server.status:
            self.send_error(self.server.status.pop(0))
            return
        body = self.server.content
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = self.server.cut.pop(0) if self.server.cut else len(body)
        self.wfile.write(body[start : start + end])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "_PAUSE_S", 0.0)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    for variable in ("FRAMEWRIGHT_OFFLINE", "FRAMEWRIGHT_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("FRAMEWRIGHT_OFFLINE")
    return tmp_path / "cache" / "weights" / "net"


def entry(url: str | None, content: bytes = CONTENT, **options: object) -> OfficialWeights:
    digest = hashlib.sha256(content).hexdigest()
    return OfficialWeights("tag", "net.pth", "MIT", "https://example.org/net", url, digest, **options)  # type: ignore[arg-type]


def test_download_is_cached(server: Server, cache: Path) -> None:
    path = fetch("net", entry(server.url))
    assert path == cache / "net.pth"
    assert path.read_bytes() == CONTENT
    assert fetch("net", entry(server.url)) == path
    assert len(server.requests) == 1
    assert not (cache / "net.pth.part").exists()


def test_interrupted_download_is_resumed(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(CONTENT[:100_000])
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT
    assert server.requests == [("/net.pth", "bytes=100000-")]


def test_complete_part_file_needs_no_transfer(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(CONTENT)
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT


def test_server_without_range_sends_everything(server: Server, cache: Path) -> None:
    server.ranges = False
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(b"x" * 1000)
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT


def test_stale_part_file_is_started_again(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(b"of an older release" * 10)
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == ["bytes=190-", None]


def test_truncated_transfer_is_continued(server: Server) -> None:
    server.cut = [120_000, 50_000]
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=120000-", "bytes=170000-"]


def test_transfer_that_stays_truncated_is_an_error_and_can_be_resumed(server: Server, cache: Path) -> None:
    server.cut = [1000, 1000, 1000]
    with pytest.raises(WeightsError, match=r"ended after 3000 of 300000 bytes; run again to resume"):
        fetch("net", entry(server.url))
    assert not (cache / "net.pth").exists()
    assert (cache / "net.pth.part").read_bytes() == CONTENT[:3000]
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT


def test_wrong_sha256_removes_the_file(server: Server, cache: Path) -> None:
    server.content = b"something else" * 100
    with pytest.raises(WeightsError, match="not the expected file") as caught:
        fetch("net", entry(server.url))
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)
    assert sorted(p.name for p in cache.iterdir() if p.suffix != ".lock") == []


def test_damaged_cache_is_downloaded_again(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT[:-1] + b"?")
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT


def test_server_errors(server: Server) -> None:
    server.status = [503, 500]
    assert fetch("net", entry(server.url)).read_bytes() == CONTENT
    server.status = [404]
    with pytest.raises(WeightsError, match="the server answered 404") as caught:
        fetch("other", entry(server.url))
    assert server.url in str(caught.value)
    assert len(server.requests) == 4  # a 404 is final


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_PAUSE_S", 0.0)
    with pytest.raises(WeightsError, match="no connection"):
        fetch("net", entry("http://127.0.0.1:1/net.pth"))


def test_offline(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="FRAMEWRIGHT_OFFLINE") as caught:
        fetch("net", entry(server.url))
    for part in ("net.pth", "https://example.org/net", str(cache / "net.pth")):
        assert part in str(caught.value)
    assert server.requests == []
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT)
    assert fetch("net", entry(server.url)) == cache / "net.pth"
    (cache / "net.pth").write_bytes(b"?")
    with pytest.raises(WeightsError, match="is not the expected file"):
        fetch("net", entry(server.url))
    assert (cache / "net.pth").exists(), "what cannot be replaced is not removed"


def test_file_without_address_names_where_to_put_it(cache: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be downloaded automatically") as caught:
        fetch("net", entry(None))
    assert str(cache / "net.pth") in str(caught.value)
    assert "https://example.org/net" in str(caught.value)
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT)
    assert fetch("net", entry(None)).read_bytes() == CONTENT


def test_mirror(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_MIRROR", f"http://127.0.0.1:{server.server_port}/mirror/")
    assert fetch("net", entry("https://unreachable.invalid/net.pth")).read_bytes() == CONTENT
    assert server.requests == [("/mirror/net/net.pth", None)]


def test_unwritable_cache(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocker = tmp_path / "a file"
    blocker.write_text("in the way")
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(blocker / "cache"))
    with pytest.raises(WeightsError, match="FRAMEWRIGHT_CACHE") as caught:
        fetch("net", entry(server.url))
    assert str(blocker / "cache") in str(caught.value)


def test_parallel_downloads_fetch_once(server: Server) -> None:
    results: list[Path] = []
    threads = [threading.Thread(target=lambda: results.append(fetch("net", entry(server.url)))) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in results] == [True] * 4
    assert len(server.requests) == 1


def test_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEWRIGHT_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "framewright"


def known_by_its_beginning(url: str | None, filename: str = "net-prefix.pth") -> OfficialWeights:
    digest = hashlib.sha256(CONTENT).hexdigest()[:8]
    return OfficialWeights("tag", filename, "MIT", "https://example.org/net", url, digest)


def test_the_beginning_of_a_hash_is_verified_too(server: Server, cache: Path) -> None:
    some = known_by_its_beginning(server.url)
    assert fetch("net", some).read_bytes() == CONTENT
    (cache / some.filename).write_bytes(b"?")
    assert fetch("net", some).read_bytes() == CONTENT, "damaged, and downloaded again"
    server.content = b"something else"
    with pytest.raises(WeightsError, match="not the expected file"):
        fetch("other", some)
    with pytest.raises(WeightsError, match=f"sha256 {some.sha256}…"):
        fetch("other", known_by_its_beginning(None))


def test_torch_hub_files_are_used_when_their_hash_fits(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = known_by_its_beginning(None)
    hub = tmp_path / "torch" / "hub" / "checkpoints" / some.filename
    hub.parent.mkdir(parents=True)
    hub.write_bytes(CONTENT)
    assert fetch("net", some) == hub
    without_hash = OfficialWeights("tag", some.filename, "MIT", "https://example.org/net")
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        fetch("net", without_hash)
    hub.write_bytes(b"?")
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        fetch("net", some)
    assert str(hub) in capsys.readouterr().err
    assert hub.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "https://example.org/a", "sha256": None},
        {"url": "file:///etc/passwd", "sha256": "0" * 64},
        {"sha256": "abc"},
        {"filename": "../escape.pth"},
        {"filename": ""},
    ],
)
def test_entries_are_checked(options: dict[str, str | None]) -> None:
    plain = {"tag": "t", "filename": "f.pth", "licence": "MIT", "source": "https://example.org"}
    with pytest.raises(ValueError, match="weights 't'"):
        OfficialWeights(**(plain | options))  # type: ignore[arg-type]


class Hostile:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_hostile_pickle_is_refused_and_not_run(form: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "was run", tmp_path / "hostile.pth"
    state = {"state_dict": {"a": torch.zeros(1)}, "extra": Hostile(str(marker))}
    if form == "pickle":
        path.write_bytes(pickle.dumps(state["extra"]))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match="was refused: loading it would run code") as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "mkdir" in message or form == "pickle"
    assert "\n" not in message
    assert not marker.exists()


def test_damaged_files(tmp_path: Path) -> None:
    good = tmp_path / "good.pth"
    torch.save({"w": torch.arange(1000.0)}, good)
    save_weights(tmp_path / "good.safetensors", {"w": torch.arange(1000.0)}, {})
    cases = {
        "missing.pth": None,
        "empty.pth": b"",
        "half.pth": good.read_bytes()[: good.stat().st_size // 2],
        "noise.pth": CONTENT[:5000],
        "half.safetensors": (tmp_path / "good.safetensors").read_bytes()[:2000],
        "noise.safetensors": CONTENT[:5000],
        "short.safetensors": b"abc",
        "page.pth": b"<!DOCTYPE html><html>quota exceeded</html>",
        "pointer.pth": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            read_checkpoint(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="is a folder"):
        read_checkpoint(tmp_path)
    torch.save([torch.zeros(1)], good)
    with pytest.raises(WeightsError, match="holds a list"):
        read_checkpoint(good)


def test_harmless_extras_of_research_checkpoints(tmp_path: Path) -> None:
    extras = {
        "best_score": np.float64(0.75),
        "history": np.arange(3),
        "args": argparse.Namespace(lr=1e-4),
        "model_state": {"module.w": torch.ones(2)},
    }
    torch.save(extras, tmp_path / "a.pth")
    state = read_checkpoint(tmp_path / "a.pth").state
    assert state["best_score"] == 0.75
    assert state["args"].lr == 1e-4
    assert list(unwrap_state_dict(state)) == ["w"]


def test_safetensors_with_metadata(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"a": shared, "tied": shared, "turned": shared.t(), "count": torch.tensor(3)}
    save_weights(tmp_path / "deep" / "w.safetensors", state, {"key": "värde"})
    read = read_checkpoint(tmp_path / "deep" / "w.safetensors")
    assert read.metadata == {"key": "värde"}
    assert all(torch.equal(read.state[key], value) for key, value in state.items())
    with pytest.raises(WeightsError, match=r"\.safetensors"):
        save_weights(tmp_path / "w.pth", state, {})


def test_unwrap() -> None:
    one, two = torch.ones(1), torch.zeros(1)
    assert unwrap_state_dict({"w": one}) == {"w": one}
    assert unwrap_state_dict({"params": {"w": two}, "params_ema": {"w": one}})["w"] is one
    assert unwrap_state_dict({"iter": torch.tensor(7), "state_dict": {"module.w": one}}) == {"w": one}
    assert unwrap_state_dict({"model": {"state_dict": {"_orig_mod.module.w": one}}}) == {"w": one}
    assert unwrap_state_dict({"netG": {"w": one}, "netD": {"w": two}})["w"] is one
    assert unwrap_state_dict({"sttn": {"w": one}, "epoch": 3}) == {"w": one}
    assert unwrap_state_dict({"module.a": one, "b": two}) == {"module.a": one, "b": two}
    with pytest.raises(WeightsError, match="no tensors"):
        unwrap_state_dict({"epoch": 3})
    with pytest.raises(WeightsError, match="several networks"):
        unwrap_state_dict({"first": {"w": one}, "second": {"w": two}})


def test_all_official_checkpoints_of_the_assets_load(assets: Path) -> None:
    paths = sorted((assets / "weights").glob("*.pth"))
    assert paths
    for path in paths:
        assert unwrap_state_dict(read_checkpoint(path).state)
