"""Distances of videos in the features of I3D: VFID, VFID over clips, PVCS and FVD.

They are four measures, not one: VFID (Wang et al., "Video-to-Video Synthesis", NeurIPS 2018,
https://arxiv.org/abs/1808.06601, in the form of inpainting evaluations) compares pooled features of inputs in [0, 1];
FVD (Unterthiner et al., 2018, https://arxiv.org/abs/1812.01717) logits of 224x224 inputs in [-1, 1]; PVCS, of the DEVIL
benchmark (Szeto and Corso, CVPR 2022, https://arxiv.org/abs/2105.05332), is a perceptual distance of clip and clip.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from ..ops.frechet import frechet_distance
from .base import Items, SetMetric, VideoMetric
from .networks import exact, fixed_network
from .pair import Shared, VideoPair

Weights = str | os.PathLike[str] | None

WINDOW = 10
_LAYERS = ("Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f", "Mixed_5c")
_EPSILON = 1e-10
_CLIPS = "i3d_clips"
#: maps of the ground truth of one video that are kept in memory for the next method, in bytes
KEPT_BYTES = 1 << 30


def _clip(frames: Tensor) -> Tensor:
    """``(T, 3, H, W)`` as one clip ``(1, 3, T, H, W)`` float32."""
    return frames.float().movedim(0, 1).unsqueeze(0)


def _windows(frames: Tensor, last: Tensor) -> Iterator[Tensor]:
    """Every ten consecutive frames ``(10, 3, H, W)``; a shorter video is continued with the frame ``last``."""
    missing = WINDOW - len(frames)
    if missing > 0:
        frames = torch.cat((frames, last.expand(missing, *frames.shape[1:])))
    for start in range(len(frames) - WINDOW + 1):
        yield frames[start : start + WINDOW]


class VFID(SetMetric):
    """Frechet distance of whole videos: one vector each, the mean of I3D's last maps (1024 dimensions).

    Frames are taken as they are, in [0, 1] and at their size. A video passes through the network in one piece, so that
    memory grows with its length.

    Args:
        mode: ``"eval"`` as DEVIL, or ``"train"``: every layer normalised by the statistics of the video at hand, as the
            evaluation script of FuseFormer, E2FGVI and ProPainter does, which never left training mode. The tables of
            those papers need ``"train"``.
        weights: file of the network; None for the official ones.

    Raises:
        ConfigError: an unknown ``mode``.
        WeightsError: the weights are absent or do not fit.
    """

    key = "vfid"
    decimals = 3
    items: ClassVar[Items] = "video"
    dimension = 1024

    def __init__(self, mode: Literal["eval", "train"] = "eval", weights: Weights = None) -> None:
        super().__init__()
        if mode not in ("eval", "train"):
            raise ConfigError(f"mode must be 'eval' or 'train', got {mode!r}")
        self.mode = mode
        self._network = fixed_network("i3d", weights, "kinetics")
        self.weights_sha256 = self._network.sha256

    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        """One vector ``(1, 1024)``."""
        identity = {"weights": self._network.sha256, "mode": self.mode}
        return shared.get("i3d_video", identity, lambda: {"features": self._features(frames)}, keep=True)["features"]

    def _features(self, frames: Tensor) -> Tensor:
        with exact(frames.device):
            pooled: Tensor = self._network.on(frames).pooled(_clip(frames), batch_statistics=self.mode == "train")
        return pooled

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The Frechet distance, by sample covariances, in float64."""
        return frechet_distance(predicted, real)


