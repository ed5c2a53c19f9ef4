"""Train a network: ``python train.py experiment=<name>``. See ``python train.py --help``."""

from pathlib import Path

try:
    from framewright.cli.train import main
except ModuleNotFoundError as error:
    if error.name != "framewright":
        raise
    raise SystemExit("framewright is not installed here; use `uv run python train.py` or `pip install -e .`") from None

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "configs")
