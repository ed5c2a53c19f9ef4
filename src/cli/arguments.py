"""What the user types, made safe for Hydra's override grammar.

Hydra would need quotes around file names with spaces, commas, ``=`` or brackets, and a ``+`` before keys that
no configuration file names. Neither is worth learning. Here every ``key=value`` that is not the choice of a
configuration group becomes ``++key=value`` (a misspelt key is then found, with the nearest valid name, by our own
validation), and every value that is a path is quoted as it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PATH_NAMES = frozenset(
    {
        "root",
        "dir",
        "weights",
        "out",
        "resume",
        "input",
        "output",
        "mask",
        "reference",
        "other",
        "gt",
        "masks",
        "path",
        "folder",
        "run",
        "file",
        "cache",
        "init",
        "script",
        "logs",
        "content",
        "style",
    }
)
_OVERRIDE = re.compile(r"^(?P<prefix>\+{0,2}|~)(?P<key>[A-Za-z_][\w./@:\-]*)=(?P<value>.*)$", re.DOTALL)


def configuration_groups(config_directory: Path) -> frozenset[str]:
    """Names of the groups, which are the folders below the configuration directory."""
    return frozenset(
        folder.relative_to(config_directory).as_posix() for folder in config_directory.rglob("*") if folder.is_dir()
    )


def normalise(arguments: Sequence[str], groups: Iterable[str]) -> list[str]:
    """Rewrite command-line arguments so that Hydra reads them as the user meant them.

    The result is stable under a second call, because data-parallel launchers run the command line again.

    Args:
        arguments: ``sys.argv[1:]``.
        groups: names of configuration groups, whose choices stay as they are.
    """
    groups = frozenset(groups)
    multirun = any(argument in ("-m", "--multirun") for argument in arguments)
    return [_normalise_one(argument, groups, multirun) for argument in arguments]


def _normalise_one(argument: str, groups: frozenset[str], multirun: bool) -> str:
    match = _OVERRIDE.match(argument)
    if match is None or argument.startswith("-"):
        return argument
    prefix, key, value = match["prefix"], match["key"], match["value"]
    if prefix == "~" or key.partition("@")[0] in groups or key.startswith("hydra."):
        return argument
    if _names_path(key):
        value = _quote_path(value, multirun)
    elif not _parses(f"{key}={value}"):
        value = quote(value)
    return f"++{key}={value}"


def _names_path(key: str) -> bool:
    parts = key.split(".")
    in_mapping = len(parts) >= 2 and parts[-2] in ("methods", "parts")
    return in_mapping or parts[-1] in PATH_NAMES


def _quote_path(value: str, multirun: bool) -> str:
    exists = os.path.lexists(os.path.expanduser(value)) if value else False
    if not exists:
        structured = re.fullmatch(r"\{.*\}|\[.*\]|'.*'|\".*\"", value, re.DOTALL) is not None
        if value in ("", "null") or (structured and _parses(f"key={value}")):
            return value
        # in a sweep a comma separates alternatives, unless the whole text is a file that exists
        if multirun and "," in value:
            return ",".join(_quote_path(part, multirun=False) for part in value.split(","))
    return quote(value)


def quote(value: str) -> str:
    """``value`` as a single-quoted string of Hydra's grammar that yields exactly ``value`` again."""
    # only backslashes in front of a quote (or at the end) are special within Hydra's quotes
    escaped = re.sub(r"(\\*)'", lambda match: match[1] * 2 + r"\'", value)
    escaped = re.sub(r"(\\+)$", lambda match: match[1] * 2, escaped)
    # a dollar brace would otherwise be an interpolation
    return "'" + escaped.replace("${", r"\${") + "'"


def _parses(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
