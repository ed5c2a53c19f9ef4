"""What the small programs, ``python -m framewright.<module>``, have in common: one message for a mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from .errors import ConfigError, FramewrightError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are a :class:`ConfigError`, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} ({self.prog} --help tells more)")


def run_command(
    program: Callable[[Sequence[str]], str | None],
    arguments: Sequence[str] | None = None,
    interrupted: str = "interrupted",
) -> int:
    """Run a program and print what it returns.

    Args:
        program: takes the arguments, does everything, and returns a line for the user, or None.
        arguments: None: those of the process.
        interrupted: what is said after Ctrl-C.

    Returns:
        The exit status: 0, 130 after Ctrl-C, or 2 after one line about what is wrong (with ``FRAMEWRIGHT_TRACEBACK``
        set, the exception instead).
    """
    try:
        said = program(sys.argv[1:] if arguments is None else arguments)
        if said is not None:
            print(said)
    except FramewrightError as error:
        if os.environ.get("FRAMEWRIGHT_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return 130
    return 0
