"""What a metric sees of one video: the prediction, the ground truth, and what was already computed from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class Shared:
    """Intermediate results of one set of frames, computed once for all metrics that need them.

    Several metrics may ask at the same time; one result is made at a time.

    This class keeps them in memory; :mod:`framewright.benchmark` has one that also keeps the small ones on disk.

    Attributes:
        computed: how many results were computed, by name.
        loaded: how many were found where they were kept, by name.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Tensors] = {}
        self.computed: dict[str, int] = {}
        self.loaded: dict[str, int] = {}
        # one result may be made of another
        self._lock = threading.RLock()

    def get(
        self, name: str, identity: Mapping[str, Any], compute: Callable[[], Tensors], *, keep: bool = False
    ) -> Tensors:
        """The tensors of ``name``; ``compute`` is called where they are not known.

        Args:
            name: what they are, for example ``"i3d_clips"``; also the name in the counters.
            identity: everything besides the frames that they depend on (options, sha256 of weights), JSON-able.
            compute: makes them.
            keep: small enough, and dear enough, to be kept for later evaluations of the same data.
        """
        key = (name, repr(sorted(identity.items())))
        with self._lock:
            return self._get(key, name, identity, compute, keep)

    def _get(
        self, key: tuple[str, str], name: str, identity: Mapping[str, Any], compute: Callable[[], Tensors], keep: bool
    ) -> Tensors:
        if key not in self._known:
            found = self.load(name, identity) if keep else None
            counter = self.computed if found is None else self.loaded
            counter[name] = counter.get(name, 0) + 1
            if found is None:
                found = compute()
                if keep:
                    self.store(name, identity, found)
            self._known[key] = found
        return self._known[key]

    def load(self, name: str, identity: Mapping[str, Any]) -> Tensors | None:
        """What an earlier evaluation kept; here nothing."""
        return None

    def store(self, name: str, identity: Mapping[str, Any], tensors: Tensors) -> None:
        """Keep a result for later evaluations; here nothing is kept."""


@dataclass(frozen=True)
class VideoPair:
    """One video as a method made it, and as it should be.

    Attributes:
        prediction: ``(T, 3, H, W)`` RGB float32 in [0, 1], exactly the frames to be scored (composited where the
            protocol says so).
        target: the same shape.
        mask: ``(T, 1, H, W)`` float32, 1 = hole, binary; None where the task has none.
        video_id: for messages.
        truth: results that depend on ``target`` and ``mask`` alone, shared by all methods.
        made: results that depend on ``prediction`` too, shared by the metrics of one method.
        given: ground truth that the data set brings, by name, time axis first: ``flow``, ``flow_backward``
            ``(T-1, 2, H, W)``, ``occlusion`` ``(T-1, 1, H, W)`` ...
        results: what the method made besides frames, by name, time axis first: ``flow`` ``(T, 2, H, W)`` ...
        pairs_before: pairs of consecutive frames in the videos that precede this one in the set, in the order of
            names. Patch consistency draws its patches from one random stream over the whole set; with this number
            a video's values are the same wherever, and in whatever order, it is measured.
        scale: by which the method enlarged its input; some protocols leave out as many pixels at each border.

    Raises:
        ValueError: shapes do not fit, values are no RGB in [0, 1], or the mask is not binary.
    """

    prediction: Tensor
    target: Tensor
    mask: Tensor | None = None
    video_id: str = ""
    truth: Shared = field(default_factory=Shared)
    made: Shared = field(default_factory=Shared)
    given: Mapping[str, Tensor] = field(default_factory=dict)
    results: Mapping[str, Tensor] = field(default_factory=dict)
    pairs_before: int = 0
    scale: int = 1

    def __post_init__(self) -> None:
        check_frames(self.prediction, self.target)
        for what, frames in (("prediction", self.prediction), ("target", self.target)):
            check_range(frames, f"{what} of the video {self.video_id!r}" if self.video_id else what)
        if self.mask is not None:
            check_mask(self.mask, self.target, self.video_id)

    def __len__(self) -> int:
        return int(self.target.shape[0])


def check_frames(prediction: Tensor, target: Tensor) -> None:
    """Raise ``ValueError`` unless both are floating ``(N, 3, H, W)`` of one shape."""
    if prediction.shape != target.shape or prediction.dim() != 4 or prediction.shape[1] != 3:
        raise ValueError(
            f"a metric of frames expects two (N, 3, H, W) of one shape, got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}"
        )
    if not (prediction.is_floating_point() and target.is_floating_point()):
        raise ValueError(
            f"a metric of frames expects floating-point frames in [0, 1], got {prediction.dtype} and {target.dtype}"
        )


def check_range(frames: Tensor, what: str = "frames") -> None:
    """Raise ``ValueError`` unless all values lie in [0, 1]; not-a-number passes, the metrics report it."""
    if frames.numel() == 0:
        return
    low, high = (float(value) for value in frames.aminmax())
    if low < 0 or high > 1:
        raise ValueError(
            f"{what}: values from {low:.4g} to {high:.4g}, expected RGB in [0, 1] (divide 8-bit frames by 255, "
            "map [-1, 1] by (x + 1) / 2)"
        )


def check_mask(mask: Tensor, target: Tensor, video_id: str = "") -> None:
    """Raise ``ValueError`` unless ``mask`` is ``(T, 1, H, W)`` like ``target`` and holds only 0 and 1."""
    where = f" of the video {video_id!r}" if video_id else ""
    expected = (target.shape[0], 1, *target.shape[2:])
    if tuple(mask.shape) != expected:
        raise ValueError(f"the mask{where} is {tuple(mask.shape)}, expected {expected} (1 = hole)")
    if not torch.equal(mask, mask.bool().to(mask.dtype)):
        values = torch.unique(mask)
        shown = ", ".join(f"{float(v):.4g}" for v in values[:5])
        raise ValueError(f"the mask{where} is not binary: it holds {shown}; expected 0 (known) and 1 (hole)")
