"""PWC-Net: pyramid, warping and cost volume, with densely connected decoders and a dilated context network.

Sun, Yang, Liu and Kautz, "PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume", CVPR 2018
(https://arxiv.org/abs/1709.02371), written from the structure of the official release (class ``PWCDCNet``). The
parameters have the names of the official checkpoints.

Kept from the official code, because published numbers depend on it:
    * the network works on BGR planes (converted inside; callers see RGB);
    * images are resized to multiples of 64, and the flow back;
    * the network's flow is in units of 20 pixels of the image, at every level;
    * features that the warp takes from outside, even in part, are zero;
    * the finest level has an upsampling layer, ``deconv2``, that nothing uses.

Different from the official code:
    * images are resized in floating point, not as 8-bit images;
    * the costs are computed without a compiled extension, and the warp in float32 under autocast;
    * the warp samples as under torch 0.4, whatever the version (``align_corners=False`` for the other convention);
    * flow is predicted and carried in float32 under autocast.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.cost_volume import cost_volume
from ...ops.warp import warp
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import check_images

_COARSEST, _FINEST = 6, 2
_MULTIPLE = 2**_COARSEST
_UNIT = 20.0  # pixels
# flow and features that a decoder takes over from the coarser level
_CARRIED = 2 + 2
_DILATIONS = (1, 2, 4, 8, 16, 1)


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.1)


def _conv(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, dilation, dilation), _activation())


def _predict(channels_in: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, 2, 3, 1, 1)


def _deconv(channels_in: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, 2, 4, 2, 1)


def _extractor_names(level: int) -> tuple[str, str, str]:
    """The three convolutions of a level in the order of computation; the first one halves the size."""
    # the official module calls the first one of the last level "aa", those of all others "a"
    first, second = ("aa", "a") if level == _COARSEST else ("a", "aa")
    return f"conv{level}{first}", f"conv{level}{second}", f"conv{level}b"


class PWCNet(nn.Module):
    """PWC-Net for images of any size (official class ``PWCDCNet``, 9,374,340 parameters with the defaults).

    Args:
        md: largest displacement of the cost volume, in pixels of a level.
        dense: decoders in which every convolution sees all before it; False for a chain (the paper's PWC-Net-small).
        channels: of the feature pyramid, from half the resolution to 1/64.
        decoder_channels: of the convolutions of every decoder.
        context_channels: of the six dilated convolutions that refine the finest flow; empty for no such network.
        align_corners: False samples the warped features as the official code does under torch 1.3 and later, where
            the default of ``grid_sample`` is another one: for weights that were trained so.
        normalize: compare features that have zero mean and unit variance over the channels of each pixel, so that the
            costs are correlation coefficients. Not in the official network; random features match then already, and
            a small network leaves zero flow in a fraction of the iterations (after Jonschkowski et al., "What Matters
            in Unsupervised Optical Flow", ECCV 2020, who normalize over the image too).

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        md: int = 4,
        dense: bool = True,
        channels: Sequence[int] = (16, 32, 64, 96, 128, 196),
        decoder_channels: Sequence[int] = (128, 128, 96, 64, 32),
        context_channels: Sequence[int] = (128, 128, 128, 96, 64, 32),
        align_corners: bool = True,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        _check_options(md, channels, decoder_channels, context_channels)
        self.md, self.dense, self.align_corners, self.normalize = md, dense, align_corners, normalize
        self.steps = len(decoder_channels)
        pyramid = (3, *channels)
        for level in range(1, _COARSEST + 1):
            width = pyramid[level]
            for i, name in enumerate(_extractor_names(level)):
                self.add_module(name, _conv(pyramid[level - 1], width, stride=2) if i == 0 else _conv(width, width))
        features = 0
        for level in range(_COARSEST, _FINEST - 1, -1):
            features = (2 * md + 1) ** 2 + (0 if level == _COARSEST else pyramid[level] + _CARRIED)
            for i, width in enumerate(decoder_channels):
                self.add_module(f"conv{level}_{i}", _conv(features, width))
                features = features + width if dense else width
            self.add_module(f"predict_flow{level}", _predict(features))
            self.add_module(f"deconv{level}", _deconv(2))
            if level > _FINEST:
                self.add_module(f"upfeat{level}", _deconv(features))
        widths = (features, *context_channels)
        self.context = tuple(f"dc_conv{i + 1}" for i in range(len(context_channels) + 1)) if context_channels else ()
        for name, inner, outer, dilation in zip(self.context, widths, widths[1:], _DILATIONS, strict=False):
            self.add_module(name, _conv(inner, outer, dilation=dilation))
        if self.context:
            self.add_module(self.context[-1], _predict(widths[-1]))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """The flow from ``image1`` to ``image2``.

        Args:
            image1, image2: ``(B, 3, H, W)`` RGB in [0, 1], any size.

        Returns:
            ``(B, 2, H, W)`` in pixels, float32.

        Raises:
            ValueError: shapes do not fit.
        """
        flow = self.final_flow(self.training_outputs(image1, image2))
        return F.interpolate(flow, image1.shape[2:], mode="bilinear", align_corners=False)

    def training_outputs(self, image1: Tensor, image2: Tensor) -> list[Tensor]:
        """The flow of every level, from 1/4 of the resolution to 1/64.

        Args:
            image1, image2: as for :meth:`forward`; sizes that are multiples of 64 are not resized.

        Returns:
            Five ``(B, 2, h, w)`` float32 in units of 20 pixels of the given images, the refined one first; h and w
            are the size, rounded up to a multiple of 64, divided by 4, 8, ... 64.
        """
        check_images(image1, image2)
        height, width = image1.shape[2:]
        rows, columns = height + -height % _MULTIPLE, width + -width % _MULTIPLE
        images = torch.cat((image1, image2)).flip(1)
        if (rows, columns) != (height, width):
            images = F.interpolate(images, (rows, columns), mode="bilinear", align_corners=False)
        flows = self._estimate(images)
        ratio = flows[0].new_tensor((width / columns, height / rows)).view(1, 2, 1, 1)
        return [flow * ratio for flow in reversed(flows)]

    def final_flow(self, outputs: Sequence[Tensor]) -> Tensor:
        """The refined flow in pixels of the images, at a quarter of their resolution."""
        return outputs[0] * _UNIT

    def _estimate(self, images: Tensor) -> list[Tensor]:
        """The flow of every level, coarse to fine, of BGR images ``(2 B, 3, H, W)``: first ones, then second ones."""
        pyramid = self._features(images)
        flows: list[Tensor] = []
        x = flow = images  # stand for the decoder above, which the coarsest level does not have
        for level in range(_COARSEST, _FINEST - 1, -1):
            first, second = pyramid[level - 1].chunk(2)
            if not flows:
                x = self._costs(first, second)
            else:
                carried = self._call(f"deconv{level + 1}", flow, precise=True)
                features = self._call(f"upfeat{level + 1}", x)
                moved = self._warp(second, carried * (_UNIT / 2**level))
                x = torch.cat((self._costs(first, moved), first, carried, features), 1)
            for i in range(self.steps):
                new = self._call(f"conv{level}_{i}", x)
                x = torch.cat((new, x), 1) if self.dense else new
            flow = self._call(f"predict_flow{level}", x, precise=True)
            flows.append(flow)
        if self.context:
            for name in self.context[:-1]:
                x = self._call(name, x)
            flows[-1] = flow + self._call(self.context[-1], x, precise=True)
        return flows

    def _features(self, images: Tensor) -> list[Tensor]:
        pyramid = []
        x = images
        for level in range(1, _COARSEST + 1):
            for name in _extractor_names(level):
                x = self._call(name, x)
            pyramid.append(x)
        return pyramid

    def _call(self, name: str, x: Tensor, *, precise: bool = False) -> Tensor:
        """A layer by name; ``precise`` ones stay in float32, because half precision cannot hold a flow."""
        layer = self.get_submodule(name)
        if precise and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(device_type=x.device.type, enabled=False):
                x = layer(x.float())
        else:
            x = layer(x)
        return x

    def _costs(self, first: Tensor, second: Tensor) -> Tensor:
        if self.normalize:
            first, second = _normalized(first), _normalized(second)
        return F.leaky_relu(cost_volume(first, second, self.md), 0.1)

    def _warp(self, features: Tensor, flow: Tensor) -> Tensor:
        """``features`` brought onto the first image; zero wherever a share of them comes from outside."""
        if not self.align_corners:
            flow = _unaligned(flow)
        warped = warp(features, flow, padding="zeros")
        inside = warp(torch.ones_like(flow[:, :1]), flow, padding="zeros") >= 0.9999
        return warped * inside


def _normalized(features: Tensor) -> Tensor:
    """Zero mean and unit variance over channels; a pixel without features stays without."""
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    centred = features - features.mean(1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-6)


def _unaligned(flow: Tensor) -> Tensor:
    """The flow that samples where positions normalised by size - 1 end up when read as fractions of the size."""
    height, width = flow.shape[2:]
    x = torch.arange(width, device=flow.device).expand(height, width)
    y = torch.arange(height, device=flow.device).unsqueeze(1).expand(height, width)
    here = torch.stack((x, y)).to(flow.dtype)
    factor = flow.new_tensor((width / max(width - 1, 1), height / max(height - 1, 1))).view(2, 1, 1)
    return (here + flow) * factor - 0.5 - here


def _check_options(
    md: int, channels: Sequence[int], decoder_channels: Sequence[int], context_channels: Sequence[int]
) -> None:
    if md < 1:
        raise ConfigError(f"md must be at least 1, got {md}")
    if len(channels) != _COARSEST:
        raise ConfigError(f"channels needs {_COARSEST} numbers, one per level, got {list(channels)}")
    if not decoder_channels:
        raise ConfigError("decoder_channels needs at least one number")
    if len(context_channels) not in (0, len(_DILATIONS)):
        raise ConfigError(f"context_channels needs {len(_DILATIONS)} numbers or none, got {list(context_channels)}")
    if any(width < 1 for width in itertools.chain(channels, decoder_channels, context_channels)):
        raise ConfigError("channels, decoder_channels and context_channels must be at least 1")


# --- checkpoints

_NUMBERS = {"One": 1, "Two": 2, "Thr": 3, "Fou": 4, "Fiv": 5, "Six": 6}


def _is_official(keys: set[str]) -> bool:
    return {"conv1a.0.weight", "conv6_0.0.weight", "deconv2.weight", "predict_flow2.weight"} <= keys


def _is_sniklaus(keys: set[str]) -> bool:
    return any({f"{root}Extractor.{root}One.0.weight", f"{root}Six.{root}One.0.weight"} <= keys for root in _ROOTS)


_ROOTS = ("net", "module")


def _from_sniklaus(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {_rename_sniklaus(key): value for key, value in state.items()}
    # that module leaves out the layer of the official one that nothing uses
    unused = _deconv(2)
    return {"deconv2.weight": torch.zeros_like(unused.weight), "deconv2.bias": torch.zeros(2)} | renamed


def _rename_sniklaus(key: str) -> str:
    root, *inner, kind = key.replace("module", "net").removeprefix("net").split(".")
    inner = [name.removeprefix("net") for name in inner]
    if root == "Extractor":
        level = _NUMBERS[inner[0]]
        return f"{_extractor_names(level)[int(inner[1]) // 2]}.0.{kind}"
    if root == "Refiner":
        layer = int(inner[1]) // 2 + 1
        return f"dc_conv{layer}.{kind}" if layer == len(_DILATIONS) + 1 else f"dc_conv{layer}.0.{kind}"
    level = _NUMBERS[root]
    if inner[0] in ("Upflow", "Upfeat"):
        return f"{'deconv' if inner[0] == 'Upflow' else 'upfeat'}{level + 1}.{kind}"
    step = _NUMBERS[inner[0]] - 1
    return f"predict_flow{level}.{kind}" if step == 5 else f"conv{level}_{step}.0.{kind}"


_LICENCE = "CC BY-NC-SA 4.0 (NVIDIA)"
_NVLABS = "https://github.com/NVlabs/PWC-Net/tree/master/PyTorch"
_SNIKLAUS = "https://github.com/sniklaus/pytorch-pwc"


def _official(tag: str, filename: str, source: str, trained_on: str) -> OfficialWeights:
    return OfficialWeights(tag=tag, filename=filename, licence=_LICENCE, source=source, trained_on=trained_on)


CARD = ModelCard(
    name="pwcnet",
    task="flow",
    build=PWCNet,
    summary="feature pyramid, warping and cost volumes, dense decoders, dilated refinement",
    paper="Sun, Yang, Liu, Kautz: PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume, CVPR 2018, "
    "https://arxiv.org/abs/1709.02371",
    tiny={
        "md": 2,
        "channels": (4, 4, 6, 6, 8, 8),
        "decoder_channels": (8, 6),
        "context_channels": (6, 6, 6, 6, 4, 4),
    },
    licence=_LICENCE,
    weights=(
        _official("sintel", "pwc_net.pth.tar", _NVLABS, "FlyingChairs, FlyingThings3D, then Sintel"),
        _official("chairs", "pwc_net_chairs.pth.tar", _NVLABS, "FlyingChairs"),
        _official("sniklaus_default", "network-default.pytorch", _SNIKLAUS, "as 'sintel', keys renamed"),
        _official("sniklaus_chairs_things", "network-chairs-things.pytorch", _SNIKLAUS, "FlyingChairs, FlyingThings3D"),
    ),
    layouts=(
        CheckpointLayout("official NVlabs", _is_official, dict),
        CheckpointLayout("sniklaus", _is_sniklaus, _from_sniklaus),
    ),
    published=(
        PublishedResult("sintel_clean", "epe", 2.55, "paper, C+T, as quoted in ptlflow's tables", "C+T"),
        PublishedResult("sintel_final", "epe", 3.93, "paper, C+T, as quoted in ptlflow's tables", "C+T"),
        PublishedResult("kitti2015", "epe", 10.35, "paper, C+T, as quoted in ptlflow's tables", "C+T"),
        PublishedResult("kitti2015", "fl_all", 33.7, "paper, C+T, as quoted in ptlflow's tables", "C+T"),
        PublishedResult("sintel_clean", "epe", 1.83, "README of github.com/NVlabs/PWC-Net", "sintel"),
        PublishedResult("sintel_final", "epe", 2.31, "README of github.com/NVlabs/PWC-Net", "sintel"),
    ),
    proven=("parity", "official weights never seen"),
)
