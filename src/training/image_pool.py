"""A store of samples that a generator made earlier, from which discriminators learn too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError


class ImagePool:
    """Hands out old images for half of the new ones (Shrivastava et al., CVPR 2017, section 2.3).

    Until it is full every image is stored and handed out. Then, with probability 1/2, a new image takes the place of a
    stored one, which is handed out instead. It has its own random numbers, and its state brings a stopped training back
    to exactly where it was.

    Args:
        size: images to keep; 0: new images are handed out as they are.
        seed: of its random numbers.

    Raises:
        ConfigError: a negative size.
    """

    def __init__(self, size: int = 50, seed: int = 0) -> None:
        if size < 0:
            raise ConfigError(f"an image pool cannot keep {size} images")
        self.size = size
        self._images: list[Tensor] = []
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._images)

    def exchange(self, images: Tensor) -> Tensor:
        """New images ``(B, ...)`` -> as many images, some of them old; no gradient goes through."""
        images = images.detach()
        if self.size == 0:
            return images
        given = []
        for image in images:
            if len(self._images) < self.size:
                self._images.append(image.clone())
            elif bool(torch.rand((), generator=self._generator) > 0.5):
                place = int(torch.randint(self.size, (), generator=self._generator))
                old, self._images[place] = self._images[place].to(image.device), image.clone()
                image = old
            given.append(image)
        return torch.stack(given)

    def state_dict(self) -> dict[str, Any]:
        """Images and the state of the random numbers: tensors only, so that they load with ``weights_only=True``."""
        return {"images": [image.clone() for image in self._images], "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`.

        Raises:
            ConfigError: it holds more images than this pool keeps.
        """
        if len(state["images"]) > self.size:
            raise ConfigError(
                f"the stored image pool holds {len(state['images'])} images, this one keeps {self.size}: "
                "resume with the size that the training began with"
            )
        self._images = [image.clone() for image in state["images"]]
        self._generator.set_state(state["generator"].cpu())
