"""A small network that chooses, frame by frame, how a path is fitted."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import PathSmoother

_LEAST = 1e-9  # keeps a fit solvable where only one frame is there


class LearnedPath(PathSmoother):
    """A parabola fitted around every frame, with weights predicted from the speeds there.

    Dilated convolutions over time see the differences of the path; for each frame and each of the four numbers they
    give the weights of the ``radius`` frames on both sides (a softmax of values that depend on the distance alone) and
    a penalty of curvature. The smooth path is the value at the frame of the parabola with the least weighted squared
    distances: local regression (Cleveland, JASA 74, 1979) whose kernel is learned. Whatever the weights are, a camera
    at rest stays at rest, a steady pan stays one and nothing lags behind, up to the ends of a path, where a mean would
    have to invent what comes next. Smoothing a path by kernels predicted from the path itself follows DUT (Xu et al.,
    IEEE TIP 2022), whose network predicts the weights of an iterative smoother over a mesh; this is a far smaller
    relative of it for one path.

    Args:
        radius: frames on each side that count.
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
        self.head = nn.Conv1d(channels, 4 * (radius + 2), 1)
        with torch.no_grad():
            # begins with the same bell and the same mild penalty everywhere
            bell = -0.5 * (torch.arange(radius + 1) / (0.5 * radius)) ** 2
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(torch.cat((bell, torch.tensor([-3.0]))).repeat(4))
        self.past = self.ahead = radius + 1 + 2 * (2**layers - 1)

    def smooth(self, trajectory: Tensor) -> Tensor:
        """At least two frames; the fit is made in double precision."""
        path = trajectory.permute(0, 2, 1).double()
        length, offset = path.shape[2], torch.arange(-self.radius, self.radius + 1, device=path.device)
        frame = torch.arange(length, device=path.device)[:, None] + offset
        there = (frame >= 0) & (frame < length)
        logits, penalty = self._predicted(path)
        weight = logits.masked_fill(~there, -torch.inf).softmax(-1).double()
        # relative to the frame itself, so that a place far from the origin costs no digits
        around = path[:, :, frame.clamp(0, length - 1)] - path.unsqueeze(-1)
        powers = (offset / self.radius).double() ** torch.arange(5, device=path.device)[:, None]
        moments = torch.einsum("bctk,pk->bctp", weight, powers)
        right = torch.einsum("bctk,pk->bctp", weight * around, powers[:3])
        index = torch.arange(3, device=path.device)
        least = torch.full_like(penalty, _LEAST)
        matrix = moments[..., index[:, None] + index] + torch.diag_embed(torch.stack((least, least, penalty), -1))
        fitted: Tensor = torch.linalg.solve(matrix, right)[..., 0]
        return (path + fitted).permute(0, 2, 1).to(trajectory)

    def _predicted(self, path: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(B, 4, T, 2 radius + 1)`` of the frames around each frame, and penalties ``(B, 4, T)``."""
        units = path.new_tensor([1.0, 1.0, self.angle_scale, self.angle_scale])[:, None]
        speed = (path * units).diff(dim=2).to(self.head.weight)
        # slow and fast shake of any strength fall into the range that the convolutions are good at
        x = torch.asinh(F.pad(speed, (1, 0), mode="replicate"))
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.1)
        found = torch.unflatten(self.head(x), 1, (4, self.radius + 2)).permute(0, 1, 3, 2)
        half, penalty = found[..., :-1], F.softplus(found[..., -1]).double() + _LEAST
        return torch.cat((half.flip(-1), half[..., 1:]), -1), penalty


CARD = ModelCard(
    name="path_smoother",
    task="stabilization",
    build=LearnedPath,
    summary="local parabolas whose weights a small network chooses, trained without supervision",
    paper="after Xu, Zhang, Maybank, Tao: DUT: Learning Video Stabilization by Simply Watching Unstable Videos, "
    "IEEE TIP 2022, https://arxiv.org/abs/2011.14574 (its smoother for one path; not a reproduction)",
    tiny={"radius": 4, "channels": 4, "layers": 2},
    proven=("trained here",),
)
