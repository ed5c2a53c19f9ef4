"""The errors that framewright raises for bad input.

Each carries one finished message: it names the file or the value, says what was expected, and where
possible what to do. The command-line programs print that message alone, without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FramewrightError(Exception):
    """Base of all errors whose message is meant for the user as it stands."""


class ConfigError(FramewrightError):
    """A configuration value is unknown, out of range or contradicts another one."""


class DataError(FramewrightError):
    """A data set or one of its files is missing, laid out wrongly or damaged."""


class VideoError(DataError):
    """A video cannot be read or written."""


class WeightsError(FramewrightError):
    """A weight file is missing, damaged, unsafe or does not fit the network."""


class CheckpointError(FramewrightError):
    """No usable checkpoint, or one that does not belong to this run."""


class Interrupted(FramewrightError):
    """The user or the system asked the program to stop; what has to be kept is kept."""


class TrainingError(FramewrightError):
    """Training cannot go on, for example because a loss is not finite."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``"; did you mean 'rife'?"``, or an empty string when nothing is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
