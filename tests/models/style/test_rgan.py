"""The recurrent generator: references of any kind, the memory, and what training gets from it."""

from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.inference import Context, NetworkMethod, chunked
from framewright.models.registry import create_model, get_card
from torch import Tensor, nn


def net(**options: object) -> nn.Module:
    torch.manual_seed(3)
    made = create_model("rgan", **{**get_card("rgan").tiny, **options})
    # random weights hardly look at the style
    with torch.no_grad():
        made.style.head[2].weight.mul_(20)  # type: ignore[union-attr, index]
    return made


def clip(frames: int, seed: int = 0, height: int = 24, width: int = 36, batch: int = 1) -> Tensor:
    coarse = torch.rand(batch * frames, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.unflatten(nn.functional.interpolate(coarse, (height, width), mode="bilinear"), 0, (batch, frames))


@torch.no_grad()
def test_the_state_carries_style_and_memory_from_part_to_part() -> None:
    model, video, reference = net(), clip(5), clip(2, seed=1, height=40, width=17)
    whole = model(video, reference)
    first = model(video[:, :2], reference)
    # once there is a state the reference is not looked at
    second = model(video[:, 2:], clip(1, seed=9), first.state)
    torch.testing.assert_close(torch.cat((first.video, second.video), 1), whole.video, rtol=0, atol=1e-6)
    forgotten = model(video[:, 2:], reference)
    assert (forgotten.video[:, 0] - whole.video[:, 2]).abs().max() > 1e-5


@torch.no_grad()
def test_without_memory_frames_are_independent() -> None:
    model, video, reference = net(recurrent=False), clip(3), clip(1, seed=1)
    whole = model(video, reference)
    for t in range(3):
        torch.testing.assert_close(
            model(video[:, t : t + 1], reference).video[:, 0], whole.video[:, t], atol=1e-6, rtol=0
        )
    assert len(whole.state) == 1


@torch.no_grad()
def test_references_of_any_size_and_kind() -> None:
    model, video = net(), clip(1)
    for height, width in ((1, 1), (7, 300), (64, 48), (700, 20)):
        made = model(video, clip(1, seed=2, height=height, width=width)).video
        assert made.shape == video.shape
        assert torch.isfinite(made).all()
    reference = clip(1, seed=2)
    image = model(video, reference[:, 0]).video
    assert torch.equal(image, model(video, reference).video)
    grey = reference.mean(2, keepdim=True)
    assert torch.equal(model(video, grey).video, model(video, grey.expand(-1, -1, 3, -1, -1)).video)
    assert (image - model(video, 1 - reference).video).abs().mean() > 1e-4


@torch.no_grad()
def test_wrong_inputs_are_named() -> None:
    model, video, reference = net(), clip(2), clip(1, seed=1)
    with pytest.raises(ValueError, match="needs a reference with the first frames"):
        model(video)
    with pytest.raises(ValueError, match=r"for each of 1 videos, got \(2, 1, 3, 24, 36\)"):
        model(video, clip(1, batch=2))
    with pytest.raises(ValueError, match=r"expects a video \(B, T, 3, H, W\), got \(1, 2, 1, 24, 36\)"):
        model(video[:, :, :1], reference)
    with pytest.raises(ValueError, match="at least 8x8"):
        model(video[..., :4], reference)
    with pytest.raises(ValueError, match="where the size of the frames changes"):
        model(clip(1, height=32), None, model(video, reference).state)


@torch.no_grad()
def test_a_video_with_a_cut_begins_anew_there() -> None:
    model, reference = net(), clip(1, seed=1)[0]
    first = clip(1, seed=4, height=48, width=64)[0].expand(4, -1, -1, -1)
    second = 1 - clip(1, seed=5, height=48, width=64)[0].expand(4, -1, -1, -1)

    def styled(video: Tensor) -> Tensor:
        context = Context("style", video_id="cut", reference=reference)
        return torch.cat([chunk.frames for chunk in NetworkMethod("rgan", model).process(chunked(video), context)])

    both = styled(torch.cat((first, second)))
    torch.testing.assert_close(both, torch.cat((styled(first), styled(second))), rtol=0, atol=1e-6)
    assert styled(first[:1]).shape == (1, 3, 48, 64)


def test_training_computes_what_is_wanted() -> None:
    model, a, b = net(), clip(4, 1), clip(4, 2)
    assert set(model.training_outputs(a, b, {"fake_b"})) == {"fake_b"}
    assert set(model.training_outputs(a, b, {"identity_b", "predicted_a"})) == {"identity_b", "predicted_a"}
    motion = torch.zeros(1, 2, 24, 36)
    outputs = model.training_outputs(a, b, {"recycled_a", "cycle_b", "moved_b"}, motion)
    assert set(outputs) == {"fake_b", "fake_a", "moved_b", "motion", "recycled_a", "cycle_b"}
    assert outputs["recycled_a"].shape == (1, 2, 3, 24, 36)
    # a frame more behind the clip changes nothing before it
    torch.testing.assert_close(outputs["fake_b"], model(a, b).video, rtol=0, atol=1e-6)
    sum(value.square().mean() for value in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_what_discriminators_see() -> None:
    model = net()
    batch, outputs = {"b": clip(4, 1, batch=2)}, {"fake_b": clip(4, 2, batch=2)}
    real, made = model.judged(outputs, batch, "temporal")
    assert real.shape == made.shape == (4, 9, 24, 36)
    assert torch.equal(real[1], batch["b"][0, 1:].flatten(0, 1))
    real, made = model.judged(outputs, batch, "frame")
    assert torch.equal(made[5], outputs["fake_b"][1, 1])
    with pytest.raises(ValueError, match="clips of 3 frames or more, got 2"):
        model.judged({"fake_b": clip(2)}, {"b": clip(2)}, "temporal")


def test_terms_that_need_a_predictor_say_so() -> None:
    with pytest.raises(ConfigError, match=r"model\.netP=unet_128"):
        net(netP=None).training_outputs(clip(3), clip(3), {"predicted_a"})
    with pytest.raises(ValueError, match="clips of 3 frames or more, got 2"):
        net().training_outputs(clip(2), clip(2), {"predicted_a"})
