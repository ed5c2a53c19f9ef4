"""Edit a video: ``python edit.py preset=<name> input=<video> output=<file>``. See ``--help``."""

from pathlib import Path

try:
    from framewright.cli.edit import main
except ModuleNotFoundError as error:
    if error.name != "framewright":
        raise
    raise SystemExit("framewright is not installed here; use `uv run python edit.py` or `pip install -e .`") from None

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "configs")
