"""The generated tasks: what their docstrings show is what they draw, and what they ask can be worked out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks.generated.task import (
    PARITY_FACTORS,
    GeneratedTask,
    copying,
    draw_copy,
    draw_parity,
    draw_recall,
    parity,
    recall,
    restore,
)
from crossover.tasks.objectives import IGNORE

SPLITS = ("train", "valid", "test")
SMALL = {"recall": {"length": 24, "pairs": 4}, "parity": {"longest": 10}, "copy": {"lag": 6, "symbols": 3}}
FACTORIES = {"recall": recall, "parity": parity, "copy": copying}


def built(name: str, seed: int = 0, **settings: object) -> GeneratedTask:
    return FACTORIES[name](DataOptions(split_seed=seed, settings=settings or SMALL[name]))


def example(factory: Callable[..., object]) -> tuple[list[int], list[int | None]]:
    """The tokens and targets of a docstring's worked example; None for a step that is not scored."""
    text = inspect.getdoc(factory) or ""
    rows = {}
    for word in ("inputs", "targets"):
        (line,) = re.findall(rf"^ *{word} +((?:[\d.] ?)+)", text, re.MULTILINE)
        rows[word] = [None if part == "." else int(part) for part in line.split()]
    assert None not in rows["inputs"] and len(rows["inputs"]) == len(rows["targets"])
    return rows["inputs"], rows["targets"]


def answer_recall(tokens: list[int], pairs: int, keys: int) -> list[int | None]:
    said = dict(zip(tokens[0 : 2 * pairs : 2], tokens[1 : 2 * pairs : 2], strict=True))
    return [None] * (2 * pairs) + [said[key] - 1 - keys for key in tokens[2 * pairs :]]


def answer_parity(bits: list[int]) -> list[int | None]:
    odd, said = 0, []
    for bit in bits:
        odd ^= bit
        said.append(odd)
    return said


def answer_copy(tokens: list[int], lag: int, alphabet: int) -> list[int | None]:
    return [tokens[i - lag] - 1 if token == alphabet + 1 else None for i, token in enumerate(tokens)]


def with_none(targets: np.ndarray) -> list[int | None]:
    return [None if target == IGNORE else int(target) for target in targets]


def test_the_worked_example_of_recall() -> None:
    tokens, targets = example(recall)
    assert answer_recall(tokens, pairs=2, keys=4) == targets


def test_the_worked_example_of_parity() -> None:
    bits, targets = example(parity)
    assert answer_parity(bits) == targets


def test_the_worked_example_of_copy() -> None:
    tokens, targets = example(copying)
    assert answer_copy(tokens, lag=4, alphabet=8) == targets


def test_recall_draws_rows_of_the_kind_it_shows() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        tokens, targets = draw_recall(rng, length=20, pairs=3, keys=5, values=4)
        assert len(tokens) == 20 and len(set(tokens[0:6:2])) == 3
        assert set(tokens[0:6:2]) <= set(range(1, 6)) and set(tokens[1:6:2]) <= set(range(6, 10))
        assert with_none(targets) == answer_recall(tokens.tolist(), pairs=3, keys=5)


def test_parity_draws_rows_of_the_kind_it_shows() -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 30):
        tokens, targets = draw_parity(rng, length)
        assert set(tokens) <= {1, 2} and with_none(targets) == answer_parity((tokens - 1).tolist())


def test_copy_draws_rows_of_the_kind_it_shows() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        tokens, targets = draw_copy(rng, lag=5, symbols=3, alphabet=4)
        assert len(tokens) == 8 and set(tokens[:3]) <= {1, 2, 3, 4} and set(tokens[3:5]) == {0}
        assert with_none(targets) == answer_copy(tokens.tolist(), lag=5, alphabet=4)


@pytest.mark.parametrize("name", SMALL)
def test_rows_are_a_function_of_the_seed(name: str) -> None:
    first, again, other = built(name), built(name), built(name, seed=1)
    for split in SPLITS:
        rows = [[row.tolist() for row in task.splits[split].inputs] for task in (first, again, other)]
        assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(("name", "by_chance"), [("recall", 0), ("copy", 5)])
def test_test_rows_are_drawn_apart_from_train(name: str, by_chance: int) -> None:
    """Two draws of 8 symbols out of 8 agree with probability 6e-8, so among 1.5e7 pairs about one does."""
    task = FACTORIES[name](DataOptions())
    train = {row.tobytes() for row in task.splits["train"].inputs}
    met = sum(row.tobytes() in train for split in ("valid", "test") for row in task.splits[split].inputs)
    assert met <= by_chance


