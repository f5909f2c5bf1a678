"""The suite over every embedded task; and that each check fails on a task that lacks its property."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks import TASKS
from crossover.testing import check_task
from crossover.testing.results import run_check
from crossover.testing.task_conformance import CHECKS

EMBEDDED = {
    "recall": {"length": 24, "pairs": 4},
    "parity": {},
    "copy": {},
    "classification/digits": {},
    "forecasting/co2": {},
    "forecasting/elnino": {},
    "forecasting/panel": {},
    "sentiment/headlines": {},
    "language-modeling/python-docs": {},
    "qa/stories": {},
    "masked-language-modeling/python-docs": {},
    "translation/phrases": {},
    "translation/names": {},
    "speech/tones": {},
    "video/moving-digits": {"clips": 60},
    "video/moving-digits-next": {"clips": 60},
    "video/moving-digits-qa": {"clips": 60},
}
"""Every task that needs no file, with settings that make its baselines quick where that takes some."""


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_task(name):
    task = TASKS.get(name)(DataOptions(settings=EMBEDDED[name]))
    assert not [result for result in check_task(task) if not result.passed]


@pytest.mark.parametrize("name", [name for name in TASKS.names() if name not in EMBEDDED])
def test_a_task_without_its_files_says_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises((DataError, ConfigError)):
        TASKS.get(name)(DataOptions())


def test_a_name_stands_for_the_task_with_its_own_data():
    assert all(result.passed for result in check_task("copy"))


@pytest.fixture(scope="module")
def sound():
    return TASKS.get("copy")(DataOptions(settings={"lag": 4}))


class Faulty:
    """A sound task with one fault."""

    def __init__(self, task, **faults):
        self.task = task
        self.faults = faults

    def __getattr__(self, name):
        return self.faults.get(name) or getattr(self.task, name)


def unshuffled(task):
    return lambda split, **given: task.batches(split, **{**given, "epoch": 0})


def random_rows(task):
    def batches(split, **given):
        return task.batches(split, **{**given, "seed": int(torch.randint(1_000_000, ()))})

    return batches


def without_last(task):
    def batches(split, **given):
        found = list(task.batches(split, **given))
        return iter(found if split == "train" else found[:-1])

    return batches


def unsharded(task):
    return lambda split, **given: task.batches(split, **{**given, "shard": (0, 1)})


def start_by_rows(task):
    return lambda split, **given: task.batches(split, **{**given, "start": given.get("start", 0) // 2})


def ignores_limit(task):
    return lambda split, **given: task.batches(split, **{**given, "batch": 4 * given["batch"]})


def mean_loss(task):
    return lambda outputs, batch, **given: task.loss(outputs, batch, **given) / max(batch.size, 1)


def loss_with_padding(task):
    """Counts every step, so that what a row is padded with matters."""
    return lambda outputs, batch, **given: outputs.square().sum() + outputs.shape[1] * batch.size


def constant_loss(task):
    return lambda outputs, batch, **given: 0 * outputs.sum()


def summed_items(task):
    return lambda outputs, batch: {k: v.sum(0) for k, v in task.metrics(outputs, batch).items()}


def no_metric(task):
    return lambda sums: {"loss": task.summarise(sums)["loss"]}


def only_trivial(task):
    return lambda split: [b for b in task.baselines(split) if b.kind == "trivial"]


def wrong_score(task):
    return lambda split: [replace(b, score=0.5 * b.score) for b in task.baselines(split)]


def first_row_only(task):
    return lambda outputs, batch: task.decode(outputs, batch)[:1]


def arrays(task):
    return lambda: {"vocabulary": np.arange(3)}


FAULTS = [
    ("batches", "batches", unshuffled, "the same order"),
    ("batches", "batches", random_rows, "different batches"),
    ("batches", "batches", without_last, "whole and in order"),
    ("shards", "batches", unsharded, "not the global batch"),
    ("start", "batches", start_by_rows, "third batch"),
    ("tokens", "batches", ignores_limit, "padded steps"),
    ("loss", "loss", mean_loss, "two halves together differs"),
    ("gradient", "loss", constant_loss, "gradient is zero"),
    ("metrics", "metrics", summed_items, "of shape"),
    ("metrics", "summarise", no_metric, "no accuracy"),
    ("baselines", "baselines", only_trivial, "give a trivial and a strong one"),
    ("baselines", "baselines", wrong_score, "its statistics give"),
    ("predictions", "decode", first_row_only, "decoded to 1 predictions"),
    ("artifacts", "artifacts", arrays, "TypeError"),
]


@pytest.mark.parametrize(("check", "method", "fault", "sentence"), FAULTS)
def test_a_fault_is_found_and_told(sound, check, method, fault, sentence):
    (suspected,) = [candidate for candidate in CHECKS if candidate.name == check]
    assert run_check(suspected, sound).passed
    result = run_check(suspected, Faulty(sound, **{method: fault(sound)}))
    assert not result.passed
    assert sentence in result.detail


def test_a_loss_that_sees_padding_is_found():
    task = TASKS.get("parity")(DataOptions(settings={"longest": 5}))
    (suspected,) = [candidate for candidate in CHECKS if candidate.name == "padding"]
    assert run_check(suspected, task).passed
    assert not run_check(suspected, Faulty(task, loss=loss_with_padding(task))).passed


def test_an_unknown_name_is_a_config_error():
    with pytest.raises(ConfigError, match="did you mean 'parity'"):
        check_task("pairty")
