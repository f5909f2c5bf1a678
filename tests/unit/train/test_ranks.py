"""What a rank that follows does between the runs of a study."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_task import TinyTask, tiny_model

from crossover.data.options import DataOptions
from crossover.measure.numerics import Numerics
from crossover.parallel.layout import Layout
from crossover.train import ranks
from crossover.train.settings import TrainSettings


def test_runs_in_a_row_have_the_task_read_once_and_another_split_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Tasks:
        @staticmethod
        def get(name: str) -> object:
            return lambda data: read.append((name, data.split_seed)) or TinyTask()

    monkeypatch.setattr(ranks, "TASKS", Tasks)
    monkeypatch.setattr(ranks, "_READ", [])
    order = ranks.Order(
        task="tiny", data=DataOptions(), model=tiny_model(), settings=TrainSettings(), numerics=Numerics.default(),
        folder=None, resume=False, layout=Layout(data=2),
    )  # fmt: skip
    first = ranks._read(order)
    assert ranks._read(replace(order, settings=TrainSettings(seed=1))) is first
    assert ranks._read(replace(order, data=DataOptions(split_seed=5))) is not first
    assert read == [("tiny", 0), ("tiny", 5)]