def test_parity_is_tested_at_multiples_of_the_trained_length_on_the_last_step() -> None:
    task = built("parity")
    assert task.splits["train"].lengths_N.max() == 10 and task.splits["train"].lengths_N.min() == 1
    test = task.splits["test"]
    assert sorted(set(test.lengths_N.tolist())) == [10 * factor for factor in PARITY_FACTORS]
    for tokens, targets in zip(test.inputs, test.targets, strict=True):
        assert with_none(targets)[:-1] == [None] * (len(tokens) - 1)
        assert targets[-1] == answer_parity((tokens - 1).tolist())[-1]
    assert task.spec.max_length == 80


def test_accuracy_of_parity_is_told_at_each_length() -> None:
    task = built("parity")
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=task.size("test"))))
    right = torch.nn.functional.one_hot(batch.targets.clamp(min=0), 2).float()
    right[batch.lengths_B == 20] = right[batch.lengths_B == 20].flip(-1)
    items = task.metrics(right, batch)
    scores = task.score(items)
    assert scores["accuracy"] == 0.75
    assert [scores[f"accuracy@{length}"] for length in (10, 20, 40, 80)] == [1.0, 0.0, 1.0, 1.0]
    assert [row["score"] for row in task.details(items)["by_length"]] == [1.0, 0.0, 1.0, 1.0]


def test_the_linear_baseline_copies_what_it_sees_and_cannot_count() -> None:
    near, counting = built("copy", lag=6, symbols=3), built("parity")
    assert {b.name: b.score for b in near.baselines("test")}["linear"] == 1.0
    by_name = {b.name: b for b in counting.baselines("test")}
    assert by_name["majority"].kind == "trivial" and by_name["linear"].kind == "strong"
    assert abs(by_name["linear"].score - 0.5) < 0.06
    assert by_name["linear"].summary.keys() >= {"accuracy@10", "accuracy@80"}


def test_the_linear_baseline_does_not_recall() -> None:
    task = built("recall", length=64, pairs=8)
    assert {b.name: b.score for b in task.baselines("valid")}["linear"] < 0.4


def test_settings_that_do_not_fit_are_cut_to_what_does() -> None:
    assert built("recall", length=12, pairs=8, keys=3).artifacts()["settings"]["pairs"] == 3
    assert built("recall", length=6, pairs=8).artifacts()["settings"]["pairs"] == 2
    assert built("copy", lag=2, symbols=8).artifacts()["settings"]["symbols"] == 2


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("recall", {"length": 3}, "length=3 is not a whole number from 4 up"),
        ("parity", {"longest": 1}, "longest=1 is not a whole number from 2 up"),
        ("copy", {"lagg": 4}, "did you mean 'lag'"),
    ],
)
def test_impossible_settings_are_refused(name: str, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(name, **settings)


def test_data_options_of_other_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="'parity' does not read --horizon"):
        parity(DataOptions(horizon=3))


@pytest.mark.parametrize("name", SMALL)
def test_artifacts_bring_the_task_back(name: str) -> None:
    task = built(name)
    back = restore(task.artifacts())
    assert back.spec == task.spec
    rows = zip(back.splits["test"].inputs, task.splits["test"].inputs, strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in rows)


def test_rows_written_as_numbers_are_read_and_anything_else_is_refused_in_a_sentence() -> None:
    task = parity(DataOptions())
    batch = task.encode(["2 1 2 2", "1"])
    assert batch.inputs.tolist() == [[2, 1, 2, 2], [1, 0, 0, 0]] and batch.lengths_B.tolist() == [4, 1]
    for text in ("one two", "3", "-1", ""):
        with pytest.raises(DataError, match="is no row of 'parity': give tokens from 0 to 2, separated by spaces"):
            task.encode([text])


def test_samples_and_predictions_are_for_people() -> None:
    task = built("recall")
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=4)))
    outputs = torch.nn.functional.one_hot(batch.targets.clamp(min=0), 16).float()
    samples = task.samples(outputs, batch, limit=2)
    assert len(samples) == 2 and samples[0]["target"] == samples[0]["prediction"]
    assert samples[0]["input"].split() == [str(token) for token in batch.inputs[0].tolist()]
    assert task.decode(outputs, batch)[0]["tokens"][8:] == batch.targets[0, 8:].tolist()
