"""Run a sweep and make a table of it: ``python sweep.py sweep=<name>``. See ``python sweep.py --help``."""

from pathlib import Path

try:
    from framewright.cli.sweep import main
except ModuleNotFoundError as error:
    if error.name != "framewright":
        raise
    raise SystemExit("framewright is not installed here; use `uv run python sweep.py` or `pip install -e .`") from None

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "configs")
