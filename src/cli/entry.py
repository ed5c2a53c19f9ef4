"""Running a Hydra program so that every mistake ends with one readable message."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ..core.errors import ConfigError, FramewrightError, Interrupted, nearest
from ..core.processes import let_the_first_speak
from .arguments import configuration_groups, normalise

Program = Callable[[dict[str, Any], list[str]], object]


class Multirun(Protocol):
    """What a program does about the jobs of Hydra's ``-m``, which run one after the other in one process."""

    def prepare(self, jobs: Sequence[Sequence[str]], swept: Sequence[str]) -> None:
        """Called once before the first job, with the overrides of each and the keys that differ between them."""

    def place(self, values: dict[str, Any], folder: Path, number: int) -> dict[str, Any]:
        """The configuration of job ``number``, which belongs into the sweep's ``folder``."""

    def failed(self, folder: Path, number: int, message: str) -> None:
        """Called when a job has failed; the others go on."""


def run(
    program: Program,
    config_name: str,
    config_directory: Path,
    arguments: Sequence[str] | None = None,
    multirun: Multirun | None = None,
) -> None:
    """Compose ``config_name`` with the command line and call ``program`` with the resolved plain mapping.

    Errors meant for the user are printed as ``error: ...`` with exit status 2; an interruption exits with 130.
    With ``-m`` a job that fails does not keep the others from running, and is listed at the end.
    Set ``FRAMEWRIGHT_TRACEBACK=1`` to see the traceback as well.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        argv = normalise(typed, configuration_groups(config_directory))
        if not any(argument.startswith("-") for argument in argv):
            _check_composition(config_directory, config_name, argv)
        elif any(argument in ("-m", "--multirun", "hydra.mode=MULTIRUN") for argument in argv):
            jobs, swept = _split_multirun(config_directory, argv)
            for overrides in jobs:
                _check_composition(config_directory, config_name, overrides)
            if multirun is not None:
                multirun.prepare(jobs, swept)
    except FramewrightError as error:
        _fail(error)
    failures: list[str] = []

    def job(config: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        sweep = hydra_config.mode is RunMode.MULTIRUN
        try:
            try:
                container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            except OmegaConfBaseException as error:
                raise ConfigError(str(error).splitlines()[0]) from error
            assert isinstance(container, dict)
            values = {str(key): value for key, value in container.items()}
            if sweep and multirun is not None:
                values = multirun.place(values, Path(hydra_config.sweep.dir), hydra_config.job.num)
            program(values, list(hydra_config.overrides.task))
        except FramewrightError as error:
            if not sweep or isinstance(error, Interrupted):
                _fail(error)
            print(f"error: {error}", file=sys.stderr)
            failures.append(f"{' '.join(hydra_config.overrides.task)}: {error}")
            if multirun is not None:
                multirun.failed(Path(hydra_config.sweep.dir), hydra_config.job.num, str(error))
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            sys.exit(130)

    sys.argv = [sys.argv[0], *argv]
    main = hydra.main(version_base="1.3", config_path=str(config_directory), config_name=config_name)
    main(job)()
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        print(f"{len(failures)} job{'' if len(failures) == 1 else 's'} failed:\n{listed}", file=sys.stderr)
        sys.exit(2)


def _fail(error: FramewrightError) -> NoReturn:
    let_the_first_speak()
    if os.environ.get("FRAMEWRIGHT_TRACEBACK"):
        logging.getLogger(__name__).error("traceback of the error below", exc_info=error)
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def compose(config_directory: Path, config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Compose a configuration without running anything, as the programs would see it.

    Raises:
        ConfigError: an override or a group choice is wrong.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    argv = normalise(overrides, configuration_groups(config_directory))
    # inside a running program Hydra is initialised already; it is put back as it was
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        with initialize_config_dir(str(config_directory), version_base="1.3"):
            config = hydra_compose(config_name, overrides=argv)
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, config_directory, argv)) from error
    finally:
        GlobalHydra.instance().hydra = previous
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _check_composition(config_directory: Path, config_name: str, argv: Sequence[str]) -> None:
    compose(config_directory, config_name, [argument for argument in argv if not argument.startswith("hydra.")])


def _split_multirun(config_directory: Path, argv: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """The overrides of every job of ``-m`` and the keys that differ between them, as Hydra's own sweeper sees them.

    Another sweeper (``hydra/sweeper=...``) decides about its jobs while it runs; then both are empty.
    """
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    overrides = [argument for argument in argv if not argument.startswith("-")]
    if any(override.startswith("hydra/sweeper") for override in overrides):
        return [], []
    overrides = [override for override in overrides if not override.startswith(("hydra.", "hydra/"))]
    try:
        with initialize_config_dir(str(config_directory), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
            (jobs,) = BasicSweeper.split_arguments(parsed, None)
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return jobs, [override.key_or_group for override in parsed if override.is_sweep_override()]


def _explain(error: Exception, config_directory: Path, argv: Sequence[str]) -> str:
    """Hydra's error in one line, with the nearest group or choice where that is what went wrong."""
    for argument in argv:
        group, _, choice = argument.partition("=")
        folder = config_directory / group.partition("@")[0]
        if folder.is_dir() and choice and choice != "null":
            choices = sorted(path.stem for path in folder.glob("*.yaml"))
            for one in choice.strip("[]").split(","):
                if choices and not (folder / f"{one}.yaml").is_file():
                    return (
                        f"{group}={one}: there is no such configuration{nearest(one, choices)} "
                        f"(available: {', '.join(choices)})"
                    )
    return " ".join(str(error).split())
