"""The LightningDataModule of every run: a source's samples in an order that survives interruption."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..core.errors import CheckpointError, ConfigError
from .base import EvaluationDataset, TrainingDataset
from .position import PositionDataset, PositionSampler
from .sources import DataSection, DataSource


class RepeatedPositions(Sampler[tuple[int, int]]):
    """The first ``count`` positions of a sampler over and over, with their augmentation: for overfitting.

    Args:
        sampler: the sampler of the run.
        count: number of positions per process that are repeated.
    """

    def __init__(self, sampler: PositionSampler, count: int) -> None:
        self.sampler = sampler
        self.count = count

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Any:
        period = self.count * self.sampler.world_size
        for position, _ in self.sampler:
            repeated = position % period
            yield repeated, self.sampler.index_of(repeated)


class RunDataModule(pl.LightningDataModule):
    """Feeds one long epoch of exactly ``iterations * accumulate`` global batches.

    ``data.batch_size`` is the size of the *global* batch: two processes with the same configuration see the
    same samples in the same iteration as one process does.

    Args:
        source: where samples and validation videos come from.
        section: batch size, workers, error policy.
        iterations: optimizer steps of the run.
        accumulate: batches per optimizer step.
        seed: of the run.
        run_directory: the report of skipped samples is written here.
        repeat_batches: show only the first so many batches, again and again.
    """

    def __init__(
        self,
        source: DataSource,
        section: DataSection,
        *,
        iterations: int,
        accumulate: int,
        seed: int,
        run_directory: Path,
        repeat_batches: int | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.section = section
        self.batches = iterations * accumulate
        self.seed = seed
        self.run_directory = run_directory
        self.repeat_batches = repeat_batches
        self.training: TrainingDataset = source.training()
        self.validation: EvaluationDataset | None = source.validation()
        self._consumed = 0

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The loader of this process, starting where the run stands."""
        assert self.trainer is not None
        world, rank = self.trainer.world_size, self.trainer.global_rank
        batch_size, rest = divmod(self.section.batch_size, world)
        if rest:
            raise ConfigError(
                f"data.batch_size={self.section.batch_size} is the global batch and cannot be shared evenly by "
                f"{world} processes"
            )
        sampler: Sampler[tuple[int, int]] = (
            position_sampler := PositionSampler(
                self.batches * self.section.batch_size,
                len(self.training),
                self.seed,
                start=self._consumed,
                rank=rank,
                world_size=world,
                batch_size=batch_size,
            )
        )
        if self.repeat_batches is not None:
            sampler = RepeatedPositions(position_sampler, self.repeat_batches * batch_size)
        dataset = PositionDataset(
            self.training,
            self.seed,
            on_error=self.section.on_error,
            report=self.run_directory / "skipped_samples.jsonl",
        )
        workers = self.section.workers
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            worker_init_fn=_start_worker,
            # a generator of its own: creating an iterator must not draw from the global random state
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
            drop_last=True,
            prefetch_factor=4 if workers else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """How many samples all processes together have consumed."""
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        processed = int(asdict(progress)["processed"])
        return {"consumed": processed * self.section.batch_size, "batch_size": self.section.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the samples already consumed."""
        if state_dict["batch_size"] != self.section.batch_size:
            raise CheckpointError(
                f"the checkpoint was written with data.batch_size={state_dict['batch_size']}, the run has "
                f"{self.section.batch_size}"
            )
        self._consumed = int(state_dict["consumed"])

    def describe(self) -> dict[str, Any]:
        """The manifest of everything that the run reads."""
        return {
            "training": self.training.describe(),
            "validation": None if self.validation is None else self.validation.describe(),
        }


def _start_worker(worker: int) -> None:
    """One thread per worker: the main process needs the rest.

    Ctrl-C and a batch system's warning reach a whole group of processes. The main process then finishes its iteration
    and writes a checkpoint, for which it may need more samples; workers end when it does.
    """

    def ignore_once(number: int, frame: object) -> None:
        # the second one means this worker: it does not end by itself
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, ignore_once)
    for number in (signal.SIGINT, getattr(signal, "SIGUSR1", None)):
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(0)
