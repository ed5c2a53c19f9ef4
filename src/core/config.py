"""Checked configuration: plain mappings in, validated objects or one readable message out.

A :class:`Section` is a pydantic model that knows its keys. :func:`parse_section` names every unknown key with
the nearest valid one and every value out of range, all in one error. :func:`instantiate` builds the classes
that a configuration names with ``_target_``, from an allowlist only: an experiment file that somebody shares
is data, and must not be able to run arbitrary code.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from .errors import ConfigError, nearest

ALLOWED_TARGETS = ("framewright", "torch.nn", "torch.optim", "pytorch_lightning", "torchmetrics")


class Section(BaseModel):
    """Base of all configuration sections: unknown keys are refused, values never change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=())


SectionType = TypeVar("SectionType", bound=Section)


def parse_section(section: type[SectionType], values: Mapping[str, Any], where: str = "") -> SectionType:
    """Validate ``values`` as a ``section``.

    Args:
        section: the section's class.
        values: a plain mapping, for example a resolved part of a Hydra configuration.
        where: dotted path of the section, for messages (empty for the root).

    Raises:
        ConfigError: listing every problem; unknown keys come with the nearest valid name.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        problems = [_describe(problem, section, where) for problem in error.errors()]
        raise ConfigError("\n".join(problems)) from None


def _describe(problem: ErrorDetails, section: type[Section], where: str) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join([where, *location] if where else location) or where or "the configuration"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(section, location[:-1])
        listed = f" (known here: {', '.join(sorted(known))})" if known else ""
        return f"unknown key {path!r}{nearest(location[-1], known)}{listed}"
    if problem["type"] == "missing":
        return f"{path} is required and not set"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    shown = "" if isinstance(value, Mapping) or problem["type"] == "value_error" else f", got {value!r}"
    return f"{path}: {message[0].lower() + message[1:]}{shown}"


def _known_keys(section: type[Section], location: list[str]) -> list[str]:
    """The valid keys of the (nested) section that ``location`` leads to."""
    current: Any = section
    for part in location:
        field = (
            current.model_fields.get(part) if inspect.isclass(current) and hasattr(current, "model_fields") else None
        )
        if field is None:
            return []
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next((c for c in candidates if inspect.isclass(c) and issubclass(c, BaseModel)), None)
    return list(current.model_fields) if current is not None else []


def check_known(name: str, known: Iterable[str], what: str) -> None:
    """Raise a :class:`ConfigError` with the nearest valid name unless ``name`` is one of ``known``."""
    known = sorted(known)
    if name not in known:
        raise ConfigError(f"unknown {what} {name!r}{nearest(name, known)} (available: {', '.join(known)})")


def locate_class(target: str, allow: Iterable[str] = ()) -> type[Any]:
    """Import the class that a ``_target_`` names.

    Only classes that are *defined* in an allowed package are returned, so that neither a function nor a
    class reached through somebody else's attribute (``torch.nn.os.system``) can be called.

    Args:
        target: dotted name.
        allow: packages allowed beside :data:`ALLOWED_TARGETS`.

    Raises:
        ConfigError: the name is not allowed, does not exist or is not a class.
    """
    allowed = (*ALLOWED_TARGETS, *allow)
    if not _within(target, allowed):
        raise ConfigError(
            f"_target_ {target!r} is not allowed: it must lie in one of {', '.join(allowed)}. "
            f"If you trust it, add allow_targets=[{target.split('.', maxsplit=1)[0]}]"
        )
    module_name, _, attribute = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"_target_ {target!r}: cannot import {module_name!r} ({error})") from None
    found = getattr(module, attribute, None)
    if found is None:
        raise ConfigError(f"_target_ {target!r}: {module_name} has no {attribute!r}{nearest(attribute, dir(module))}")
    if not inspect.isclass(found) or not _within(found.__module__, allowed):
        raise ConfigError(f"_target_ {target!r} is not a class of an allowed package")
    return found


def _within(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def check_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], where: str, ignore: Iterable[str] = ()
) -> None:
    """Raise a :class:`ConfigError` for an argument that ``target``'s constructor does not take or misses.

    Args:
        target: the class (or a function).
        arguments: keyword arguments from a configuration.
        where: dotted path, for messages.
        ignore: required parameters that the caller fills in itself.
    """
    parameters = inspect.signature(target).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in arguments:
            if name not in parameters:
                known = [p for p in parameters if p not in ignore]
                raise ConfigError(
                    f"unknown key '{where}.{name}'{nearest(name, known)} (known here: {', '.join(sorted(known))})"
                )
    ignored = {*ignore, *arguments}
    for name, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty and parameter.kind in (
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        )
        if required and name not in ignored:
            raise ConfigError(f"{where}.{name} is required by {getattr(target, '__name__', target)} and not set")


def instantiate(config: Mapping[str, Any], *arguments: Any, where: str, allow: Iterable[str] = ()) -> Any:
    """Build the object that ``config`` describes: ``_target_`` names the class, the rest its keywords.

    Args:
        config: mapping with ``_target_``; nested mappings with a ``_target_`` are built first.
        arguments: positional arguments put in front (an optimizer's parameters, for example).
        where: dotted path of ``config``, for messages.
        allow: packages allowed beside :data:`ALLOWED_TARGETS`.

    Raises:
        ConfigError: target not allowed, unknown or missing arguments, or the constructor refuses a value.
    """
    target, keywords = resolve_target(config, where=where, allow=allow, positional=len(arguments))
    built = {
        key: instantiate(value, where=f"{where}.{key}", allow=allow)
        if isinstance(value, Mapping) and "_target_" in value
        else value
        for key, value in keywords.items()
    }
    try:
        return target(*arguments, **built)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {target.__name__} refused its arguments: {error}") from error


def resolve_target(
    config: Mapping[str, Any], *, where: str, allow: Iterable[str] = (), positional: int = 0
) -> tuple[type[Any], dict[str, Any]]:
    """The class and the checked keyword arguments of a ``_target_`` mapping, without building anything."""
    if "_target_" not in config:
        raise ConfigError(f"{where} needs a _target_ that names a class")
    target = locate_class(str(config["_target_"]), allow)
    keywords = {str(key): value for key, value in config.items() if key != "_target_"}
    filled = list(inspect.signature(target).parameters)[:positional]
    check_arguments(target, keywords, where, ignore=filled)
    for key, value in keywords.items():
        if isinstance(value, Mapping) and "_target_" in value:
            resolve_target(value, where=f"{where}.{key}", allow=allow)
    return target, keywords
