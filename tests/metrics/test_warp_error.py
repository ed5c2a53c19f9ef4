from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.metrics import Shared, VideoPair, WarpError, create_metric, list_metrics, metric_entry
from framewright.metrics.warp_error import _near_hole, _pack, _unpack
from torch import Tensor


def video(frames: int = 4, height: int = 40, width: int = 48) -> Tensor:
    """A photograph that moves one pixel to the left and two up from frame to frame."""
    import skimage.data

    image = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    return torch.stack([image[:, 60 + 2 * t : 60 + 2 * t + height, 80 + t : 80 + t + width] for t in range(frames)])


def motion(frames: int = 4, height: int = 40, width: int = 48) -> dict[str, Tensor]:
    flow = torch.tensor([-1.0, -2.0]).view(1, 2, 1, 1).expand(frames - 1, 2, height, width).clone()
    return {"flow": flow, "flow_backward": -flow}


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """The value of ``(C, H, W)`` at a position; indices are held inside, weights come from the position itself."""
    height, width = image.shape[1:]
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(image.shape[0])
    for i, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for j, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            value += wy * wx * image[:, min(max(i, 0), height - 1), min(max(j, 0), width - 1)]
    return value


def test_equals_the_definition_pixel_by_pixel() -> None:
    generator = torch.Generator().manual_seed(4)
    frames = torch.rand(3, 3, 7, 9, generator=generator)
    flow = 3 * torch.randn(2, 2, 7, 9, generator=generator)
    hidden = (torch.rand(2, 1, 7, 9, generator=generator) > 0.7).float()
    hole = (torch.rand(3, 1, 7, 9, generator=generator) > 0.8).float()
    pair = VideoPair(frames, frames, hole, given={"flow": flow, "occlusion": hidden})
    expected, masked = [], []
    for t in range(2):
        errors, inside = [], []
        for y in range(7):
            for x in range(9):
                if hidden[t, 0, y, x]:
                    continue
                at = x + float(flow[t, 0, y, x]), y + float(flow[t, 1, y, x])
                difference = bilinear(frames[t + 1].double().numpy(), *at) - frames[t, :, y, x].double().numpy()
                errors.append((difference**2).mean())
                reached = bilinear(hole[t + 1].double().numpy(), *at)[0] > 0
                inside.append(bool(hole[t, 0, y, x]) or reached)
        expected.append(np.mean(errors))
        masked.append(np.mean(np.array(errors)[inside]))
    np.testing.assert_allclose(create_metric("warp_error_precomputed").values(pair), expected, rtol=1e-5)
    np.testing.assert_allclose(create_metric("warp_error_mask_precomputed").values(pair), masked, rtol=1e-5)


def test_a_video_that_follows_its_flow_has_no_error_inside() -> None:
    frames, given = video(), motion()
    # the edge that leaves the picture is not hidden by the test, so it is excluded by hand
    hidden = torch.ones(3, 1, 40, 48)
    hidden[..., 2:, 1:] = 0
    pair = VideoPair(frames, frames, given={"flow": given["flow"], "occlusion": hidden})
    assert create_metric("warp_error_precomputed").values(pair).max() < 1e-10
    flicker = frames.clone()
    flicker[1] = (flicker[1] * 0.8).clamp(0, 1)
    values = create_metric("warp_error_precomputed").values(VideoPair(flicker, frames, given=pair.given))
    assert (values > 1e-4).tolist() == [True, True, False]


def test_pairs_without_a_pixel_are_zero_or_skipped() -> None:
    frames = video(3)
    hidden = torch.zeros(2, 1, 40, 48)
    hidden[0] = 1
    pair = VideoPair(frames * 0.9, frames, torch.zeros(3, 1, 40, 48), given={**motion(3), "occlusion": hidden})
    lai = create_metric("warp_error_precomputed")
    devil = create_metric("warp_error_precomputed", convention="devil")
    values = lai.values(pair)
    assert values[0] == 0
    assert values[1] > 0
    assert devil.values(pair).isnan().tolist() == [True, False]
    torch.testing.assert_close(devil.mean_of(devil.values(pair)), values[1])
    torch.testing.assert_close(lai.mean_of(values), values[1] / 2)
    masked = create_metric("warp_error_mask_precomputed")
    assert masked.values(pair).isnan().all()
    assert create_metric("warp_error_mask_precomputed", convention="lai").values(pair).tolist() == [0, 0]


