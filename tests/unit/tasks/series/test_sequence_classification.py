from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow
from crossover.tasks import RESTORERS
from crossover.tasks.series.classification import digits, own
from crossover.tasks.series.labelled import as_steps


def write_ts(path: Path, rows: list[np.ndarray], labels: list[str]) -> Path:
    lines = ["@problemName tiny", "@timeStamps false", f"@classLabel true {' '.join(sorted(set(labels)))}", "@data"]
    for row_TC, label in zip(rows, labels, strict=True):
        lines.append(":".join([*(",".join(map(str, channel)) for channel in row_TC.T.tolist()), label]))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def tiny(count: int, seed: int, labels: tuple[str, ...] = ("down", "up"), channels: int = 2):
    """Series of unequal lengths that fall or rise."""
    generator = np.random.default_rng(seed)
    rows, given = [], []
    for i in range(count):
        slope = 1.0 if labels[i % len(labels)] == "up" else -1.0
        steps = int(generator.integers(5, 15))
        line_T1 = slope * np.linspace(0, 5, steps)[:, None]
        rows.append((line_T1 + generator.normal(0, 0.3, (steps, channels)) + 10).astype(np.float32))
        given.append(labels[i % len(labels)])
    return rows, given


@pytest.fixture
def pair(tmp_path) -> DataOptions:
    train = write_ts(tmp_path / "train.ts", *tiny(40, 0))
    test = write_ts(tmp_path / "test.ts", *tiny(20, 1))
    return DataOptions(train=train, test=test)


def test_worked_example_of_the_three_readings_of_an_image():
    image_NHW = np.arange(1, 9, dtype=np.float32).reshape(1, 4, 2)
    assert as_steps(image_NHW, "rows").tolist() == [[[1, 2], [3, 4], [5, 6], [7, 8]]]
    assert as_steps(image_NHW, "patches").tolist() == [[[1, 2, 3, 4], [5, 6, 7, 8]]]
    assert as_steps(image_NHW, "pixels")[0, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    wide_NHW = np.arange(16).reshape(1, 4, 4)
    assert as_steps(wide_NHW, "patches")[0, 1].tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(("order", "steps", "channels"), [("rows", 8, 8), ("patches", 16, 4), ("pixels", 64, 1)])
def test_digits_are_split_within_each_label(order, steps, channels):
    task = digits(DataOptions(settings={"as": order}))
    assert [task.size(split) for split in ("train", "valid", "test")] == [1257, 180, 360]
    assert task.spec.inputs == Continuous(channels=channels)
    assert task.spec.outputs == PerRow(size=10, pool="mean")
    assert task.spec.max_length == steps
    assert min(np.bincount(task.splits["test"].targets)) >= 34
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=360)))
    assert batch.inputs.shape == (360, steps, channels)
    scored = task.score(task.metrics(torch.nn.functional.one_hot(batch.targets, 10).float() * 20, batch))
    assert scored["accuracy"] == 1
    assert len(task.samples(batch.inputs.new_zeros(360, 10), batch)) == 5


def test_another_seed_splits_digits_otherwise():
    one, other = (digits(DataOptions(split_seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one.splits["test"].targets, other.splits["test"].targets)


def test_baselines_of_digits():
    task = digits(DataOptions())
    majority, nearest, convolutions = task.baselines("valid")
    assert majority.score == pytest.approx(0.1, abs=0.02)
    assert nearest.score > 0.93
    assert convolutions.score > 0.95
    assert convolutions.items["confusion"].shape == (180, 10, 10)
    assert task.details(convolutions.items)["labels"] == [str(i) for i in range(10)]


def test_a_users_pair_keeps_its_test_and_gives_a_fifth_of_train_to_validation(pair):
    task = own(pair)
    assert [task.size(split) for split in ("train", "valid", "test")] == [32, 8, 20]
    assert task.labels == ("down", "up")
    assert np.bincount(task.splits["valid"].targets).tolist() == [4, 4]
    assert "8 of the 40 train rows are the validation split." in task.spec.notes
    scores_NC = np.concatenate(task.splits["train"].inputs)
    assert np.allclose(scores_NC.mean(0), 0, atol=1e-5)
    assert np.allclose(scores_NC.std(0), 1, atol=1e-5)
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=20)))
    assert batch.lengths_B.min() < batch.lengths_B.max() == batch.inputs.shape[1]
    assert [b.score for b in task.baselines("test")[1:]] == [1.0, 1.0]


