"""Frames that show their own number, so that a wrong frame is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from framewright.core.errors import VideoError
from numpy.typing import NDArray


def numbered_frame(number: int, height: int, width: int) -> NDArray[np.uint8]:
    """The number as 8 black or white stripes (least significant bit on the left), in a green frame."""
    image = np.full((height, width, 3), (40, 160, 80), np.uint8)
    for bit in range(8):
        value = 230 if number >> bit & 1 else 20
        image[height // 4 :, bit * width // 8 : (bit + 1) * width // 8] = value
    return image


def read_number(image: NDArray[np.uint8]) -> int:
    """The number that :func:`numbered_frame` painted."""
    height, width, _ = image.shape
    row = image[height // 2 : height * 3 // 4].mean(axis=(0, 2))
    return sum(int(row[bit * width // 8 : (bit + 1) * width // 8].mean() > 125) << bit for bit in range(8))


def read_numbers(frames: NDArray[np.uint8]) -> list[int]:
    return [read_number(frame) for frame in frames]


def one_line(error: pytest.ExceptionInfo[VideoError], *parts: str) -> None:
    """The message is a single line and names what it should."""
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
