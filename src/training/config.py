"""The sections of a training configuration, with their ranges."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from ..core.config import Section

Positive = Annotated[int, Field(gt=0)]


class ModelSection(Section):
    """Which network to train; every further key is an option of its constructor.

    ``weights`` are those of the whole network; where there are none, ``backbone_weights`` (``imagenet``, or a file) are
    those of its backbone.
    """

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    name: str
    weights: str | None = None
    backbone_weights: str | None = None
    parts: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class RunSection(Section):
    """Where the run folder is and how the run is labelled.

    ``dir`` names the folder itself; without it, it is ``<root>/<experiment>/<date and time>``.
    """

    root: str = "runs"
    dir: str | None = None
    name: str | None = None
    group: str | None = None
    tags: list[str] = []
    notes: str | None = None


class OptimSection(Section):
    """How long and with what the network is optimised.

    ``iterations`` counts optimizer steps. One step uses ``accumulate`` batches of ``data.batch_size`` samples.
    ``ema`` is the decay of the exponential moving average of the weights (null: none). ``decay_biases`` false spares
    biases and scales (parameters of one dimension) the optimizer's weight decay. ``lr_factors`` maps the beginning of
    parameter names to a factor of the optimizer's ``lr`` for them (``{backbone: 0.1}``); the first that fits counts.
    """

    iterations: Positive
    accumulate: Positive = 1
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    decay_biases: bool = True
    lr_factors: dict[str, Annotated[float, Field(ge=0)]] = {}
    optimizer: dict[str, Any]
    scheduler: dict[str, Any] | None = None


class GanSection(Section):
    """Discriminators and how they are trained.

    ``discriminators`` maps names, under which scores are logged, to networks of the task ``auxiliary``. ``loss`` is
    what each of them minimises. ``optimizer`` null: another one like the generator's, with its schedule; with an
    optimizer of its own the schedule is ``scheduler``. ``order`` says whose step comes first in an iteration: the
    second sees the first one's new weights. The discriminators, and with them the generator's adversarial terms, take
    part after ``start`` iterations. ``pool`` samples made earlier are kept for each discriminator, which then learns
    from them in place of every second new one; 0: only new ones.
    """

    discriminators: Annotated[dict[str, ModelSection], Field(min_length=1)]
    loss: dict[str, Any]
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    order: Literal["discriminator_first", "generator_first"] = "discriminator_first"
    start: Annotated[int, Field(ge=0)] = 0
    pool: Annotated[int, Field(ge=0)] = 0


class ValidationSection(Section):
    """Validation on whole videos during training.

    Every ``every`` iterations and at the end; ``videos`` limits how many (null: all), ``samples`` how many of
    them are written as side-by-side clips. ``metrics`` maps metric keys to their options.
    """

    every: Positive = 1000
    videos: Positive | None = None
    samples: Annotated[int, Field(ge=0)] = 2
    metrics: dict[str, dict[str, Any]] = {}


class CheckpointSection(Section):
    """Checkpoints: one every ``every`` iterations, the newest ``keep`` are kept, and the best one.

    ``monitor`` is a validation metric such as ``val/psnr``; ``export`` says which weights become
    ``weights.safetensors`` (``best`` needs a monitor).
    """

    every: Positive = 1000
    keep: Annotated[int, Field(ge=2)] = 2
    monitor: str | None = None
    mode: Literal["min", "max"] = "max"
    export: Literal["best", "last"] = "last"

    @model_validator(mode="after")
    def _best_needs_a_monitor(self) -> CheckpointSection:
        if self.export == "best" and self.monitor is None:
            raise ValueError("export=best needs checkpoint.monitor, the metric that decides which is best")
        return self


class EarlyStoppingSection(Section):
    """Stop when ``monitor`` has not improved by ``min_delta`` for ``patience`` validations in a row."""

    monitor: str
    mode: Literal["min", "max"] = "max"
    patience: Positive = 5
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class SlurmSection(Section):
    """A job of the SLURM workload manager; present with ``trainer=slurm``.

    ``script`` names the batch script to write instead of training; everything else is what goes into it.
    ``warning`` is the number of seconds before the end of ``time`` at which the run saves itself and goes back
    into the queue. ``setup`` are shell lines before the program, ``options`` further ``#SBATCH`` lines.
    """

    script: str | None = None
    name: str | None = None
    time: str = "24:00:00"
    warning: Annotated[int, Field(ge=30)] = 180
    cpus_per_task: Positive = 8
    memory: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    array: str | None = None
    logs: str = "slurm"
    setup: list[str] = []
    options: list[str] = []


class TrainerSection(Section):
    """Devices and numerics, handed to Lightning's Trainer.

    ``threads`` limits torch's CPU threads per process (null: leave as is); ``compile`` compiles the network;
    ``channels_last`` keeps images with the channels last in memory, which many convolutions prefer.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int | Literal["auto"] = 1
    num_nodes: Positive = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    deterministic: bool | Literal["warn"] = False
    threads: Positive | None = None
    compile: bool = False
    channels_last: bool = False
    log_every: Positive = 10
    progress: bool = True
    profiler: Literal["simple", "pytorch"] | None = None
    slurm: SlurmSection | None = None


class WandbSection(Section):
    """Weights & Biases. ``mode`` null: online when a key is configured, else offline; never a prompt.

    ``log_model`` uploads the best and the last checkpoint of a finished run as artifacts.
    """

    project: str = "framewright"
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] | None = None
    log_model: bool = False


class LoggerSection(Section):
    """``metrics.csv`` is always written; ``wandb`` adds W&B."""

    wandb: WandbSection | None = None


class FinalSection(Section):
    """The table at the end of a run: a benchmark, and methods beside the trained network.

    ``benchmark`` null: the one that belongs to the run's data (for ``data=folder`` the folder's own test split).
    ``data`` replaces values of the benchmark's own data section (its root, for example).
    """

    benchmark: str | None = None
    methods: dict[str, Any] = {}
    data: dict[str, Any] = {}


class DebugSection(Section):
    """``tiny``: the network's tiny variant on small procedural data; ``repeat_batches``: overfit that many."""

    tiny: bool = False
    repeat_batches: Positive | None = None


class TrainSection(Section):
    """A whole training configuration as ``train.py`` composes it.

    ``data`` is checked by the data source that it names, ``loss`` and ``callbacks`` by the classes that their
    ``_target_`` name.
    """

    experiment: str
    seed: Annotated[int, Field(ge=0)] = 0
    run: RunSection = RunSection()
    resume: str | None = None
    resume_force: bool = False
    model: ModelSection
    data: dict[str, Any]
    loss: dict[str, dict[str, Any]]
    optim: OptimSection
    gan: GanSection | None = None
    validation: ValidationSection = ValidationSection()
    checkpoint: CheckpointSection = CheckpointSection()
    early_stopping: EarlyStoppingSection | None = None
    trainer: TrainerSection = TrainerSection()
    logger: LoggerSection = LoggerSection()
    callbacks: dict[str, dict[str, Any]] = {}
    final: FinalSection | None = None
    debug: DebugSection = DebugSection()
    allow_targets: list[str] = []

    @model_validator(mode="after")
    def _monitors_exist(self) -> TrainSection:
        known = {f"val/{key}" for key in self.validation.metrics}
        monitors = [self.checkpoint.monitor, self.early_stopping.monitor if self.early_stopping else None]
        for monitor in monitors:
            if monitor is not None and monitor not in known:
                raise ValueError(
                    f"the monitored metric {monitor!r} is not validated; validation.metrics gives "
                    f"{', '.join(sorted(known)) or 'none'}"
                )
        return self
