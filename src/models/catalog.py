"""Finding the cards of all networks: in this package, from other packages, and registered by a script."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ..core.errors import ConfigError, nearest
from .card import TASKS, ModelCard

ENTRY_POINT_GROUP = "framewright.models"


def get_card(name: str) -> ModelCard:
    """The card of a network.

    Raises:
        ConfigError: when no network has that name; names the nearest one.
    """
    cards = all_cards()
    if name not in cards:
        raise ConfigError(f"there is no model {name!r}{nearest(str(name), cards)} (known: {', '.join(sorted(cards))})")
    return cards[name]


def list_models(task: str | None = None, *, baselines: bool | None = None) -> list[str]:
    """Names of the registered networks, sorted.

    Args:
        task: only those of one task, for example ``"interpolation"``.
        baselines: True for only the methods that need no weights, False for all but them.

    Raises:
        ConfigError: for an unknown task.
    """
    if task is not None and task not in TASKS:
        raise ConfigError(f"there is no task {task!r}{nearest(task, TASKS)} (known: {', '.join(TASKS)})")
    return sorted(
        card.name
        for card in all_cards().values()
        if (task is None or card.task == task) and (baselines is None or card.baseline == baselines)
    )


def register_model(card: ModelCard) -> ModelCard:
    """Make a network known in this process, for example from a notebook; returns the card.

    Packages do it for good with an entry point of the group ``framewright.models``, whose object is a card,
    several cards, or a module with ``CARD`` or ``CARDS``.

    Raises:
        ConfigError: when another network has that name.
    """
    _add(all_cards(), card, "register_model")
    return card


@functools.cache
def all_cards() -> dict[str, ModelCard]:
    """Every card by name. The modules of all networks are imported on the first call."""
    cards: dict[str, ModelCard] = {}
    package = importlib.import_module(__package__)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for card in _cards_in(importlib.import_module(module.name)):
            _add(cards, card, module.name)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            for card in _cards_in(entry.load()):
                _add(cards, card, f"entry point {entry.value!r}")
        except ConfigError:
            raise
        except Exception as error:
            # somebody else's broken package must not take every command of this one with it
            warnings.warn(
                f"the models of entry point {entry.value!r} are left out, it fails: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )
    return cards


def _cards_in(found: Any) -> Iterable[ModelCard]:
    if isinstance(found, ModuleType):
        single = vars(found).get("CARD")
        found = (*vars(found).get("CARDS", ()), *(() if single is None else (single,)))
    cards = (found,) if isinstance(found, ModelCard) else tuple(found)
    for card in cards:
        if not isinstance(card, ModelCard):
            raise TypeError(f"expected a ModelCard, found {type(card).__name__}")
    return cards


def _add(cards: dict[str, ModelCard], card: ModelCard, where: str) -> None:
    if card.name in cards and cards[card.name] is not card:
        raise ConfigError(f"two models are called {card.name!r}; the second one comes from {where}")
    cards[card.name] = card
