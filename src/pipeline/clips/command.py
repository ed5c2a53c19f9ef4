"""The command: ``python -m framewright.pipeline.clips shots|keyframes|select|sync|resample``; see docs/clips.md.

Its options are ``key=value`` as in the other programs. A value is taken as it stands, so that any file name works.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ...core.command import run_command
from ...core.config import Section, check_known, parse_section
from ...core.errors import ConfigError
from .shots import Progress
from .tools import TOOLS


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status: 0, or 2 after one message about what is wrong."""
    return run_command(_run, arguments)


def _run(arguments: Sequence[str]) -> str:
    if not arguments or arguments[0] in ("-h", "--help"):
        return _overview()
    name, *rest = arguments
    check_known(name, TOOLS, "tool")
    if any(argument in ("-h", "--help") for argument in rest):
        return _help(name)
    return str(parse_section(TOOLS[name], _values(rest)).run(_bar()))


def _values(arguments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise ConfigError(f"expected key=value, got {argument!r}")
        values[key] = None if value == "null" else value
    return values


def _overview() -> str:
    lines = ["python -m framewright.pipeline.clips <tool> input=<video> out=<place> [key=value ...]", ""]
    lines += [f"  {name:10} {_first_line(tool)}" for name, tool in TOOLS.items()]
    return "\n".join([*lines, "", "<tool> --help lists its options."])


def _help(name: str) -> str:
    tool = TOOLS[name]
    lines = [_first_line(tool), ""]
    for key, field in tool.model_fields.items():
        default = "required" if field.is_required() else "null" if field.default is None else str(field.default)
        lines.append(f"  {key:15} {default}")
    for cls in tool.__mro__:
        explained = (cls.__dict__.get("__doc__") or "").partition("Attributes:\n")[2].rstrip()
        if issubclass(cls, Section) and explained:
            lines += ["", *(line.removeprefix("        ") for line in explained.split("\n"))]
    return "\n".join(lines)


def _first_line(tool: type[Section]) -> str:
    return (tool.__doc__ or "").partition("\n")[0]


def _bar() -> Progress | None:
    """A line of progress, where somebody watches."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if done == total or done % 16 == 0:
            print(f"\r{done} of {total} frames", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
