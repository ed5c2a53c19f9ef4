"""What all metrics share: those with a value per frame, with values per video, and of whole sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from .pair import Shared, VideoPair, check_frames, check_range

__all__ = [
    "BenchmarkMetric",
    "FrameMetric",
    "PooledMetric",
    "SetMetric",
    "ValueMetric",
    "VideoMetric",
    "check_frames",
    "round_to_8bit",
    "to_double",
]

Items = Literal["frame", "pair", "clip", "video"]

_CHUNK = 8  # frames measured at a time: memory does not grow with the length of a video


class BenchmarkMetric(Metric):
    """A metric that can be a column of a table.

    Attributes:
        key: name in tables and result files, for example ``"psnr"``.
        unit: ``"dB"`` or empty.
        decimals: digits after the point in tables.
        items: what one value belongs to: a frame, a pair of consecutive frames, a clip, a whole video.
        needs_mask: it cannot be measured without masks of the holes.
        minimum_frames: of a video.
        weights_sha256: of the weights it looks through, None where there are none.
        position_matters: a video's values depend on how many pairs of frames precede it in the set
            (:attr:`VideoPair.pairs_before`); a cache of values has to take that into its key.
        simple: many small operations and no network: on a CPU it is measured beside others, on one core. What is not,
            is done before, in :meth:`prepare`.
    """

    is_differentiable = False
    higher_is_better: bool = True
    full_state_update = False
    key: str = ""
    unit: str = ""
    decimals: int = 4
    items: ClassVar[Items] = "frame"
    needs_mask: ClassVar[bool] = False
    minimum_frames: int = 1
    position_matters: ClassVar[bool] = False
    simple: ClassVar[bool] = False
    weights_sha256: str | None = None

    def check(self, pair: VideoPair) -> None:
        """Raise ``ValueError`` where a video does not give what the metric needs; the message says what."""
        of = f" of the video {pair.video_id!r}" if pair.video_id else ""
        if self.needs_mask and pair.mask is None:
            raise ValueError(f"{self.key} needs masks of the holes{of}, and there are none")
        if len(pair) < self.minimum_frames:
            raise ValueError(f"{self.key} needs at least {self.minimum_frames} frames{of}, got {len(pair)}")

    def prepare(self, pair: VideoPair) -> None:
        """Make what is worth all cores, and leave it in what the pair shares; by default there is nothing."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> BenchmarkMetric:
        # .half(), .to(dtype) and set_dtype() of a surrounding model end here; only the device may change
        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(move, exclude_state)
        return self


