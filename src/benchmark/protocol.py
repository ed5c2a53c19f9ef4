"""A protocol: which metrics, computed how, averaged over what. Papers differ in all of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, field_validator, model_validator

from ..core.config import Section, check_known, parse_section
from ..core.errors import ConfigError
from ..metrics import list_metrics
from ..ops.pad import PadRule

MeanOver = Literal["frames", "videos"]


class MetricChoice(Section):
    """One column of the table.

    Attributes:
        key: the column's name in ``results.json``.
        label: the column's heading; defaults to the key in capitals.
        metric: the metric's name in the registry; defaults to the key.
        options: keywords of the metric.
        mean_over: as in :class:`Protocol`, where this column differs from the others.
    """

    key: str = Field(min_length=1)
    label: str = ""
    metric: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    mean_over: MeanOver | None = None

    @property
    def heading(self) -> str:
        """What to print above the column."""
        return self.label or self.key.replace("_", " ").upper()

    @property
    def registered_name(self) -> str:
        """The name to look up in the metric registry."""
        return self.metric or self.key

    def identity(self) -> dict[str, Any]:
        """What the values depend on."""
        return {"metric": self.registered_name, "options": self.options}


class PaddingChoice(Section):
    """Padding of a network's input that a published evaluation prescribes; see :class:`framewright.ops.pad.PadRule`.

    Attributes:
        size: height and width to pad to; or
        multiple: pad to a multiple of it.
        mode: ``zeros`` or ``replicate``.
        centred: on all sides instead of below and right.
    """

    size: tuple[int, int] | None = None
    multiple: int | None = Field(default=None, ge=1)
    mode: Literal["zeros", "replicate"] = "zeros"
    centred: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> PaddingChoice:
        self.rule()
        return self

    def rule(self) -> PadRule:
        """The rule as inference knows it."""
        return PadRule(self.size, self.multiple, self.mode, self.centred)


class Protocol(Section):
    """How a benchmark measures.

    Attributes:
        name: what papers can cite, together with the version.
        version: goes up whenever a number could change.
        task: of the methods that can be measured; ``any``: stored results of any task.
        metrics: the columns; the first one orders the report's examples.
        description: lines printed under each table.
        mean_over: ``frames`` weighs every frame (or pair, or clip: whatever has a value) the same, ``videos`` every
            video.
        quantise: what becomes of predictions before they are compared: ``round`` or ``truncate`` to 8 bits.
        composite: known pixels are taken from the ground truth; only the holes are the method's own.
        stride: interpolation only: distance of two input frames (2: triplets).
        padding: of the input of networks; results of others are compared as they are.
        scale: super-resolution only: how many times larger the result is than what the method sees.
        lr: super-resolution only: where low-resolution images come from: ``given`` are those of the data set, made
            where it has none; ``mirror`` and ``repeat`` are always made, with these edges (see
            :func:`framewright.ops.resize.imresize`).
    """

    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    task: str
    metrics: tuple[MetricChoice, ...] = Field(min_length=1)
    description: tuple[str, ...] = ()
    mean_over: MeanOver = "frames"
    quantise: Literal["round", "truncate"] | None = None
    composite: bool = False
    stride: int = Field(default=2, ge=2)
    padding: PaddingChoice | None = None
    scale: int = Field(default=1, ge=1)
    lr: Literal["given", "mirror", "repeat"] = "given"

    @field_validator("metrics")
    @classmethod
    def _unique(cls, value: tuple[MetricChoice, ...]) -> tuple[MetricChoice, ...]:
        keys = [metric.key for metric in value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise ValueError(f"two metrics have the key {', '.join(repeated)}; keys must be unique")
        return value

    @model_validator(mode="after")
    def _composite_needs_holes(self) -> Protocol:
        if self.composite and self.task not in ("inpainting", "any"):
            raise ValueError(f"composite needs masks of holes, which the task {self.task!r} does not have")
        return self

    @model_validator(mode="after")
    def _scale_of_super_resolution(self) -> Protocol:
        if self.scale != 1 and self.task != "super_resolution":
            raise ValueError(f"scale={self.scale} belongs to super-resolution, not to the task {self.task!r}")
        return self

    def problem_identity(self) -> dict[str, Any]:
        """What the compared frames depend on, whichever metrics compare them."""
        value = {"task": self.task, "stride": self.stride, "version": self.version, "name": self.name}
        if self.padding is not None:
            value["padding"] = self.padding.model_dump(mode="json")
        if self.quantise is not None:
            value["quantise"] = self.quantise
        if self.composite:
            value["composite"] = True
        if self.scale != 1:
            value |= {"scale": self.scale, "lr": self.lr}
        return value

    def choose(self, keys: Sequence[str] | None, options: Mapping[str, Mapping[str, Any]] | None = None) -> Protocol:
        """The protocol with only some of its columns, and others that it does not have with their default options.

        Args:
            keys: of the columns wanted; None: its own.
            options: by key, options that are added to those of the protocol. Another path to the weights is no change
                worth mentioning; everything else is said below the table.

        Raises:
            ConfigError: no such metric.
        """
        own = {choice.key: choice for choice in self.metrics}
        keys = list(own) if keys is None else keys
        options = dict(options or {})
        if list(keys) == list(own) and not options:
            return self
        known = sorted({*own, *list_metrics()})
        for key in keys:
            check_known(key, known, "metric")
        for key in options:
            check_known(key, keys, "column")
        columns = []
        lines = list(self.description)
        for key in keys:
            column = own.get(key) or MetricChoice(key=key)
            more = dict(options.get(key, {}))
            columns.append(column.model_copy(update={"options": {**column.options, **more}}))
            told = ", ".join(f"{name}={value}" for name, value in more.items() if name != "weights")
            if told:
                lines.append(f"{key}: {told} instead of what the protocol says.")
        added = [key for key in keys if key not in own]
        if added:
            plural = "are" if len(added) > 1 else "is"
            lines.append(f"{', '.join(added)} {plural} not part of the protocol; with default options.")
        values = {**self.model_dump(), "metrics": [c.model_dump() for c in columns], "description": lines}
        return Protocol.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "protocol") -> Protocol:
        """Check a plain mapping.

        Raises:
            ConfigError: unknown or missing keys, values out of range.
        """
        return parse_section(cls, values, where)


def load_protocol(path: str | Path) -> Protocol:
    """Read a protocol file (YAML).

    Raises:
        ConfigError: the file is missing, not YAML, or not a valid protocol; the message names it.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except OSError as error:
        raise ConfigError(f"cannot read the protocol {str(path)!r}: {error.strerror or error}") from None
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping, got {type(values).__name__}")
    return Protocol.from_mapping({str(key): value for key, value in values.items()}, where=str(path))
