"""What a configuration may name as ``data`` to train style transfer, beside procedural scenes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .base import EvaluationDataset, TrainingDataset
from .sections import DataSection, DataSource, Positive, Probability
from .transforms import TripletTransform

Size = Annotated[list[Positive], Field(min_length=2, max_length=2)]


class StyleFoldersSection(DataSection):
    """``data=style_folders``: videos below ``content`` are to look like those below ``style``.

    ``frames`` make a clip, ``step`` apart. ``size`` is ``[height, width]`` to which whole frames are resized before the
    ``crop``; null: as they are. Clips with a change of brightness above ``scene_cut`` are avoided.
    """

    content: str | None = None
    style: str | None = None
    frames: Positive = 3
    step: Positive = 1
    size: Size | None = None
    crop: Positive | None = 256
    horizontal_flip: Probability = 0.5
    scene_cut: Annotated[float, Field(gt=0, le=1)] | None = None
    exclude: list[str] | None = None
    reference_frames: Positive = 3
    validation_frames: Annotated[int, Field(ge=3)] = 9
    validation_size: Positive | None = 448
    validation_videos: Positive | None = 8


class StyleFoldersSource(DataSource):
    """Two folders of the user's own videos."""

    section_type = StyleFoldersSection
    tasks = ("style",)

    def __init__(self, section: StyleFoldersSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section
        self._common: dict[str, Any] = {"on_error": section.on_error}
        if section.exclude is not None:
            self._common["exclude"] = section.exclude

    def training(self) -> TrainingDataset:
        from .style_sets import UnpairedClips

        section = self.section
        return UnpairedClips(
            section.content,
            section.style,
            frames=section.frames,
            step=section.step,
            size=None if section.size is None else (section.size[0], section.size[1]),
            transform=TripletTransform(section.crop, 0.0, 0.0, section.horizontal_flip, 0.0, 0.0),
            scene_cut=section.scene_cut,
            **self._common,
        )

    def validation(self) -> EvaluationDataset | None:
        from .style_sets import ReferencedVideos

        section = self.section
        return ReferencedVideos(
            section.content,
            section.style,
            max_frames=section.validation_frames,
            max_size=section.validation_size,
            reference_frames=section.reference_frames,
            videos=section.validation_videos,
            **self._common,
        )

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        section = self.section
        values = {"content": section.content, "style": section.style, "split": "test"}
        return "style_folders", {**values, "max_size": section.validation_size, **self._common}


STYLE_SOURCES: dict[str, type[DataSource]] = {"style_folders": StyleFoldersSource}