class ValueMetric(BenchmarkMetric):
    """A metric whose aggregate is a mean of values, or a function of that mean (:meth:`finish`).

    The running sum is float64 and the count int64; they stay so whatever precision a model that holds the
    metric is converted to. Both are summed over processes.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def values(self, pair: VideoPair) -> Tensor:
        """The value of each item (see :attr:`items`) of a video ``(K,)`` float64, without changing the state.

        May hold infinities; :meth:`summarise` says what becomes of them. NaN stands for an item that does not
        count (a frame without hole, say).
        """

    def weights(self, pair: VideoPair) -> Tensor | None:
        """How much each item of :meth:`values` weighs in the mean ``(K,)``, whole numbers such as pixels; None: all
        the same."""
        return None

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum (float64) and number (int64) of the values that enter the mean."""
        counted = values[~torch.isnan(values)] if self.items != "frame" or self.needs_mask else values
        return counted.sum(dtype=torch.float64), torch.tensor(counted.numel(), device=values.device)

    def finish(self, mean: float) -> float:
        """The figure of the table for a mean of values, over a video or a set; here the mean itself."""
        return mean

    def mean_of(self, values: Tensor) -> Tensor:
        """What :meth:`compute` would give for these values: float64, NaN where none counts."""
        return self._finished(*self.summarise(values))

    def add(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Let values into the mean, with their weights where they have any."""
        if weights is None:
            total, count = self.summarise(values)
        else:
            counted = ~torch.isnan(values)
            total = (values * weights)[counted].sum(dtype=torch.float64)
            count = weights[counted].sum().to(torch.int64)
        self.total = self.total + total.to(self.total.device)
        self.count = self.count + count.to(self.count.device)

    def add_pair(self, pair: VideoPair) -> None:
        """Let the values of a whole video into the mean, whatever the metric looks at."""
        self.add(self.values(pair), self.weights(pair))
        # to torchmetrics this is an update like any other
        self._update_count += 1
        self._computed = None

    def compute(self) -> Tensor:
        """The finished mean over all values so far as a float64 scalar; NaN before the first."""
        return self._finished(self.total, self.count)

    def _finished(self, total: Tensor, count: Tensor) -> Tensor:
        mean = total / count
        if type(self).finish is ValueMetric.finish:
            return mean  # spares accelerators a wait
        return mean.new_tensor(self.finish(float(mean)))


class FrameMetric(ValueMetric):
    """A full-reference metric with one value per frame, averaged over frames.

    Subclasses give ``key``, ``unit``, ``higher_is_better``, ``decimals`` and :meth:`frame_values`.
    """

    @abstractmethod
    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The value of each frame, without changing the state.

        Args:
            prediction, target: ``(N, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(N,)`` float64. May hold infinities; :meth:`summarise` says what becomes of them.

        Raises:
            ValueError: shapes do not fit.
        """

    def values(self, pair: VideoPair) -> Tensor:
        """The value of each frame of a video."""
        self.check(pair)
        chunks = [slice(start, start + _CHUNK) for start in range(0, len(pair), _CHUNK)]
        return torch.cat([self.frame_values(pair.prediction[chunk], pair.target[chunk]) for chunk in chunks])

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add frames; arguments as for :meth:`frame_values`.

        Raises:
            ValueError: also for values outside [0, 1].
        """
        check_frames(prediction, target)
        check_range(prediction, "prediction")
        check_range(target, "target")
        self.add(self.frame_values(prediction, target))


class VideoMetric(ValueMetric):
    """A metric that looks at a video as a whole, or at its mask: values per frame, pair, clip or video."""

    def update(self, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add one video; arguments as for :class:`VideoPair`."""
        pair = VideoPair(prediction, target, mask)
        self.add(self.values(pair), self.weights(pair))


class VectorMetric(BenchmarkMetric):
    """A figure of a whole set, made from the vectors that each of its videos adds.

    Attributes:
        dimension: D, of one vector.
        minimum_vectors: fewer of them in a set are an error.
    """

    dimension: int = 0
    minimum_vectors: ClassVar[int] = 2

    @abstractmethod
    def pair_features(self, pair: VideoPair) -> tuple[Tensor, Tensor]:
        """The vectors of one video, ``(K, D)`` of the result, and those of the ground truth where there are any."""

    @abstractmethod
    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The figure, a float64 scalar, of all vectors of the results ``(N, D)`` and of the ground truth ``(M, D)``.

        Raises:
            ValueError: there are fewer vectors than it needs.
        """


class SetMetric(VectorMetric):
    """A distance between two sets of feature vectors, those of all predictions and those of all ground truth.

    Vectors, not sums, are the state: sets are small (one vector per frame, clip or video), and the exact distance
    for fewer vectors than dimensions needs them. A process without videos takes part with none.
    """

    higher_is_better = False
    predicted: list[Tensor]
    real: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predicted", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")

    @abstractmethod
    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        """The feature vectors ``(K, D)`` float32 of one video.

        Args:
            frames: ``(T, 3, H, W)`` RGB in [0, 1].
            shared: where the vectors are kept for other methods, and where other metrics find intermediate results
                of the same frames.
        """

    def pair_features(self, pair: VideoPair) -> tuple[Tensor, Tensor]:
        """The feature vectors of the result and of the ground truth of one video."""
        real = self.features(pair.target, pair.truth)
        return self.features(pair.prediction, pair.made), real

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add one video ``(T, 3, H, W)`` and its ground truth."""
        for frames, state in ((prediction, self.predicted), (target, self.real)):
            check_range(frames)
            state.append(self.features(frames, Shared()).cpu())

    def _sync_dist(self, *args: Any, **options: Any) -> None:
        # torchmetrics stands a 1-d tensor in for a process without vectors, and gathering it with matrices never ends
        for name in ("predicted", "real"):
            if isinstance(getattr(self, name), list) and not getattr(self, name):
                setattr(self, name, [torch.zeros(0, self.dimension)])
        super()._sync_dist(*args, **options)

    def compute(self) -> Tensor:
        """The distance over everything so far.

        Raises:
            ValueError: too few vectors.
        """
        return self.distance(_joined(self.predicted), _joined(self.real))


class PooledMetric(VectorMetric):
    """A figure made of counts that are summed over the whole set, such as a confusion matrix.

    The counts of a video, of result and truth together, are its vectors.
    Counts up to 2^24 per vector are exact where vectors are kept as float32.

    Args:
        dimension: how many counts there are.
    """

    total: Tensor
    higher_is_better = True
    minimum_vectors: ClassVar[int] = 1

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.add_state("total", torch.zeros(dimension, dtype=torch.float64), dist_reduce_fx="sum")

    @abstractmethod
    def counts(self, pair: VideoPair) -> Tensor:
        """The counts of one video ``(K, dimension)``, to be summed."""

    @abstractmethod
    def figure(self, total: Tensor) -> Tensor:
        """The figure, a float64 scalar, of counts ``(dimension,)`` summed over a set."""

    def pair_features(self, pair: VideoPair) -> tuple[Tensor, Tensor]:
        """The counts, and nothing."""
        counts = self.counts(pair)
        return counts, torch.zeros(len(counts), 0)

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The figure of all counts."""
        return self.figure(predicted.double().sum(0))

    def add_pair(self, pair: VideoPair) -> None:
        """Add the counts of a whole video."""
        self.total = self.total + self.counts(pair).sum(0).to(self.total)
        # to torchmetrics this is an update like any other
        self._update_count += 1
        self._computed = None

    def compute(self) -> Tensor:
        """The figure over everything so far."""
        return self.figure(self.total)


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.zeros(0, 0)


def differing(a: Tensor, b: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest rectangle with all pixels of two ``(C, H, W)`` that differ; None if none does.

    Composited frames equal the ground truth outside their holes, and need not be looked at there.
    """
    # as numbers: maxima of bytes are faster than any()
    different = (a != b).view(torch.uint8).amax(0)
    rows, columns = (different.amax(axis).nonzero() for axis in (1, 0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def round_to_8bit(image: Tensor) -> Tensor:
    """The image as read back from an 8-bit file: clipped to [0, 1] and rounded to n/255, ties to even.

    Float32 images are rounded in float32, as reference evaluations do: in float64 a tie such as 100.5/255 would
    fall to either side by its float32 representation.
    """
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    return (image.clamp(0, 1) * 255).round() / 255


def to_double(prediction: Tensor, target: Tensor, rounded: bool) -> tuple[Tensor, Tensor]:
    """Both as float64, without gradient; if ``rounded``, as 8-bit images are compared.

    Then the prediction is rounded as by :func:`round_to_8bit`, and values that are n/255 up to the error of float32
    are exactly so in both: what is equal in 8 bits is equal here.
    """
    prediction, target = prediction.detach(), target.detach()
    if not rounded:
        return prediction.double(), target.double()
    prediction = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
    grey = prediction.clamp(0, 1).mul_(255).round_().double().div_(255)
    levels = (target * 255).round_()
    if torch.equal(levels / 255, target):  # the usual case, and four times as fast as the general one
        return grey, levels.double().div_(255)
    target = target.double()
    snapped = (target * 255).round_().div_(255)
    return grey, torch.where((snapped - target).abs() < 1e-7, snapped, target)
