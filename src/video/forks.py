"""Decoders and forks: a forked child (a worker of a data loader) must never destroy a decoder of its parent.

Destroying one waits for the decoder's threads, which exist in the parent only: the child would wait for ever.
It can come to that through a dropped reference, or through the garbage collector: PyAV's containers are reference
cycles, which live on until a collection finds them.
"""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

_alive: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[Any] = []
_frozen_by_us = False


def keep(decoder: object) -> None:
    """Keep a decoder from being destroyed in children forked from now on."""
    _alive.add(decoder)


def _before() -> None:
    # what is frozen is never collected; the child keeps it so, the parent does not
    global _frozen_by_us
    _frozen_by_us = gc.get_freeze_count() == 0
    gc.freeze()


def _in_parent() -> None:
    if _frozen_by_us:
        gc.unfreeze()


def _in_child() -> None:
    _inherited.extend(_alive)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
