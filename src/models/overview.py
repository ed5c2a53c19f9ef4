"""The table of networks for the README, made from the cards."""

from __future__ import annotations

from .catalog import all_cards


def networks_table() -> str:
    """Every network and baseline as a Markdown table: name, task, what it is, and how far it is proven."""
    lines = ["| name | task | what | proven |", "|---|---|---|---|"]
    for name, card in sorted(all_cards().items(), key=lambda item: (item[1].task, item[1].baseline, item[0])):
        proven = "baseline, needs no weights" if card.baseline else ", ".join(card.proven)
        lines.append(f"| `{name}` | {card.task.replace('_', ' ')} | {card.summary} | {proven} |")
    return "\n".join(lines)
