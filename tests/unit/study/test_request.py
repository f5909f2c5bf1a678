from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.parallel.layout import Layout
from crossover.study.request import DEFAULT_TASKS, CompareRequest
from crossover.tasks import TASKS
from crossover.train.settings import TrainSettings

REQUEST = CompareRequest(tasks=("parity",), data=DataOptions(train=Path("a.csv")))


def test_the_default_is_the_embedded_comparison() -> None:
    assert CompareRequest().tasks == DEFAULT_TASKS and set(DEFAULT_TASKS) <= set(TASKS.names())
    assert CompareRequest().models == ("lstm", "transformer") and CompareRequest().seeds == 5


def test_a_request_is_plain_json() -> None:
    values = json.loads(json.dumps(REQUEST.to_json()))
    assert values["tasks"] == ["parity"] and values["data"]["train"] == "a.csv" and values["layout"] == "single"


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": ("recall",)},
        {"models": ("gru",)},
        {"data": DataOptions(train=Path("b.csv"))},
        {"train": TrainSettings(budget="5steps")},
        {"match": "flops"},
        {"layout": Layout(data=2)},
        {"resplit": True},
        {"precision": "fp32"},
        {"model_changes": {"dropout": 0.2}},
    ],
    ids=str,
)
def test_what_would_change_finished_runs_is_part_of_the_identity(change: dict) -> None:
    assert replace(REQUEST, **change).identity() != REQUEST.identity()


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": 9},
        {"train": TrainSettings(seed=4)},
        {"trials": 3},
        {"max_latency": 0.1},
        {"max_memory": 1e9},
        {"time_limit": 60.0},
        {"memory": False},
        {"command": "crossover compare"},
    ],
    ids=str,
)
def test_what_adds_runs_or_moves_the_recommendation_is_not(change: dict) -> None:
    assert replace(REQUEST, **change).identity() == REQUEST.identity()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "--seeds is 0: give 1 or more"),
        ({"trials": -1}, "--trials is -1"),
        ({"max_latency": 0.0}, "--max-latency is 0.0: give a positive amount"),
        ({"max_memory": -1.0}, "--max-memory"),
        ({"time_limit": float("nan")}, "--time-limit"),
        ({"match": "size"}, "--match is 'size': use params, flops, step or none"),
        ({"tasks": ()}, "no task to compare"),
        ({"models": ()}, "no model to compare"),
        ({"models": ("lstm", "gru", "lstm")}, "model 'lstm' is given twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(REQUEST, **change)
