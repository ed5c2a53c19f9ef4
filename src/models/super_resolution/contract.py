"""What all super-resolution networks share: ``net(image)`` gives an image that is ``net.scale`` times larger.

Images are ``(B, 3, H, W)`` RGB in [0, 1] of any size from 1x1; results are not clamped.

For those who cut an image into tiles a network says

* ``receptive_radius``: pixels of the input further away than this never influence an output pixel. Tiles with such a
  border give what the whole image gives. None: every pixel may.
* ``alignment``: tiles have to begin at multiples of it.
"""

from __future__ import annotations

from torch import Tensor


def check_image(image: Tensor) -> None:
    """Raise ``ValueError`` unless ``image`` is floating ``(B, 3, H, W)`` with at least one pixel."""
    if image.dim() != 4 or image.shape[1] != 3 or min(image.shape[2:]) < 1:
        raise ValueError(f"super-resolution expects images (B, 3, H, W), got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ValueError(f"super-resolution expects floating-point images in [0, 1], got {image.dtype}")
