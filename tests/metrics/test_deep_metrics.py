"""Behaviour of the metrics with networks that does not depend on recorded values."""

from __future__ import annotations

import copy
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.metrics import SetMetric, Shared, ValueMetric, VideoPair, create_frame_metric, create_metric
from framewright.metrics import i3d as i3d_metrics
from framewright.metrics import lpips as lpips_metric
from framewright.metrics.fid import to_network_input
from framewright.models.registry import create_model
from torch import Tensor

LEARNED = ("lpips_alex", "lpips_vgg", "lpips_squeeze", "fid", "vfid", "vfid_clips", "pvcs", "fvd")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small inputs: several threads would only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    found = {}
    for model in ("squeezenet", "fid_inception", "i3d"):
        found[model] = folder / f"{model}.pth"
        torch.save(create_model(model).state_dict(), found[model])
    return found


def video(length: int = 3, height: int = 32, width: int = 40, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 256, (length, 3, height, width), generator=generator) / 255
    return (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def set_metric(key: str, **options: Any) -> SetMetric:
    metric = create_metric(key, **options)
    assert isinstance(metric, SetMetric)
    return metric


def value_metric(key: str, **options: Any) -> ValueMetric:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return metric


# --- weights


@pytest.mark.parametrize("key", LEARNED)
def test_absent_weights_say_what_to_do(key: str) -> None:
    with pytest.raises(WeightsError) as caught:
        create_metric(key)
    message = str(caught.value)
    for part in ("put it at", "https://", "weights=<path>"):
        assert part in message
    with pytest.raises(WeightsError, match=r"cannot read the weights 'nowhere\.pth'"):
        create_metric(key, weights="nowhere.pth")


def test_wrong_and_damaged_weights(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="do not fit the model 'alexnet'"):
        create_metric("lpips_alex", weights=files["squeezenet"])
    # heads given as trunk: the reference package would go on with random numbers
    torch.save({"lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}, tmp_path / "heads.pth")
    with pytest.raises(WeightsError, match="missing keys"):
        create_metric("lpips_squeeze", weights=tmp_path / "heads.pth")

    (tmp_path / "hostile.pth").write_bytes(pickle.dumps({"a": eval}))
    with pytest.raises(WeightsError, match="would run code"):
        create_metric("vfid", weights=tmp_path / "hostile.pth")
    (tmp_path / "half.pth").write_bytes(files["i3d"].read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="damaged"):
        create_metric("pvcs", weights=tmp_path / "half.pth")


def test_networks_stay_out_of_models_and_random_numbers(files: dict[str, Path]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    metric = value_metric("lpips_squeeze", weights=files["squeezenet"])
    assert torch.equal(torch.rand(1), expected)
    assert not list(metric.parameters())
    assert not metric.state_dict()
    prediction, target = video()
    before = metric.values(VideoPair(prediction, target))
    metric.half()
    assert torch.equal(copy.deepcopy(metric).values(VideoPair(prediction, target)), before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(metric.values(VideoPair(prediction, target)), before)


# --- LPIPS


def test_lpips_equals_the_package(files: dict[str, Path]) -> None:
    import lpips

    with pytest.warns(UserWarning, match=r"pretrained|weights"):
        reference = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    trunk = torch.load(files["squeezenet"], weights_only=True)
    slices = (0, 2, 5, 8, 10, 11, 12)
    names = {key: sum(int(key.split(".")[1]) >= first for first in slices) for key in trunk}
    reference.net.load_state_dict({f"slice{n}.{k.removeprefix('features.')}": trunk[k] for k, n in names.items()})
    prediction, target = video()
    with torch.no_grad():
        expected = reference(prediction, target, normalize=True).flatten()
    metric = create_frame_metric("lpips_squeeze", weights=files["squeezenet"])
    torch.testing.assert_close(metric.frame_values(prediction, target).float(), expected, rtol=1e-5, atol=0)
    metric.update(prediction[:1], target[:1])
    metric.update(prediction[1:], target[1:])
    torch.testing.assert_close(metric.compute().float(), expected.mean())


def test_lpips_computes_ground_truth_once_for_all_methods(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = value_metric("lpips_squeeze", weights=files["squeezenet"])
    prediction, target = video(4)
    prediction[1] = target[1]
    truth = Shared()
    values = metric.values(VideoPair(prediction, target, truth=truth))
    assert values[1] == 0
    assert (values[[0, 2, 3]] > 0).all()
    assert truth.computed == {"lpips_squeeze_features": 3}
    assert torch.equal(metric.values(VideoPair(prediction, target, truth=truth)), values)
    assert truth.computed == {"lpips_squeeze_features": 3}
    metric.values(VideoPair(target.flip(0), target, truth=truth))
    assert truth.computed == {"lpips_squeeze_features": 4}
    # no more than the budget is kept, and the values are the same
    monkeypatch.setattr(lpips_metric, "KEPT_BYTES", 1)
    fresh = Shared()
    assert torch.equal(metric.values(VideoPair(prediction, target, truth=fresh)), values)
    assert fresh.computed == {"lpips_squeeze_features": 1}


def test_lpips_refuses_wrong_frames(files: dict[str, Path]) -> None:
    metric = create_frame_metric("lpips_squeeze", weights=files["squeezenet"])
    prediction, target = video()
    with pytest.raises(ValueError, match=r"expected RGB in \[0, 1\]"):
        metric.frame_values(prediction * 2 - 1, target)
    with pytest.raises(ValueError, match=r"expected RGB in \[0, 1\]"):
        metric.frame_values(prediction, target * 255)
    with pytest.raises(ValueError, match="at least 17x17 pixels"):
        metric.frame_values(prediction[..., :16, :], target[..., :16, :])
    assert metric.frame_values(prediction * float("nan"), target).isnan().all()


# --- FID


def test_fid_preprocessing_equals_pil_and_the_definition() -> None:
    import numpy as np
    from PIL import Image

    levels = (video(1, 40, 350)[1] * 255).round()
    planes = [
        Image.fromarray(plane.numpy(), mode="F").resize((299, 299), Image.Resampling.BICUBIC) for plane in levels[0]
    ]
    expected = (torch.from_numpy(np.stack([np.array(plane) for plane in planes])).clamp(0, 255) - 128) / 128
    torch.testing.assert_close(to_network_input(levels, "clean_fid")[0], expected, rtol=0, atol=1e-4)
    # TensorFlow 1: pixel i looks at i * size / 299
    tf1 = to_network_input(levels, "tf1")[0, 0]
    y, x = 200 * 40 / 299, 100 * 350 / 299
    t, s = y - int(y), x - int(x)
    corner = levels[0, 0, int(y) : int(y) + 2, int(x) : int(x) + 2]
    rows = corner[0] * (1 - t) + corner[1] * t
    assert float(tf1[200, 100]) == pytest.approx((float(rows[0] * (1 - s) + rows[1] * s) - 128) / 128, abs=1e-5)


def test_fid_8_bit_frames(files: dict[str, Path]) -> None:
    levels = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    rounded, truncated = (
        set_metric("fid", dimension=64, eight_bit=how, weights=files["fid_inception"]) for how in ("round", "truncate")
    )
    exact = rounded.features(levels / 255, Shared())
    assert torch.equal(truncated.features(levels / 255, Shared()), exact), "8-bit frames survive truncation"
    between = ((levels + 0.4) / 255).clamp(max=1)
    assert torch.equal(rounded.features(between, Shared()), exact)
    assert torch.equal(truncated.features(between, Shared()), exact)
    above = ((levels + 0.6) / 255).clamp(max=1)
    assert torch.equal(truncated.features(above, Shared()), exact)
    assert not torch.equal(rounded.features(above, Shared()), exact)


def test_fid_keeps_features_and_needs_two_vectors(files: dict[str, Path]) -> None:
    metric = set_metric("fid", dimension=64, weights=files["fid_inception"])
    prediction, target = video(2)
    shared = Shared()
    features = metric.features(target, shared)
    assert features.shape == (2, 64)
    assert metric.features(target, shared) is features
    assert shared.computed == {"fid": 1}
    with pytest.raises(ValueError, match="at least 2 vectors"):
        metric.compute()
    metric.update(prediction[:1], target[:1])
    with pytest.raises(ValueError, match="at least 2 vectors"):
        metric.compute()
    metric.update(prediction[1:], target[1:])
    assert metric.compute() > 0
    with pytest.raises(ValueError, match=r"expected RGB in \[0, 1\]"):
        metric.update(prediction, target * 255)


# --- I3D


def test_pvcs_gives_vfid_over_clips_its_vectors(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pvcs, clips = value_metric("pvcs", weights=files["i3d"]), set_metric("vfid_clips", weights=files["i3d"])
    prediction, target = video(12)
    pair = VideoPair(prediction, target)
    values = pvcs.values(pair)
    assert values.shape == (3,)
    assert (values > 0).all()
    assert pair.truth.computed == {"i3d_maps": 3, "i3d_clips": 1}
    for frames, shared in ((prediction, pair.made), (target, pair.truth)):
        torch.testing.assert_close(clips.features(frames, shared), clips.features(frames, Shared()))
        assert shared.computed["i3d_clips"] == 1
    # a second method finds all of the ground truth
    second = VideoPair(target, target, truth=pair.truth)
    assert (pvcs.values(second) == 0).all()
    assert pair.truth.computed == {"i3d_maps": 3, "i3d_clips": 1}
    monkeypatch.setattr(i3d_metrics, "KEPT_BYTES", 1)
    fresh = VideoPair(prediction, target)
    assert torch.equal(pvcs.values(fresh), values)
    assert fresh.truth.computed == {"i3d_maps": 1, "i3d_clips": 1}


def test_short_videos(files: dict[str, Path]) -> None:
    prediction, target = video(4)
    clips = set_metric("vfid_clips", weights=files["i3d"])
    longer = torch.cat((prediction, prediction[-1:].expand(6, -1, -1, -1)))
    torch.testing.assert_close(clips.features(prediction, Shared()), clips.features(longer, Shared()))
    quirk, right = (value_metric("pvcs", continue_with_target=how, weights=files["i3d"]) for how in (True, False))
    real = torch.cat((target, target[-1:].expand(6, -1, -1, -1)))
    mixed = torch.cat((prediction, target[-1:].expand(6, -1, -1, -1)))
    pair = VideoPair(prediction, target)
    torch.testing.assert_close(quirk.values(pair), quirk.values(VideoPair(mixed, real)))
    torch.testing.assert_close(right.values(VideoPair(prediction, target)), right.values(VideoPair(longer, real)))
    assert "i3d_clips" not in pair.made.computed, "vectors of a prediction that ends in ground truth are no one's"


def test_fvd_clips(files: dict[str, Path]) -> None:
    metric = set_metric("fvd", frames=9, weights=files["i3d"])
    target = video(19, 16, 20)[1]
    features = metric.features(target, Shared())
    assert features.shape == (2, 400)
    overlapping = set_metric("fvd", frames=9, stride=5, weights=files["i3d"]).features(target[:14], Shared())
    torch.testing.assert_close(overlapping[0], features[0])
    with pytest.raises(ValueError, match="at least 9 frames in a video, got 8"):
        metric.features(target[:8], Shared())
    cropped = set_metric("fvd", frames=9, resize="crop", weights=files["i3d"])
    assert cropped.features(target[:9], Shared()).shape == (1, 400)


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("fid", {"preprocessing": "tf2"}, "preprocessing must be one of"),
        ("fid", {"dimension": 100}, "dimension must be one of"),
        ("fid", {"eight_bit": "floor"}, "'round' or 'truncate'"),
        ("vfid", {"mode": "training"}, "'eval' or 'train'"),
        ("fvd", {"frames": 8}, "at least 9"),
        ("fvd", {"resize": "pad"}, "'stretch' or 'crop'"),
        ("fvd", {"stride": 0}, "at least 1"),
        ("fvd", {"ddof": 2}, "0 or 1"),
        ("lpips_alex", {"net": "vgg"}, "no option 'net'"),
    ],
)
def test_options_are_checked(key: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_metric(key, **options)


# --- several processes


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _run(shares: list[list[int]], files: dict[str, Path], folder: Path) -> list[dict[str, Tensor]]:
    program, port = Path(__file__).with_name("one_process.py"), str(_port())
    weights = [str(files[model]) for model in ("squeezenet", "fid_inception")]
    results = [folder / f"{rank}_of_{len(shares)}.pt" for rank in range(len(shares))]
    processes = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), str(len(shares)), port, str(results[rank]), *weights]
            + [str(seed) for seed in seeds],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, seeds in enumerate(shares)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=40)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
    return [torch.load(path, weights_only=True) for path in results]


@pytest.mark.slow
def test_processes_agree_with_one(files: dict[str, Path], tmp_path: Path) -> None:
    (expected,) = _run([[0, 1, 2, 3, 4]], files, tmp_path)
    # numbers of updates and of frames differ between the processes; then one of them has nothing at all
    for shares in ([[0, 2, 4], [1, 3]], [[0, 1, 2, 3, 4], []]):
        for found in _run(shares, files, tmp_path):
            for key, value in expected.items():
                assert float(found[key]) == pytest.approx(float(value), rel=1e-9), (key, shares)
