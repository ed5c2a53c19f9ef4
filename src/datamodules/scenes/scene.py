"""A procedural scene: frames at any real time, and its exact geometry."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .layers import MovingObject, Surface, random_object, random_surface
from .motion import (
    Camera,
    Pose,
    Similarity,
    camera_transform,
    displacement,
    integer,
    random_path,
    random_shake,
)
from .sampling import ExactSampler, FastSampler, FloatArray, Region, Sampler, sample_points
from .settings import SceneSettings

BACKGROUND = 0


@dataclass(frozen=True)
class ObjectView:
    """One object as seen at one time: where it may be, its colour and alpha there.

    Attributes:
        region: the part of the frame; ``None`` when the object is out of sight.
        colour: ``(h, w, 3)`` float32 in [0, 1] of that region, not multiplied by alpha.
        alpha: ``(h, w)`` float32 in [0, 1] of that region; it is zero in the rest of the frame.
    """

    region: Region | None
    colour: FloatArray
    alpha: FloatArray


@dataclass(frozen=True)
class SceneFrame:
    """A rendered frame with its layers.

    Attributes:
        time: in frames.
        background: ``(H, W, 3)`` float32 in [0, 1], behind all objects.
        objects: from the farthest to the nearest.
    """

    time: float
    background: FloatArray
    objects: tuple[ObjectView, ...]

    def composite(self, without: int | None = None) -> FloatArray:
        """The image ``(H, W, 3)``: ``alpha * colour + (1 - alpha) * behind`` for one object after the other.

        ``without`` leaves out the object of that index (0 = the farthest; -1 = the nearest).
        """
        skipped = None if without is None else range(len(self.objects))[without]
        image = self.background.copy()
        for index, view in enumerate(self.objects):
            if index != skipped and view.region is not None:
                behind = image[view.region.slices]
                behind += view.alpha[..., None] * (view.colour - behind)
        return image

    def alpha(self, index: int) -> FloatArray:
        """The alpha ``(H, W)`` of one object, hidden parts included."""
        alpha = np.zeros(self.background.shape[:2], np.float32)
        view = self.objects[index]
        if view.region is not None:
            alpha[view.region.slices] = view.alpha
        return alpha

    def top(self) -> npt.NDArray[np.uint8]:
        """Per pixel ``(H, W)`` the topmost layer with alpha above 0.5: 0 = background, k = object k - 1."""
        top = np.zeros(self.background.shape[:2], np.uint8)
        for index, view in enumerate(self.objects):
            if view.region is not None:
                top[view.region.slices][view.alpha > 0.5] = index + 1
        return top


class Scene:
    """A textured background and moving objects seen by a moving camera; pure in (settings, generator).

    Args:
        settings: what the scene may look like.
        rng: source of all its randomness; how much is drawn depends on the settings.

    Attributes:
        settings, camera, background (:class:`Surface`), objects (far to near).
    """

    def __init__(self, settings: SceneSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self.sampler: Sampler = ExactSampler() if settings.quality == "exact" else FastSampler()
        speed = displacement(rng, settings.camera_motion, settings.max_motion) / 2
        path = random_path(rng, speed, settings.spin / 5, settings.zoom / 2, settings.frames)
        self.camera = Camera(path, random_shake(rng, settings.shake) if settings.shake > 0 else None)
        self.background: Surface = random_surface(rng, settings)
        count = integer(rng, *settings.objects)
        self.objects: tuple[MovingObject, ...] = tuple(
            random_object(
                rng,
                settings,
                self.camera,
                self.sampler.mask_density,
                self.background.name,
                foreground=index == count - 1,
            )
            for index in range(count)
        )

    def with_camera(self, camera: Camera) -> Scene:
        """The same scene seen by another camera."""
        scene = object.__new__(Scene)
        scene.__dict__.update(self.__dict__)
        scene.camera = camera
        return scene

    def painted(self, appearance: str) -> Scene:
        """The same scene in another appearance, see :mod:`.appearance`.

        Raises:
            ConfigError: there is no such appearance.
        """
        scene = self.with_camera(self.camera)
        scene.background = self.background.painted(appearance)
        scene.objects = tuple(
            dataclasses.replace(item, surface=item.surface.painted(appearance)) for item in self.objects
        )
        return scene

    def steady(self) -> Scene:
        """The same scene without camera shake."""
        return self.with_camera(dataclasses.replace(self.camera, shake=None))

    def frame_from_layer(self, layer: int, time: float) -> Similarity:
        """Layer coordinates to pixels: layer 0 is the background (world), k is object k - 1."""
        camera = camera_transform(self.camera.pose(time), self.settings.height, self.settings.width)
        if layer == BACKGROUND:
            return camera
        return camera.after(Similarity.from_pose(self.objects[layer - 1].path.at(time)))

    def render(self, time: float) -> SceneFrame:
        """All layers as seen at any real time (frames)."""
        height, width = self.settings.height, self.settings.width
        whole = Region(0, 0, height, width)
        background = self.background.draw(self.sampler, self.frame_from_layer(BACKGROUND, time).inverse(), whole)
        views = []
        for index, item in enumerate(self.objects):
            transform = self.frame_from_layer(index + 1, time)
            region = item.region(transform, height, width)
            if region is None:
                empty = np.zeros((0, 0), np.float32)
                views.append(ObjectView(None, empty[..., None].repeat(3, -1), empty))
                continue
            inverse = transform.inverse()
            colour = item.surface.draw(self.sampler, inverse, region)
            alpha = self.sampler.mask(item.alpha, item.mask_matrix(inverse), region)
            views.append(ObjectView(region, colour, alpha))
        return SceneFrame(time, background, tuple(views))

    def image(self, time: float) -> FloatArray:
        """The frame ``(H, W, 3)`` float32 in [0, 1] at any real time."""
        return self.render(time).composite()

    def foreground(self, time: float) -> FloatArray:
        """The nearest object's colour ``(H, W, 3)`` continued over the whole frame."""
        inverse = self.frame_from_layer(len(self.objects), time).inverse()
        whole = Region(0, 0, self.settings.height, self.settings.width)
        return self.objects[-1].surface.draw(self.sampler, inverse, whole)

    def labels(self, frame: SceneFrame) -> npt.NDArray[np.int64]:
        """Per pixel ``(H, W)`` the class of the topmost layer, an index into :data:`CLASSES`."""
        kinds = np.array([BACKGROUND, *(item.shape.kind for item in self.objects)], np.int64)
        labels: npt.NDArray[np.int64] = kinds[frame.top()]
        return labels

    def flow(self, source: SceneFrame, time: float) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Exact flow from a rendered frame to any other time, with its occlusion.

        Every pixel moves with its topmost layer of alpha above 0.5. It is occluded when its target is outside
        the frame (beyond the centres of the border pixels) or under a nearer layer of alpha above 0.5.

        Returns:
            Flow ``(2, H, W)`` float32 in pixels and occlusion ``(H, W)``.
        """
        height, width = self.settings.height, self.settings.width
        top = source.top()
        pixels = np.arange(width) + 1j * np.arange(height)[:, None]
        z = np.empty(len(self.objects) + 1, np.complex128)
        w = np.empty_like(z)
        for layer in range(len(z)):
            start = self.frame_from_layer(layer, source.time)
            z[layer], w[layer] = self.frame_from_layer(layer, time).after(start.inverse())
        target = z[top] * pixels + w[top]
        moved = target - pixels
        flow = np.stack([moved.real, moved.imag]).astype(np.float32)
        occluded = (target.real < 0) | (target.real > width - 1) | (target.imag < 0) | (target.imag > height - 1)
        for layer, item in enumerate(self.objects, start=1):
            transform = self.frame_from_layer(layer, time)
            candidates = (top < layer) & ~occluded
            candidates &= np.abs(target - transform.w) <= abs(transform.z) * item.reach * 2**0.5
            inverse = item.mask_from_object().after(transform.inverse())
            places = inverse.z * target[candidates] + inverse.w
            # the same samples as in rendering, so that what is seen and what is hidden agree at edges
            hits = [sample_points(item.alpha, places + inverse.z * offset) for offset in self.sampler.offsets]
            occluded[candidates] = sum(hits) / len(hits) > 0.5
        return flow, occluded

    def trajectory(self, times: npt.ArrayLike, smooth: bool = False) -> npt.NDArray[np.float64]:
        """Camera poses ``(T, 4)`` (dx, dy, angle, log scale) at the given times.

        A pixel of the background at ``p`` in frame ``a`` is found in frame ``b`` at
        ``K_b(K_a^-1(p))`` with ``K = camera_transform(pose, height, width)``.
        ``smooth`` leaves out the shake; the smooth path is zero at time 0.
        """
        pose = self.camera.smooth if smooth else self.camera.pose
        poses: list[Pose] = [pose(float(time)) for time in np.asarray(times, np.float64).reshape(-1)]
        return np.stack(poses)

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters that determine every frame (apart from the photographs themselves)."""
        return {
            "camera": self.camera.path.parameters(),
            "shake": None if self.camera.shake is None else self.camera.shake.parameters(),
            "background": self.background.parameters(),
            "objects": [item.parameters() for item in self.objects],
        }
