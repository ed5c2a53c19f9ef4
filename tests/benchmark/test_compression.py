"""The table of compression: what is smaller, what is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.benchmark import compression
from framewright.benchmark.compression import main, measure, table, variants
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.models.compress import prune
from framewright.models.registry import create_model, save_model
from framewright.video import write_image


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 8), (48, 64), mode="bicubic").clamp(0, 1)
        write_image(folder / f"{number}.png", (smooth[0].permute(1, 2, 0) * 255).byte().numpy())
    return folder


def test_rows(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "is_fast", lambda dtype, device: dtype is torch.bfloat16)
    net = create_model("srvgg", num_feat=24, num_conv=2, upscale=2)
    made = variants(net, tmp_path, prune(net, 12), 8)
    dataset = create_evaluation_set({"name": "images", "root": str(images), "scale": 2}, "super_resolution")
    rows = {row.name: row for row in measure(made, dataset, size=(16, 16), rounds=1)}
    names = ["fp32", "bf16", "fp16", "int8 weights", "pruned", "pruned + int8", "pruned, not tuned"]
    assert list(rows) == [*names, "pruned, not tuned + int8"]
    sizes = [rows[name].file_bytes for name in ("fp32", "fp16", "int8 weights", "pruned + int8")]
    assert sizes == sorted(sizes, reverse=True)
    assert rows["pruned"].parameters < rows["fp32"].parameters == rows["int8 weights"].parameters
    assert (rows["fp32"].ratio, rows["fp32"].loss) == (1, 0)
    assert rows["fp16"].psnr is None
    assert rows["fp16"].milliseconds is None
    close = rows["int8 weights"].loss
    assert close is not None
    assert 0 < abs(close) < 0.5
    printed = table(list(rows.values())).splitlines()
    assert len(printed) == 10
    assert {line.count("|") for line in printed} == {8}
    assert printed[4].endswith("| - | - | - | - |")


def test_program(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "net.safetensors"
    save_model(create_model("srvgg", num_feat=8, num_conv=1, upscale=2), weights)
    given = [f"weights={weights}", "data.name=images", f"data.root={images}", "data.scale=2", "images=1"]
    assert main([*given, "size=[8,8]", "rounds=1"]) == 0
    printed = capsys.readouterr().out
    assert "| fp32 |" in printed
    assert "for a frame of 8x8 on cpu" in printed
    assert main([*given, "device=nowhere"]) == 1
    assert "device=nowhere" in capsys.readouterr().err
    assert main([*given, "rounds=0"]) == 1
    assert "rounds" in capsys.readouterr().err
