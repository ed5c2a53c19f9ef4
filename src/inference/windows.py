"""Which frames an inpainting network sees together, and how what it says twice about a frame becomes one."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ..models.inpainting.contract import InpaintingNetwork
from .masked import Box, MaskedFrame, MaskedStream, union
from .method import Context


class Plan(ABC):
    """Windows around the frames 0, ``stride``, 2 ``stride`` ...: neighbours that are filled, references that are seen.

    Args:
        stride: distance of two windows.
        neighbours: so many frames before and after the middle of a window are filled.
        step: distance of two references.
    """

    def __init__(self, stride: int, neighbours: int, step: int) -> None:
        self.stride, self.neighbours, self.step = stride, neighbours, step

    def window(self, centre: int, length: int) -> range:
        """The frames that are filled together."""
        return range(max(0, centre - self.neighbours), min(length, centre + self.neighbours + 1))

    @abstractmethod
    def look_ahead(self, centre: int) -> int | None:
        """The last frame that has to be in memory, None for all."""

    @abstractmethod
    def references(self, centre: int, length: int) -> list[int]:
        """Frames outside the window that are seen beside it."""

    @abstractmethod
    def needed(self, index: int, centre: int) -> bool:
        """Whether the window around ``centre`` or a later one sees frame ``index``."""

    @abstractmethod
    def blend(self, before: Tensor | None, made: Tensor, distance: int) -> Tensor:
        """What is known of a frame after a further prediction.

        Args:
            before: what this function returned for the frame before.
            made: predicted values ``(3, K)`` in [0, 1].
            distance: of the frame from the middle of the window.
        """

    @abstractmethod
    def finish(self, blended: Tensor) -> Tensor:
        """``(3, K)`` in [0, 1] of what :meth:`blend` returned last."""


class OfficialPlan(Plan):
    """As the test scripts of STTN, DSTT, FuseFormer and E2FGVI do it.

    References are every ``step``-th frame of the whole video, or, with ``num_ref`` above -1, of ``step * (num_ref //
    2)`` frames before and after the middle. Predictions are cut to 8 bits. A frame that is predicted again becomes
    half of what it was and half of the new one, so that of three predictions the last counts as much as the first two.
    """

    def __init__(self, stride: int, neighbours: int, step: int, num_ref: int) -> None:
        super().__init__(stride, neighbours, step)
        self.span = None if num_ref < 0 else step * (num_ref // 2)

    def look_ahead(self, centre: int) -> None:
        return None

    def references(self, centre: int, length: int) -> list[int]:
        near = self.window(centre, length)
        candidates = range(0, length, self.step)
        if self.span is not None:
            candidates = range(max(0, centre - self.span), min(length, centre + self.span + 1), self.step)
        return [index for index in candidates if index not in near]

    def needed(self, index: int, centre: int) -> bool:
        if self.span is not None:
            return index >= centre - max(self.span, self.neighbours)
        return index % self.step == 0 or index >= centre - self.neighbours

    def blend(self, before: Tensor | None, made: Tensor, distance: int) -> Tensor:
        made = (made * 255).floor()
        return made if before is None else before * 0.5 + made * 0.5

    def finish(self, blended: Tensor) -> Tensor:
        return blended / 255


class BoundedPlan(Plan):
    """For videos of any length: a few references on both sides, and predictions weighed by their distance.

    References are the last ``before`` and the next ``ahead`` multiples of ``step`` outside the window. The weight of
    a prediction falls linearly from the middle of its window to the ends, so that one window fades into the next.
    """

    def __init__(self, stride: int, neighbours: int, step: int, before: int, ahead: int) -> None:
        super().__init__(stride, neighbours, step)
        self.before, self.ahead = before, ahead

    def look_ahead(self, centre: int) -> int:
        return centre + self.neighbours + self.ahead * self.step

    def references(self, centre: int, length: int) -> list[int]:
        near = self.window(centre, length)
        first_ahead = -(-near.stop // self.step) * self.step
        ahead = range(first_ahead, length, self.step)[: self.ahead]
        return [*range(self._oldest(centre), near.start, self.step), *ahead]

    def needed(self, index: int, centre: int) -> bool:
        if index >= centre - self.neighbours:
            return True
        return index % self.step == 0 and index >= self._oldest(centre)

    def blend(self, before: Tensor | None, made: Tensor, distance: int) -> Tensor:
        weight = 1 - distance / (self.neighbours + 1)
        # the sum of weights travels along as a last row
        made = torch.cat((made * weight, made.new_full((1, made.shape[1]), weight)))
        return made if before is None else before + made

    def finish(self, blended: Tensor) -> Tensor:
        return blended[:3] / blended[3:]

    def _oldest(self, centre: int) -> int:
        """The first of the references before a window."""
        last = -(-max(0, centre - self.neighbours) // self.step) - 1
        return max(0, last - self.before + 1) * self.step


class Cropping(ABC):
    """Which part of the frames the network sees."""

    @abstractmethod
    def choose(self, current: Box | None, holes: Box, size: tuple[int, int]) -> Box:
        """The part for a window whose holes lie in ``holes``, given the one before."""


class WholeFrame(Cropping):
    """All of it."""

    def choose(self, current: Box | None, holes: Box, size: tuple[int, int]) -> Box:
        return Box(0, size[0], 0, size[1])


class FixedRegion(Cropping):
    """The same part for all windows."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def choose(self, current: Box | None, holes: Box, size: tuple[int, int]) -> Box:
        return self.box