def test_normalisation_reads_train_only(tmp_path, pair):
    rows, labels = tiny(20, 1)
    shifted = write_ts(tmp_path / "shifted.ts", [row + 1000 for row in rows], labels)
    one, other = own(pair), own(DataOptions(train=pair.train, test=shifted))
    assert np.array_equal(one.mean_C, other.mean_C)
    assert np.array_equal(one.deviation_C, other.deviation_C)


def test_one_file_is_split_within_each_label(tmp_path):
    task = own(DataOptions(data=str(write_ts(tmp_path / "all.ts", *tiny(50, 0)))))
    assert [task.size(split) for split in ("train", "valid", "test")] == [35, 5, 10]


def test_rare_labels_are_refused_dropped_or_kept(tmp_path, pair):
    rows, labels = tiny(40, 0)
    train = write_ts(tmp_path / "rare.ts", [*rows, rows[0]], [*labels, "once"])
    with pytest.raises(DataError, match=r"label 'once' has fewer than 2 examples.*--rare drop"):
        own(DataOptions(train=train, test=pair.test))
    dropped = own(DataOptions(train=train, test=pair.test, rare="drop"))
    assert dropped.labels == ("down", "up")
    kept = own(DataOptions(train=train, test=pair.test, rare="keep"))
    assert kept.labels == ("down", "once", "up")
    assert (kept.splits["train"].targets == 1).sum() == 1
    assert (kept.splits["valid"].targets == 1).sum() == 0
    assert "Labels with fewer than 2 examples are kept in train only: once." in kept.spec.notes


def test_labels_unseen_in_train_are_refused_dropped_or_kept(tmp_path, pair):
    rows, labels = tiny(20, 1)
    test = write_ts(tmp_path / "unseen.ts", [*rows, rows[0]], [*labels, "new"])
    with pytest.raises(DataError, match=r"label 'new' of test is not in train.*--rare keep"):
        own(DataOptions(train=pair.train, test=test))
    dropped = own(DataOptions(train=pair.train, test=test, rare="drop"))
    assert (dropped.size("test"), dropped.labels) == (20, ("down", "up"))
    kept = own(DataOptions(train=pair.train, test=test, rare="keep"))
    assert (kept.size("test"), kept.labels) == (21, ("down", "new", "up"))


def test_a_saved_task_reads_files_and_names_labels(pair):
    task = own(pair)
    reader = RESTORERS.get("classification")(json.loads(json.dumps(task.artifacts())))
    assert (reader.spec.inputs, reader.spec.outputs) == (task.spec.inputs, task.spec.outputs)
    batch = reader.encode_file(pair.test)
    known = next(iter(task.batches("test", seed=0, epoch=0, batch=20)))
    assert torch.equal(batch.inputs, known.inputs)
    (first, *_) = reader.decode(torch.tensor([[0.0, 3.0]] * 20), batch)
    assert first["label"] == "up"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    with pytest.raises(DataError, match="takes no text"):
        reader.encode(["a"])
    with pytest.raises(DataError, match="no artifacts of labelled series"):
        RESTORERS.get("classification")({"labels": ["a"]})


def test_series_with_other_channels_are_refused(tmp_path, pair):
    other = write_ts(tmp_path / "other.ts", *tiny(6, 3, channels=3))
    with pytest.raises(DataError, match="test has series of 3 channels, train has 2"):
        own(DataOptions(train=pair.train, test=other))
    with pytest.raises(DataError, match=r"other\.ts has series of 3 channels"):
        own(pair).encode_file(other)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (DataOptions(), "needs labelled data: give --data FILE.ts"),
        (DataOptions(data="a.ts", split="time"), "--split is 'time'"),
        (DataOptions(data="a.ts", train=Path("b.ts")), "give --data, or --train and --test"),
        (DataOptions(data="a.ts", horizon=3), "does not read --horizon"),
        (DataOptions(data="a.ts", settings={"patch": 3}), "has no settings"),
    ],
)
def test_wrong_requests_are_refused_in_one_sentence(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        own(given)


def test_digits_take_their_own_settings_only():
    with pytest.raises(ConfigError, match="did you mean 'pixels'"):
        digits(DataOptions(settings={"as": "pixel"}))
    with pytest.raises(ConfigError, match="does not read --data"):
        digits(DataOptions(data="a.ts"))
