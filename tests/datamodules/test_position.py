from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError, VideoError
from framewright.datamodules.base import TrainingDataset
from framewright.datamodules.position import PositionDataset, PositionSampler, original_message
from torch.utils.data import DataLoader


class Numbers(TrainingDataset):
    """Item i with some noise; the items of ``bad`` cannot be read."""

    def __init__(self, length=20, bad=()):
        self.length = length
        self.bad = frozenset(bad)

    def __len__(self):
        return self.length

    def sample(self, index, rng):
        if index in self.bad:
            raise VideoError(f"cannot decode 'clips/{index} é, =.mp4': damaged\nat its second line")
        return {
            "index": torch.tensor(index),
            "noise": torch.tensor(rng.random()),
        }

    def describe(self):
        return {"length": self.length}


def batches(sampler):
    pairs = list(sampler)
    return [pairs[i : i + sampler.batch_size] for i in range(0, len(pairs), sampler.batch_size)]


@pytest.mark.parametrize("world", [2, 4])
def test_global_batches_do_not_depend_on_the_number_of_processes(world):
    alone = batches(PositionSampler(48, 13, seed=5, batch_size=8))
    ranks = [
        batches(PositionSampler(48, 13, seed=5, rank=rank, world_size=world, batch_size=8 // world))
        for rank in range(world)
    ]
    for step, batch in enumerate(alone):
        parts = [pair for rank in ranks for pair in rank[step]]
        assert sorted(parts) == batch
        for rank in range(world):
            expected = [step * 8 + k * world + rank for k in range(8 // world)]
            assert [position for position, _ in ranks[rank][step]] == expected


def test_every_epoch_is_another_permutation():
    length = 50
    pairs = list(PositionSampler(4 * length, length, seed=1))
    assert [position for position, _ in pairs] == list(range(4 * length))
    epochs = [[index for _, index in pairs[e * length : (e + 1) * length]] for e in range(4)]
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert [index for _, index in PositionSampler(length, length, seed=2)] != epochs[0]


@pytest.mark.parametrize("start", [0, 8, 24, 40])
def test_resume_continues_where_the_run_stopped(start):
    whole = PositionSampler(40, 7, seed=3, rank=1, world_size=2, batch_size=4)
    rest = PositionSampler(40, 7, seed=3, start=start, rank=1, world_size=2, batch_size=4)
    assert list(rest) == list(whole)[start // 2 :]
    assert len(rest) == len(whole) == 20


def test_iterating_twice_gives_the_same():
    sampler = PositionSampler(30, 7, seed=3)
    assert list(sampler) == list(sampler)


def test_endless_data_needs_no_table():
    length = (1 << 31) - 1
    indices = [index for _, index in PositionSampler(5000, length, seed=0)]
    assert len(set(indices)) == 5000
    assert min(indices) >= 0
    assert max(indices) < length
    assert np.std(indices) == pytest.approx(length / np.sqrt(12), rel=0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"total_positions": 10, "batch_size": 4},
        {"total_positions": 8, "start": 12},
        {"total_positions": 8, "start": 3, "world_size": 2},
        {"total_positions": 8, "rank": 2, "world_size": 2},
        {"total_positions": 8, "dataset_length": 0},
    ],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must|expected"):
        PositionSampler(**{"dataset_length": 5, "seed": 0, **arguments})


def run(dataset, total=24, workers=0, **sampler):
    loader = DataLoader(
        dataset,
        batch_size=4,
        sampler=PositionSampler(total, len(dataset), seed=9, batch_size=4, **sampler),
        num_workers=workers,
    )
    found = list(loader)
    return {key: torch.cat([batch[key] for batch in found]) for key in found[0]}


def test_workers_and_resuming_do_not_change_the_samples(tmp_path):
    dataset = PositionDataset(Numbers(bad=[3]), seed=9, on_error="skip", report=tmp_path / "skipped.jsonl")
    alone, workers, resumed = run(dataset), run(dataset, workers=2), run(dataset, start=8)
    for key in alone:
        assert torch.equal(alone[key], workers[key])
        assert torch.equal(alone[key][8:], resumed[key])
    assert len(set(alone["noise"].tolist())) == 24


def test_raise_is_the_default_and_names_the_file():
    dataset = PositionDataset(Numbers(bad=range(20)), seed=9)
    with pytest.raises(DataError, match=r"3 é, =\.mp4"):
        dataset[0, 3]


def test_the_message_of_a_worker_can_be_told_without_its_traceback():
    dataset = PositionDataset(Numbers(bad=range(20)), seed=9)
    with pytest.raises(DataError) as caught:
        run(dataset, workers=1)
    assert "Traceback" in str(caught.value)
    message = original_message(caught.value)
    assert message.startswith("cannot decode 'clips/")
    assert message.endswith("é, =.mp4': damaged\nat its second line")
    assert original_message(DataError("plain: text")) == "plain: text"


def test_skips_are_substituted_counted_and_reported_once(tmp_path, caplog):
    report = tmp_path / "run é" / "skipped.jsonl"
    dataset = PositionDataset(Numbers(bad=[3, 4]), seed=9, on_error="skip", report=report)
    found = run(dataset, total=40, workers=2)
    assert not {3, 4} & set(found["index"].tolist())
    plain = run(PositionDataset(Numbers(), seed=9), total=40)
    readable = (plain["index"] != 3) & (plain["index"] != 4)
    assert torch.equal(found["noise"][readable], plain["noise"][readable])
    failures = dataset.failures()
    assert {failure["index"] for failure in failures} == {3, 4}
    assert len({failure["position"] for failure in failures}) == 4  # two epochs of twenty
    assert all("é, =.mp4" in failure["error"] for failure in failures)
    fresh = PositionDataset(Numbers(bad=[3, 4]), seed=9, on_error="skip", report=report)
    assert fresh.failures() == failures
    fresh[0, 3]
    assert "skipped sample 3 at position 0" in caplog.text


@pytest.mark.parametrize("with_report", [True, False])
def test_too_many_skips_end_the_run(tmp_path, with_report):
    report = tmp_path / "skipped.jsonl" if with_report else None
    dataset = PositionDataset(Numbers(bad=range(10)), seed=9, on_error="skip", report=report)
    for position in range(10):
        dataset[position, position]
    for position in range(10):
        dataset[position, position]  # an interrupted run passes them again: not counted twice
    with pytest.raises(DataError, match="11 of the first 11 samples could not be read"):
        dataset[10, 3]
    assert dataset[5000, 3]["index"] >= 10  # 1 % of five thousand is more than eleven


def test_nothing_readable_ends_the_run():
    dataset = PositionDataset(Numbers(bad=range(20)), seed=9, on_error="skip", min_skips=100)
    with pytest.raises(DataError, match="20 samples in a row"):
        dataset[0, 3]


def test_programming_errors_are_never_skipped():
    class Broken(Numbers):
        def sample(self, index, rng):
            raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        PositionDataset(Broken(), seed=0, on_error="skip")[0, 0]


def test_a_torn_line_in_the_report_is_passed_over(tmp_path):
    report = tmp_path / "skipped.jsonl"
    report.write_text('{"position": 1, "index": 2, "error": "x"}\n{"posi', encoding="utf-8")
    dataset = PositionDataset(Numbers(bad=[3]), seed=0, on_error="skip", report=report)
    assert len(dataset.failures()) == 1
    dataset[7, 3]
    dataset[8, 3]
    assert [failure["position"] for failure in dataset.failures()] == [1, 8]


def test_policy_and_limits_are_checked():
    with pytest.raises(ConfigError, match="on_error='ignore'"):
        PositionDataset(Numbers(), seed=0, on_error="ignore")
    with pytest.raises(ConfigError, match="max_fraction=2"):
        PositionDataset(Numbers(), seed=0, max_fraction=2)


def test_wrapper_survives_pickling():
    dataset = pickle.loads(pickle.dumps(PositionDataset(Numbers(), seed=9)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(dataset) == 20
        assert dataset[4, 2]["index"] == 2