class HoleRegion(Cropping):
    """The holes of a window with context around them.

    The part stays where it is as long as half of the context is left on all sides and it is at most twice as large as
    necessary: another part means that every frame is encoded again.

    Args:
        context: pixels on every side (an integer), or a share of the longer side of the holes' box.
        multiple: height and width are multiples of it where the frame has so many pixels.
    """

    def __init__(self, context: float, multiple: int) -> None:
        self.context, self.multiple = context, multiple

    def choose(self, current: Box | None, holes: Box, size: tuple[int, int]) -> Box:
        margin = self.context if isinstance(self.context, int) else round(self.context * max(holes.height, holes.width))
        wanted = holes.grown(margin, size, self.multiple)
        if current is None or not current.contains(holes.grown(margin // 2, size)):
            return wanted
        return current if current.height * current.width <= 2 * wanted.height * wanted.width else wanted


class Predictor:
    """A network over windows of a stream; frames of a network with ``encode`` are encoded once.

    Args:
        net: called with ``(1, T, 3, H, W)`` and ``(1, T, 1, H, W)``, in eval mode.
        stream: the frames.
        context: device and precision.
        pixel_budget: bound of the pixels that are encoded or decoded at once.
        cropping: which part of the frames the network sees.
    """

    def __init__(
        self, net: nn.Module, stream: MaskedStream, context: Context, pixel_budget: int, cropping: Cropping
    ) -> None:
        self.net, self.stream, self.context, self.cropping = net, stream, context, cropping
        self.pixel_budget = pixel_budget
        self.box: Box | None = None
        self.features: dict[int, Tensor] = {}

    def predict(self, near: Sequence[int], references: Sequence[int], holes: Box) -> dict[int, Tensor]:
        """Values ``(3, K)`` in [0, 1], on the CPU, for the K pixels of the holes of each frame in ``near`` with any.

        Args:
            near: neighbours.
            references: frames that are seen beside them.
            holes: a box around all holes of ``near``.
        """
        box = self.cropping.choose(self.box, holes, self.stream.size)
        if box != self.box:
            self.features.clear()
        self.box = box
        wanted = [place for place, index in enumerate(near) if self.stream.frames[index].box is not None]
        device = self.context.device
        # not inference_mode: a network may keep tensors that training later needs in autograd
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, self.context.precision == "bf16-mixed"):
            frames = self._predicted([*near, *references], wanted, box)
        result = {}
        for place, frame in zip(wanted, frames, strict=True):
            hole = box.cut(self.stream.frames[near[place]].hole)
            result[near[place]] = frame[:, hole]
        return result

    def forget(self, needed: Callable[[int], bool]) -> None:
        """Drop the features of all frames but the needed ones."""
        self.features = {index: value for index, value in self.features.items() if needed(index)}

    def _predicted(self, indices: list[int], wanted: list[int], box: Box) -> list[Tensor]:
        size = (box.height, box.width)
        if not isinstance(self.net, InpaintingNetwork):
            video, mask = self._given(indices, box)
            output: Tensor = self.net(video[None], mask[None])
            return [_finished(frame) for frame in output[0, wanted]]
        per_pass = max(1, self.pixel_budget // (size[0] * size[1]))
        missing = [index for index in indices if index not in self.features]
        for group in _groups(missing, per_pass):
            for index, features in zip(group, self.net.encode(*self._given(group, box)), strict=True):
                # a copy, because a view would keep the whole group in memory
                self.features[index] = features.clone()
        _, masks = self._given(indices, box)
        seen = self.net.transform(torch.stack([self.features[index] for index in indices])[None], masks[None])[0]
        decoded = (self.net.decode(seen[group], size) for group in _groups(wanted, per_pass))
        return [_finished(frame) for frames in decoded for frame in frames]

    def _given(self, indices: Sequence[int], box: Box) -> tuple[Tensor, Tensor]:
        """Frames and masks on the device."""
        frames: list[MaskedFrame] = [self.stream.frames[index] for index in indices]
        images = torch.stack([box.cut(frame.image) for frame in frames])
        masks = torch.stack([box.cut(frame.hole)[None] for frame in frames])
        return images.to(self.context.device, torch.float32), masks.to(self.context.device, torch.float32)


def _groups(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _finished(frame: Tensor) -> Tensor:
    return frame.float().clamp(0, 1).cpu()


def fill_windows(stream: MaskedStream, predictor: Predictor, plan: Plan) -> Iterator[list[Tensor]]:
    """Yield all frames in order, holes filled, as soon as no further window changes them.

    A window without holes is not run.
    """
    blended: dict[int, Tensor] = {}
    centre = done = 0
    while stream.read_to(centre):
        stream.read_to(plan.look_ahead(centre))
        near = plan.window(centre, stream.length)
        holes = union(stream.frames[index].box for index in near)
        if holes is not None:
            for index, values in predictor.predict(near, plan.references(centre, stream.length), holes).items():
                blended[index] = plan.blend(blended.get(index), values, abs(index - centre))
        centre += plan.stride
        more = stream.read_to(centre)
        end = max(done, centre - plan.neighbours) if more else stream.length
        frames = []
        for index in range(done, end):
            finished = plan.finish(blended.pop(index)) if index in blended else None
            frames.append(stream.frames[index].filled(finished))
        done = end
        later = functools.partial(plan.needed, centre=centre)
        predictor.forget(later)
        stream.forget(later)
        if frames:
            yield frames
