"""What all flow networks share: ``net(image1, image2)`` gives the flow from the first image to the second.

Images are ``(B, 3, H, W)`` RGB in [0, 1] of any size; the flow is ``(B, 2, H, W)`` in pixels at full resolution,
channel 0 to the right, channel 1 down.

Networks that can be trained also have ``training_outputs(image1, image2)``, the list of flows that losses read, in
the network's own units and order, and ``final_flow(outputs)``, the last and best of them in pixels of the images.
"""

from __future__ import annotations

from torch import Tensor


def check_images(image1: Tensor, image2: Tensor) -> None:
    """Raise ``ValueError`` unless both are floating ``(B, 3, H, W)`` of one shape with at least one pixel."""
    shapes = f"{tuple(image1.shape)} and {tuple(image2.shape)}"
    if image1.dim() != 4 or image1.shape[1] != 3 or image1.shape != image2.shape:
        raise ValueError(f"flow expects two images (B, 3, H, W) of one shape, got {shapes}")
    if not (image1.is_floating_point() and image2.is_floating_point()):
        raise ValueError(f"flow expects floating-point images in [0, 1], got {image1.dtype} and {image2.dtype}")
    if min(image1.shape[2:]) < 1:
        raise ValueError(f"flow expects images with at least one pixel, got {shapes}")