class VFIDClips(SetMetric):
    """Frechet distance of clips: one vector for every ten consecutive frames (1024 dimensions), as DEVIL.

    A video of fewer than ten frames is continued with its last one. Where :class:`PVCS` has looked at the same video
    before, its vectors are found and the network is not run again.

    Args:
        weights: file of the network; None for the official ones.

    Raises:
        WeightsError: the weights are absent or do not fit.
    """

    key = "vfid_clips"
    decimals = 3
    items: ClassVar[Items] = "clip"
    dimension = 1024

    def __init__(self, weights: Weights = None) -> None:
        super().__init__()
        self._network = fixed_network("i3d", weights, "kinetics")
        self.weights_sha256 = self._network.sha256

    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        """One vector per clip ``(max(T - 9, 1), 1024)``."""
        identity = {"weights": self._network.sha256}
        return shared.get(_CLIPS, identity, lambda: {"features": self._features(frames)}, keep=True)["features"]

    def _features(self, frames: Tensor) -> Tensor:
        net = self._network.on(frames)
        with exact(frames.device):
            return torch.cat([net.pooled(_clip(window)) for window in _windows(frames, frames[-1])])

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The Frechet distance, by sample covariances, in float64."""
        return frechet_distance(predicted, real)


class PVCS(VideoMetric):
    """Perceptual video clip similarity of DEVIL: a distance of every ten consecutive frames; lower is more alike.

    The maps of four layers of I3D are brought to length one along channels; squared differences are summed over
    channels, averaged over time and space, and summed over layers. Frames are taken in [0, 1] and at their size.

    Args:
        continue_with_target: a prediction of fewer than ten frames is continued with the last frame of the *ground
            truth*, as DEVIL does by mistake; False continues it with its own.
        weights: file of the network; None for the official ones.

    Raises:
        WeightsError: the weights are absent or do not fit.
    """

    key = "pvcs"
    higher_is_better = False
    decimals = 4
    items: ClassVar[Items] = "clip"

    def __init__(self, continue_with_target: bool = True, weights: Weights = None) -> None:
        super().__init__()
        self.continue_with_target = continue_with_target
        self._network = fixed_network("i3d", weights, "kinetics")
        self.weights_sha256 = self._network.sha256

    def values(self, pair: VideoPair) -> Tensor:
        """The distance of each clip ``(max(T - 9, 1),)``."""
        self.check(pair)
        prediction, target = pair.prediction, pair.target
        last = (target if self.continue_with_target else prediction)[-1]
        distances: list[Tensor] = []
        made: list[Tensor] = []
        real: list[Tensor] = []
        kept = 0
        with exact(target.device):
            both = zip(_windows(prediction, last), _windows(target, target[-1]), strict=True)
            for index, (window, reference) in enumerate(both):
                layers = self._kept(pair.truth, reference, index) if kept < KEPT_BYTES else self._layers(reference)
                kept += sum(layer.nbytes for layer in layers.values())
                real.append(layers["pooled"])
                distance, pooled = self._compare(window, layers)
                distances.append(distance)
                made.append(pooled)
        # what VFID over clips would compute once more
        identity = {"weights": self._network.sha256}
        pair.truth.get(_CLIPS, identity, lambda: {"features": torch.cat(real)}, keep=True)
        if len(prediction) >= WINDOW or not self.continue_with_target:
            pair.made.get(_CLIPS, identity, lambda: {"features": torch.cat(made)}, keep=True)
        return torch.stack(distances)

    def _kept(self, truth: Shared, window: Tensor, index: int) -> dict[str, Tensor]:
        identity = {"clip": index, "weights": self._network.sha256}
        return truth.get("i3d_maps", identity, lambda: self._layers(window))

    def _layers(self, window: Tensor) -> dict[str, Tensor]:
        """The maps by name, of length one along channels, and as ``"pooled"`` the mean of the last ``(1, 1024)``."""
        maps: dict[str, Tensor] = self._network.on(window).endpoints(_clip(window), _LAYERS)
        pooled = maps[_LAYERS[-1]].mean((2, 3, 4))
        for name, layer in maps.items():
            length = torch.linalg.vector_norm(layer, dim=1, keepdim=True).add_(_EPSILON)
            # in place unless a later endpoint was computed from the very same memory, which none is
            maps[name] = layer.div_(length)
        return {**maps, "pooled": pooled}

    def _compare(self, window: Tensor, reference: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        layers = self._layers(window)
        terms = [(layers[name].sub_(reference[name])).square_().sum(1).mean(dtype=torch.float64) for name in _LAYERS]
        return torch.stack(terms).sum(), layers["pooled"]


class FVD(SetMetric):
    """Frechet video distance: one vector per clip, the 400 logits of I3D for frames of 224x224 in [-1, 1].

    Conventions differ between programs and change the value: state these options with it.

    Args:
        frames: of a clip.
        stride: frames from the start of a clip to the start of the next; None for clips that touch. Frames at the end
            that fill no clip are left out.
        resize: ``"stretch"`` to 224x224, or ``"crop"``: the shorter side to 224, then the centre.
        ddof: covariances are divided by the number of clips less this: 1, or 0 as cd-fvd.
        weights: file of the network; None for the one of the generation literature.

    Raises:
        ConfigError: an option out of range.
        WeightsError: the weights are absent or do not fit.
    """

    key = "fvd"
    decimals = 2
    items: ClassVar[Items] = "clip"
    dimension = 400

    def __init__(
        self,
        frames: int = 16,
        stride: int | None = None,
        resize: Literal["stretch", "crop"] = "stretch",
        ddof: int = 1,
        weights: Weights = None,
    ) -> None:
        super().__init__()
        if frames < 9:
            raise ConfigError(f"frames must be at least 9, from which I3D has logits, got {frames}")
        if stride is not None and stride < 1:
            raise ConfigError(f"stride must be at least 1, got {stride}")
        if resize not in ("stretch", "crop"):
            raise ConfigError(f"resize must be 'stretch' or 'crop', got {resize!r}")
        if ddof not in (0, 1):
            raise ConfigError(f"ddof must be 0 or 1, got {ddof}")
        self.frames, self.stride, self.resize, self.ddof = frames, stride or frames, resize, ddof
        self._network = fixed_network("i3d", weights, "fvd")
        self.weights_sha256 = self._network.sha256

    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        """One vector per clip ``(K, 400)``.

        Raises:
            ValueError: the video is shorter than a clip.
        """
        if len(frames) < self.frames:
            raise ValueError(f"fvd needs at least {self.frames} frames in a video, got {len(frames)}")
        identity = {
            "weights": self._network.sha256,
            "frames": self.frames,
            "stride": self.stride,
            "resize": self.resize,
        }
        return shared.get("i3d_logits", identity, lambda: {"features": self._features(frames)}, keep=True)["features"]

    def _features(self, frames: Tensor) -> Tensor:
        net = self._network.on(frames)
        starts = range(0, len(frames) - self.frames + 1, self.stride)
        with exact(frames.device):
            clips = (_resize(frames[start : start + self.frames].float(), self.resize) for start in starts)
            return torch.cat([net(_clip(clip * 2 - 1)) for clip in clips])

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The Frechet distance in float64."""
        return frechet_distance(predicted, real, ddof=self.ddof)


def _resize(frames: Tensor, how: str, side: int = 224) -> Tensor:
    if how == "stretch":
        return F.interpolate(frames, (side, side), mode="bilinear", align_corners=False)
    height, width = frames.shape[2:]
    scale = side / min(height, width)
    size = (side, max(side, round(width * scale))) if height <= width else (max(side, round(height * scale)), side)
    frames = F.interpolate(frames, size, mode="bilinear", align_corners=False)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return frames[:, :, top : top + side, left : left + side]
