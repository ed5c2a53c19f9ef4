from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.registry import create_model
from framewright.models.segmentation.deeplab import DeepLabV3Plus
from torch import nn

TINY = {"num_classes": 5, "width": 0.25, "aspp_channels": 16}


def kernels(net: nn.Module) -> list[tuple[int, int]]:
    """Kernel size and groups of the convolutions behind the backbone."""
    return [(m.kernel_size[0], m.groups) for m in net.classifier.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr]


def test_separable_convolutions_replace_every_larger_one_of_the_classifier() -> None:
    plain, separable = DeepLabV3Plus(**TINY), DeepLabV3Plus(**TINY, separable_conv=True)  # type: ignore[arg-type]
    assert sum(size == 3 for size, _ in kernels(plain)) == 4
    assert all(groups > 1 for size, groups in kernels(separable) if size == 3)
    assert sum(size == 3 for size, _ in kernels(separable)) == 4
    with torch.no_grad():
        assert separable.eval()(torch.rand(1, 3, 33, 50)).shape == (1, 5, 33, 50)


def test_decoder_of_the_paper_has_a_second_convolution() -> None:
    one, two = (DeepLabV3Plus(**TINY, decoder_convs=count) for count in (1, 2))  # type: ignore[arg-type]
    extra = sum(p.numel() for p in two.parameters()) - sum(p.numel() for p in one.parameters())
    assert extra == 16 * 16 * 9 + 2 * 16


@pytest.mark.parametrize("backbone", ["mobilenet", "resnet50"])
@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride(backbone: str, stride: int) -> None:
    net = create_model("deeplabv3plus", backbone=backbone, output_stride=stride, width=0.25, aspp_channels=16)
    with torch.no_grad():
        low, high = net.backbone(torch.rand(1, 3, 128, 64))  # type: ignore[operator]
    # MobileNetV2's first convolution is not padded
    assert abs(low.shape[2] - 32) <= 1
    assert abs(high.shape[2] - 128 // stride) <= 1


def test_one_image_per_batch_cannot_be_trained_and_says_so() -> None:
    net = DeepLabV3Plus(**TINY).train()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one image per batch"):
        net(torch.rand(1, 3, 64, 64))
    assert torch.isfinite(net(torch.rand(2, 3, 64, 64))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet18"}, "backbone must be one of"),
        ({"output_stride": 32}, "output_stride must be 8 or 16"),
        ({"decoder_convs": 3}, "decoder_convs"),
        ({"num_classes": 1}, "num_classes"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model("deeplabv3plus", **options)