def test_hole_is_reached_by_any_share_but_not_by_rounding() -> None:
    mask = torch.zeros(2, 1, 5, 90)
    mask[1, 0, 2, 70] = 1
    flow = torch.zeros(1, 2, 5, 90)
    flow[:, 0] = 3
    assert _near_hole(mask, flow).nonzero().tolist() == [[0, 0, 2, 67]]
    flow[:, 0] = 2.75
    assert _near_hole(mask, flow)[0, 0].nonzero().tolist() == [[2, 67], [2, 68]]
    flow[:, 1] = -0.5
    assert _near_hole(mask, flow)[0, 0].nonzero().tolist() == [[2, 67], [2, 68], [3, 67], [3, 68]]
    # far outside the edge counts
    mask[1, 0, 4, 89] = 1
    flow[:] = 500
    assert _near_hole(mask, flow).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 8)])
def test_packed_bits(size: tuple[int, int]) -> None:
    mask = torch.rand(3, 1, *size) > 0.5
    bits = _pack(mask)
    assert bits.shape == (3, -(-size[0] * size[1] // 8))
    assert torch.equal(_unpack(bits, *size), mask)


def test_flow_of_the_ground_truth_is_computed_once() -> None:
    truth, target = Shared(), video()
    hole = torch.ones(4, 1, 40, 48)
    for prediction in (target, target * 0.9):
        pair = VideoPair(prediction, target, hole, truth=truth)
        for key in ("warp_error_dis", "warp_error_mask_dis", "warp_error_farneback"):
            values = create_metric(key).values(pair)
            assert values.shape == (3,)
            assert values.dtype == torch.float64
    assert truth.computed == {"flow_dis": 1, "flow_farneback": 1}


def test_the_prediction_does_not_choose_the_flow() -> None:
    target = video()
    still = target[:1].expand_as(target)
    moving = create_metric("warp_error_dis").values(VideoPair(target, target)).mean()
    assert create_metric("warp_error_dis").values(VideoPair(still, target)).mean() > 10 * moving


def test_long_videos_are_worked_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    target = video(7)
    pair = VideoPair(target * 0.9, target, (torch.rand(7, 1, 40, 48) > 0.5).float())
    for key in ("warp_error_dis", "warp_error_mask_dis"):
        whole = create_metric(key).values(pair)
        monkeypatch.setattr("framewright.metrics.warp_error._PIXELS_AT_ONCE", 2 * 40 * 48)
        torch.testing.assert_close(create_metric(key).values(pair), whole, rtol=1e-12, atol=0)
        monkeypatch.undo()


def test_a_network_as_source(assets: Path) -> None:
    weights = assets / "weights" / "raft-small.pth"
    metric = create_metric("warp_error_raft_small", weights=str(weights))
    target = video(2, 128, 128)
    pair = VideoPair(target, target)
    standing = {name: torch.zeros_like(flow) for name, flow in motion(2, 128, 128).items()}
    still = create_metric("warp_error_precomputed").values(VideoPair(target, target, given=standing))
    assert metric.values(pair) < 0.05 * still
    assert pair.truth.computed == {"flow_raft_small": 1}
    # the network belongs to no model that holds the metric
    assert not list(metric.parameters())
    assert not metric.state_dict()


def test_keys_units_and_requests() -> None:
    for source in ("raft_small", "raft_large", "pwcnet", "farneback", "dis", "precomputed"):
        for variant in ("warp_error", "warp_error_mask"):
            entry = metric_entry(f"{variant}_{source}")
            assert entry.cls.needs_mask == (variant == "warp_error_mask")
            assert not entry.cls.higher_is_better
    assert "warp_error_dis" in list_metrics()
    assert WarpError("dis").key == create_metric("warp_error_dis").key == "warp_error_dis"
    with pytest.raises(ConfigError, match="'lai' or 'devil'"):
        create_metric("warp_error_dis", convention="mean")
    with pytest.raises(ConfigError, match="has no weights"):
        create_metric("warp_error_dis", weights="x")
    with pytest.raises(ConfigError, match="has no weights"):
        create_metric("warp_error_precomputed", weights="x")
    with pytest.raises(ConfigError, match="source must be one of"):
        WarpError("flownet2")
    with pytest.raises(WeightsError, match="raft_large_C_T_SKHT_V2"):
        create_metric("warp_error_raft_large")


def test_videos_that_cannot_be_measured() -> None:
    frames = video(2)
    with pytest.raises(ValueError, match="at least 2 frames"):
        create_metric("warp_error_dis").values(VideoPair(frames[:1], frames[:1]))
    with pytest.raises(ValueError, match="needs masks"):
        create_metric("warp_error_mask_dis").values(VideoPair(frames, frames))
    metric = create_metric("warp_error_precomputed")
    with pytest.raises(ValueError, match="'flow' of the video 'a' is missing"):
        metric.values(VideoPair(frames, frames, video_id="a"))
    with pytest.raises(ValueError, match="'flow_backward' or 'occlusion'"):
        metric.values(VideoPair(frames, frames, given={"flow": motion(2)["flow"]}))
    with pytest.raises(ValueError, match=r"\(3, 2, 40, 48\), expected \(1, 2, 40, 48\)"):
        metric.values(VideoPair(frames, frames, given=motion(4)))


# --- official figures


def test_synthetic_golden_with_exact_flow(assets: Path) -> None:
    folder = assets / "metrics" / "golden"
    golden = json.loads((folder / "golden.json").read_text())["warp_error_and_pcons"]["small_1x16x64x64"][0]
    with np.load(folder / "small_1x16x64x64.npz") as archive:
        target, prediction = (torch.from_numpy(archive[k][0]).permute(0, 3, 1, 2) / 255 for k in ("gt", "pred"))
        moving, hole = (torch.from_numpy(np.unpackbits(archive[k][0], axis=-1))[:, None] for k in ("obj", "hole"))
        forward = torch.from_numpy(archive["flow"][0]).permute(0, 3, 1, 2).float()
    # the object moves by (-2, 1), the background by (1, 1)
    vectors = [torch.tensor(v).view(1, 2, 1, 1) for v in ((2.0, -1.0), (-1.0, -1.0))]
    given = {"flow": forward, "flow_backward": torch.where(moving[1:] > 0, *vectors)}
    for name, frames in (("gt", target), ("pred", prediction)):
        pair = VideoPair(frames, target, hole.float(), given=given)
        for convention in ("lai", "devil"):
            values = create_metric("warp_error_precomputed", convention=convention).values(pair)
            np.testing.assert_allclose(values, golden[name][f"{convention}_per_pair"], rtol=1e-5)
        masked = create_metric("warp_error_mask_precomputed").values(pair)
        np.testing.assert_allclose(masked, golden[name]["devil_mask_per_pair"], rtol=1e-5, atol=1e-12)


def devil_clip(root: Path, folder: str, clip: str) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Composite, ground truth, holes and flow of a clip of the DEVIL development kit."""
    from skimage import io

    def frames(kind: str, name: str) -> Tensor:
        files = sorted((root / folder / kind / clip).glob(f"*_{name}.png"))
        return torch.from_numpy(np.stack([io.imread(f) for f in files]))

    target, prediction = (frames(k, n).permute(0, 3, 1, 2) / 255 for k, n in (("gt", "gt"), ("pred", "pred")))
    hole = (frames("gt", "mask") == 0)[:, None].float()
    flows = root / folder.replace("_rect", "") / f"flow_{clip}_int16_div64.npz"
    with np.load(flows) as archive:
        forward, backward = (torch.from_numpy(archive[k]).permute(0, 3, 1, 2).float() / 64 for k in ("fw", "bw"))
    return torch.where(hole > 0, prediction, target), target, hole, {"flow": forward, "flow_backward": backward}


@pytest.mark.parametrize(
    ("folder", "clip"),
    [("full_432x240", 0), *((f, c) for f in ("small_216x120", "small_rect_216x120") for c in (0, 1))],
)
def test_values_of_the_official_devil_classes(assets: Path, folder: str, clip: int) -> None:
    root = assets / "metrics" / "devil_devkit"
    golden = json.loads((root / "devil_metrics_golden.json").read_text())["values"][folder]
    composite, target, hole, given = devil_clip(root, folder, f"clip{clip}")
    pair = VideoPair(composite, target, hole, given=given)
    for key in ("warp_error", "warp_error_mask"):
        metric = create_metric(f"{key}_precomputed", convention="devil")
        assert float(metric.mean_of(metric.values(pair))) == pytest.approx(golden[key][clip], rel=1e-5), key
