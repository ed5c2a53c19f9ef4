"""Make a benchmark table: ``python evaluate.py benchmark=<name> methods.<name>=<what>``. See ``--help``."""

from pathlib import Path

try:
    from framewright.cli.evaluate import main
except ModuleNotFoundError as error:
    if error.name != "framewright":
        raise
    raise SystemExit(
        "framewright is not installed here; use `uv run python evaluate.py` or `pip install -e .`"
    ) from None

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "configs")
