"""Optical flow data sets: augmented training samples, and pairs to evaluate on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.files import sha256_json
from ..video import read_flow, read_image
from .base import EvaluationVideo, TrainingDataset
from .flow_geometry import FlowPair
from .flow_layouts import PairFiles
from .flow_transforms import FlowTransform
from .interpolation_sets import LayoutEvaluation
from .layouts import FrameSequence, Layout
from .transforms import images_to_tensor


def load_pair(root: Path, files: PairFiles, title: str, sparse: bool = False) -> FlowPair:
    """Read the images and the flow of a pair.

    Raises:
        DataError: a file cannot be read, the sizes differ, or there is no flow; names the file.
    """
    if files.flow is None:
        raise DataError(f"{title}: the pair {files.id!r} has no published flow")
    first, second = read_image(root / files.image1), read_image(root / files.image2)
    flow, valid = read_flow(root / files.flow)
    for name, array in ((files.image2, second), (files.flow, flow)):
        if array.shape[:2] != first.shape[:2]:
            raise DataError(
                f"{title}: {str(root / name)!r} is {array.shape[1]}x{array.shape[0]}, but "
                f"{str(root / files.image1)!r} is {first.shape[1]}x{first.shape[0]} (width x height)"
            )
    return FlowPair(first, second, flow, valid, sparse)


class FlowPairs(TrainingDataset):
    """Pairs with flow as augmented samples.

    Samples: ``image1``, ``image2`` ``(3, h, w)``, ``flow`` ``(2, h, w)`` in pixels, ``valid`` ``(1, h, w)``, 1 = the
    flow is known (elsewhere it is 0).

    Args:
        layout: of the data set.
        root: as the layout found it.
        pairs: the files.
        transform: augmentation.
        sparse: whether the truth is sparse (KITTI, HD1K) and must not be interpolated.
        reject_unknown: a flow with any unknown value makes the sample an error, which ``on_error=skip`` replaces.

    Raises:
        DataError: there is no pair.
    """

    def __init__(
        self,
        layout: Layout,
        root: Path,
        pairs: Sequence[PairFiles],
        transform: FlowTransform,
        sparse: bool = False,
        reject_unknown: bool = False,
    ) -> None:
        if not pairs:
            raise DataError(
                f"{layout.title}: {str(root)!r} holds no pair of the kind that is asked for; expected {layout.expected}"
            )
        self.layout = layout
        self.root = root
        self.pairs = list(pairs)
        self.transform = transform
        self.sparse = sparse
        self.reject_unknown = reject_unknown

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pair ``index``, augmented; raises ``DataError`` naming the file that cannot be used."""
        files = self.pairs[index]
        pair = load_pair(self.root, files, self.layout.title, self.sparse)
        if self.reject_unknown and not pair.valid.all():
            unknown = int(pair.valid.size - pair.valid.sum())
            raise DataError(
                f"{self.layout.title}: {str(self.root / str(files.flow))!r} has {unknown} pixels that are not a number "
                "(the authors know of such files); with data.on_error=skip another sample takes its place"
            )
        return self.transform(pair, rng, f"{self.layout.title}, pair {files.id!r}")

    def describe(self) -> dict[str, Any]:
        """The number of pairs, a hash of their names, and the augmentation."""
        return {
            "dataset": self.layout.title,
            "pairs": len(self.pairs),
            "first": self.pairs[0].id,
            "last": self.pairs[-1].id,
            "ids_sha256": sha256_json([pair.id for pair in self.pairs]),
            "sparse": self.sparse,
            "reject_unknown": self.reject_unknown,
            "transform": self.transform.describe(),
        }


class FlowEvaluation(LayoutEvaluation):
    """Pairs as videos of two frames, with flow as truth.

    ``truth``, all with one entry in time: ``flow`` ``(1, 2, H, W)``, 0 where unknown; ``valid`` ``(1, 1, H, W)``, 1 =
    counts. Where the set has them, ``occlusion`` ``(1, 1, H, W)``, 1 = no counterpart in the second image (KITTI:
    known in ``flow_occ`` and not in ``flow_noc``), and ``invalid`` ``(1, 1, H, W)``, 1 = marked by Sintel's authors as
    not defined; published tables count these pixels too, so they stay valid. A test split has no truth.

    Args:
        layout: of the data set.
        name: in results.
        root: as the layout found it.
        pairs: the files.
        published: number of pairs of the whole published set or split; None: any number is whole.
        limit: use so many only, spread evenly.

    Raises:
        DataError: no pair, or a file is missing.
        ConfigError: limit below 1.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        root: Path,
        pairs: Sequence[PairFiles],
        published: int | None,
        limit: int | None = None,
    ) -> None:
        self._files = {pair.id: pair for pair in pairs}
        sequences = [pair.sequence() for pair in pairs]
        super().__init__(layout, name, root, sequences, len(pairs) if published is None else published, limit)

    def frame_count(self, index: int) -> int:
        """Two."""
        return 2

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Pair ``index``; raises ``DataError`` naming a file that cannot be read or differs in size."""
        sequence = self.sequences[index]
        files = self._files[sequence.id]
        if files.flow is None:
            return EvaluationVideo(sequence.id, self.load(sequence))
        pair = load_pair(self.root, files, self.layout.title)
        truth = {
            "flow": torch.from_numpy(np.ascontiguousarray(np.moveaxis(pair.flow, -1, 0)))[None],
            "valid": _mask(pair.valid),
        }
        if files.matched is not None:
            matched = read_flow(self.root / files.matched)[1]
            self._check_size(matched, pair, files.matched)
            truth["occlusion"] = _mask(pair.valid & ~matched)
        for name, path in (("occlusion", files.occlusion), ("invalid", files.invalid)):
            if path is not None:
                mask = read_image(self.root / path)[..., 0] > 127
                self._check_size(mask, pair, path)
                truth[name] = _mask(mask)
        return EvaluationVideo(sequence.id, images_to_tensor(np.stack([pair.image1, pair.image2])), truth)

    def load(self, sequence: FrameSequence) -> Tensor:
        """Frames ``(2, 3, H, W)``."""
        return images_to_tensor(np.stack(self.images(sequence.members[:2])))

    def _check_size(self, mask: np.ndarray[Any, Any], pair: FlowPair, path: str) -> None:
        if mask.shape != pair.valid.shape:
            raise DataError(
                f"{self.layout.title}: {str(self.root / path)!r} is {mask.shape[1]}x{mask.shape[0]}, its flow is "
                f"{pair.valid.shape[1]}x{pair.valid.shape[0]} (width x height)"
            )


def _mask(mask: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]
