"""Running a Hydra program so that every mistake ends with one readable message."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..core.errors import ConfigError, FramewrightError, nearest
from ..core.processes import let_the_first_speak
from .arguments import configuration_groups, normalise

Program = Callable[[dict[str, Any], list[str]], object]


def run(program: Program, config_name: str, config_directory: Path, arguments: Sequence[str] | None = None) -> None:
    """Compose ``config_name`` with the command line and call ``program`` with the resolved plain mapping.

    Errors meant for the user are printed as ``error: ...`` with exit status 2; an interruption exits with 130.
    Set ``FRAMEWRIGHT_TRACEBACK=1`` to see the traceback as well.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        argv = normalise(typed, configuration_groups(config_directory))
        if not any(argument.startswith("-") for argument in argv):
            _check_composition(config_directory, config_name, argv)
    except FramewrightError as error:
        _fail(error)

    def job(config: DictConfig) -> None:
        try:
            try:
                values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            except OmegaConfBaseException as error:
                raise ConfigError(str(error).splitlines()[0]) from error
            assert isinstance(values, dict)
            overrides = list(HydraConfig.get().overrides.task)
            program({str(key): value for key, value in values.items()}, overrides)
        except FramewrightError as error:
            _fail(error)
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            sys.exit(130)

    sys.argv = [sys.argv[0], *argv]
    main = hydra.main(version_base="1.3", config_path=str(config_directory), config_name=config_name)
    main(job)()


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
