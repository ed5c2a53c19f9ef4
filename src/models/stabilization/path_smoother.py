"""A small network that chooses, frame by frame, how wide a path is averaged."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import PathSmoother


class LearnedPath(PathSmoother):
    """Kernels of a temporal mean, predicted from the speeds around each frame.

    Dilated convolutions over time see the differences of the path; for each frame and each of the four numbers they
    give the weights of a symmetric mean over ``2 radius + 1`` frames (a softmax, so that they are positive and sum to
    one). Whatever the weights are, a camera at rest stays at rest, a steady pan stays one, nothing lags behind, and
    the smooth path never leaves the range of the path around it. Beyond its ends a path is continued by its
    reflection in the end point. Smoothing a path by kernels predicted from the path itself follows DUT (Xu et al.,
    IEEE TIP 2022), whose network predicts the weights of an iterative smoother over a mesh; this is a far smaller
    relative of it for one path.

    Args:
        radius: of the mean, in frames.
        channels: of the convolutions.
        layers: convolutions of 5 frames, dilated by 1, 2, 4 ...
        angle_scale: pixels that a radian, and a unit of log scale, count as.

    Raises:
        ConfigError: an option below 1.
    """

    def __init__(self, radius: int = 30, channels: int = 24, layers: int = 4, angle_scale: float = 200.0) -> None:
        super().__init__()
        if min(radius, channels, layers) < 1 or angle_scale <= 0:
            raise ConfigError(
                f"expected options of at least 1, got radius={radius}, channels={channels}, layers={layers}, "
                f"angle_scale={angle_scale}"
            )
        self.radius, self.angle_scale = radius, angle_scale
        widths = [4] + [channels] * layers
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, 5, padding=2 * 2**i, dilation=2**i, padding_mode="replicate")
            for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.head = nn.Conv1d(channels, 4 * (radius + 1), 1)
        with torch.no_grad():
            # begins as a Gaussian mean
            bell = -0.5 * (torch.arange(radius + 1) / (0.3 * radius)) ** 2
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(bell.repeat(4))
        seen = radius + 1 + 2 * (2**layers - 1)
        self.past = self.ahead = seen

    def smooth(self, trajectory: Tensor) -> Tensor:
        """At least two frames."""
        path = trajectory.permute(0, 2, 1)
        weights = self._weights(path).to(path.dtype)
        around = _continued(path, self.radius).unfold(2, 2 * self.radius + 1, 1)
        # relative to the frame itself, so that a place far from the origin costs no digits
        moved = (weights * (around - path.unsqueeze(-1))).sum(-1)
        return (path + moved).permute(0, 2, 1)

    def _weights(self, path: Tensor) -> Tensor:
        """Weights ``(B, 4, T, 2 radius + 1)`` of the frames around each frame."""
        units = path.new_tensor([1.0, 1.0, self.angle_scale, self.angle_scale])[:, None]
        speed = (path * units).diff(dim=2).float()
        # slow and fast shake of any strength fall into the range that the convolutions are good at
        x = torch.asinh(F.pad(speed, (1, 0), mode="replicate"))
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.1)
        half = torch.unflatten(self.head(x), 1, (4, self.radius + 1)).permute(0, 1, 3, 2)
        return torch.cat((half.flip(-1), half[..., 1:]), -1).softmax(-1)


def _continued(path: Tensor, radius: int) -> Tensor:
    """``(B, 4, T)`` with ``radius`` more frames at both ends, reflected in the end points."""
    length = path.shape[2]
    index = torch.arange(1, radius + 1, device=path.device).clamp(max=length - 1)
    before = 2 * path[..., :1] - path[..., index.flip(0)]
    behind = 2 * path[..., -1:] - path[..., length - 1 - index]
    return torch.cat((before, path, behind), 2)


CARD = ModelCard(
    name="path_smoother",
    task="stabilization",
    build=LearnedPath,
    summary="temporal mean whose width a small network chooses, trained without supervision",
    paper="after Xu, Zhang, Maybank, Tao: DUT: Learning Video Stabilization by Simply Watching Unstable Videos, "
    "IEEE TIP 2022, https://arxiv.org/abs/2011.14574 (its smoother for one path; not a reproduction)",
    tiny={"radius": 4, "channels": 4, "layers": 2},
    proven=("unproven",),
)
