"""The Inception-v3 of the Frechet inception distance, as converted from TensorFlow's graph of 2015-12-05.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016
(https://arxiv.org/abs/1512.00567); used for FID by Heusel et al., NeurIPS 2017 (https://arxiv.org/abs/1706.08500).
The parameters have the names of the common PyTorch conversion (``pt_inception-2015-12-05``). It is another network
than torchvision's ``inception_v3``, with which FID comes out wrong:

    * average pooling divides by the number of pixels inside the image, not by 9;
    * the last block pools the maximum, not the average;
    * 1008 classes.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...weights import OfficialWeights
from ..card import ModelCard

Dimension = Literal[64, 192, 768, 2048]
DIMENSIONS: tuple[Dimension, ...] = (64, 192, 768, 2048)
INPUT_SIZE = 299


class _Conv(nn.Module):
    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(nn.Module):
    """35x35."""

    def __init__(self, channels_in: int, pool_width: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 64, 1)
        self.branch5x5_1 = _Conv(channels_in, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(channels_in, pool_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch1x1(x), five, three, self.branch_pool(_average(x))), 1)


class _BlockB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(channels_in, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), three, F.max_pool2d(x, 3, stride=2)), 1)


class _BlockC(nn.Module):
    """17x17."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 192, 1)
        self.branch7x7_1 = _Conv(channels_in, width, 1)
        self.branch7x7_2 = _Conv(width, width, (1, 7), padding=(0, 3))
        self.branch7x7_3 = _Conv(width, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = _Conv(channels_in, width, 1)
        self.branch7x7dbl_2 = _Conv(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = _Conv(width, width, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = _Conv(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = _Conv(width, 192, (1, 7), padding=(0, 3))
        self.branch_pool = _Conv(channels_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat((self.branch1x1(x), once, twice, self.branch_pool(_average(x))), 1)


class _BlockD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(channels_in, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(channels_in, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat((self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, stride=2)), 1)


class _BlockE(nn.Module):
    """8x8; ``maximum`` pools the maximum in place of the average."""

    def __init__(self, channels_in: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = _Conv(channels_in, 320, 1)
        self.branch3x3_1 = _Conv(channels_in, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Conv(channels_in, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(channels_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        branches = (
            self.branch1x1(x),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(pooled),
        )
        return torch.cat(branches, 1)


class FIDInception(nn.Module):
    """The network of FID.

    Shape of the images: ``(B, 3, 299, 299)``, about [-1, 1]: resizing and mapping belong to the evaluation, because
    conventions differ (see :class:`framewright.metrics.fid.FID`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, maximum=False)
        self.Mixed_7c = _BlockE(2048, maximum=True)
        self.fc = nn.Linear(2048, 1008)

    def features(self, images: Tensor, dimension: Dimension = 2048) -> Tensor:
        """Spatial means ``(B, dimension)`` of the map with that many channels; nothing behind it is computed.

        Raises:
            ValueError: images of another shape, or a dimension other than 64, 192, 768 and 2048.
        """
        if dimension not in DIMENSIONS:
            raise ValueError(f"the FID network has features of {DIMENSIONS} dimensions, not of {dimension}")
        if images.dim() != 4 or images.shape[1:] != (3, INPUT_SIZE, INPUT_SIZE):
            raise ValueError(f"the FID network expects (B, 3, 299, 299), got {tuple(images.shape)}")
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = F.max_pool2d(x, 3, stride=2)
        if dimension > 64:
            x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2)
        if dimension > 192:
            x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
            x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        if dimension > 768:
            x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        means: Tensor = x.mean((2, 3))
        return means

    def forward(self, images: Tensor) -> Tensor:
        """Class logits ``(B, 1008)``."""
        logits: Tensor = self.fc(self.features(images))
        return logits


_FILE = "inception-2015-12-05-6726825d.pth"

CARD = ModelCard(
    name="fid_inception",
    task="auxiliary",
    build=FIDInception,
    summary="the Inception-v3 of FID",
    paper='Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, '
    "https://arxiv.org/abs/1706.08500",
    licence="Apache-2.0",
    weights=(
        OfficialWeights(
            tag="imagenet",
            filename=f"pt_{_FILE}",
            licence="Apache-2.0",
            source="https://github.com/mseitzer/pytorch-fid/releases (fid_weights)",
            url=f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_{_FILE}",
            sha256="6726825d",
            trained_on="ImageNet",
        ),
        OfficialWeights(
            tag="torch-fidelity",
            filename=f"weights-{_FILE}",
            licence="Apache-2.0",
            source="https://github.com/toshas/torch-fidelity/releases (v0.2.0); the same file under another name",
            url=f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-{_FILE}",
            sha256="6726825d",
            trained_on="ImageNet",
        ),
    ),
    proven=("parity", "official weights never seen"),
)
