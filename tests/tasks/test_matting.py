"""The outputs that losses of Robust Video Matting read."""

from __future__ import annotations

from pathlib import Path

import torch
from framewright.core.config import instantiate
from framewright.losses import WeightedSum
from framewright.models.registry import create_model
from framewright.tasks import MattingTask
from framewright.training.config import OptimSection
from omegaconf import OmegaConf

CONFIGS = Path(__file__).parents[2] / "configs" / "loss"


def losses() -> WeightedSum:
    """``rvm_high`` with what it builds upon."""
    terms: dict[str, object] = {}
    for name in ("rvm", "rvm_people", "rvm_high"):
        found = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
        assert isinstance(found, dict)
        terms |= {str(key): value for key, value in found.items() if key != "defaults"}
    made = {}
    for name, term in terms.items():
        assert isinstance(term, dict)
        made[name] = (term.pop("weight"), instantiate(term, where=name))
    return WeightedSum(made)


def test_clips_of_two_sizes_and_people_give_one_loss() -> None:
    torch.manual_seed(0)
    optim = OptimSection(iterations=1, optimizer={"_target_": "torch.optim.Adam", "lr": 1e-3})
    task = MattingTask(create_model("rvm", width=0.25), losses(), optim)

    def clip(frames: int, side: int, prefix: str = "") -> dict[str, torch.Tensor]:
        values = {"image": 3, "foreground": 3, "background": 3, "alpha": 1}
        return {f"{prefix}{name}": torch.rand(2, frames, channels, side, side) for name, channels in values.items()}

    batch = clip(3, 48) | clip(2, 96, "high_")
    batch |= {"person": torch.rand(2, 3, 3, 48, 48), "mask": torch.rand(2, 3, 1, 48, 48).round()}
    outputs = task.training_outputs(batch)
    assert outputs["high_alpha"].shape == (2, 2, 1, 96, 96)
    assert outputs["logits"].shape == batch["mask"].shape
    total, terms = task.losses(outputs, batch)
    assert len(terms) == 11
    total.backward()
    # the guided filter learns from the large clips, the head of the people from the pictures
    assert all(
        float(task.net.get_parameter(name).grad.abs().sum()) > 0  # type: ignore[union-attr]
        for name in ("refiner.conv.0.weight", "project_seg.conv.weight", "project_mat.conv.weight")
    )
    # pictures are seen one by one: the last does not depend on the first
    task.eval()
    changed = {**batch, "person": batch["person"].clone()}
    changed["person"][:, 0] = 0
    again = task.training_outputs(changed)["logits"]
    first = task.training_outputs(batch)["logits"]
    torch.testing.assert_close(first[:, 1:], again[:, 1:])
