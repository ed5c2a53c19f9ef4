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


def run_command(program: Callable[[Sequence[str]], str], arguments: Sequence[str] | None = None) -> int:
    """Run a program and print what it returns.

    Args:
        program: takes the arguments, does everything, and returns a line for the user.
        arguments: None: those of the process.

    Returns:
        The exit status: 0, or 2 after one line about what is wrong (with ``FRAMEWRIGHT_TRACEBACK`` set, the exception).
    """
    try:
        print(program(sys.argv[1:] if arguments is None else arguments))
    except FramewrightError as error:
        if os.environ.get("FRAMEWRIGHT_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0
