"""A gated recurrent unit whose gates are convolutions (Ballas et al., ICLR 2016, https://arxiv.org/abs/1511.06432)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvGRU(nn.Module):
    """``h = (1 - z) h + z c`` with ``r, z = sigmoid(conv[x, h])`` and ``c = tanh(conv[x, r h])``.

    The gate ``z`` weighs the new candidate, as in Robust Video Matting (Lin et al., WACV 2022, equation 1).

    Args:
        channels: of input and state.
        kernel: odd.
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, kernel, padding=kernel // 2), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, kernel, padding=kernel // 2), nn.Tanh())

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over a sequence.

        Args:
            x: ``(B, T, C, H, W)``.
            state: ``(B, C, H, W)`` of the frame before; None: zeros.

        Returns:
            All states ``(B, T, C, H, W)``, and the last one.
        """
        h = torch.zeros_like(x[:, 0]) if state is None else state
        states = []
        for frame in x.unbind(1):
            r, z = self.ih(torch.cat((frame, h), 1)).chunk(2, 1)
            candidate = self.hh(torch.cat((frame, r * h), 1))
            h = (1 - z) * h + z * candidate
            states.append(h)
        return torch.stack(states, 1), h
