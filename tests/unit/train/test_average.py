from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_task import TinyTask, tiny_model
from torch import Tensor

from crossover.measure.numerics import Numerics
from crossover.train.evaluate import evaluate
from crossover.train.loop import train
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
CONSTANT = TrainSettings(
    budget="4steps", optimizer="sgd", learning_rate=0.1, warmup=0.0, final_rate=1.0, evaluations=1
)
Weights = dict[str, Tensor]


def run(**changes: object) -> RunResult:
    return train(TinyTask(), tiny_model(dropout=0.0), replace(CONSTANT, **changes), numerics=NUMERICS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> list[Weights]:
    """The weights after 1, 2, 3 and 4 steps."""
    return [run(budget=f"{steps}steps").model.state_dict() for steps in range(1, 5)]


def test_the_weights_that_are_kept_are_the_moving_average_of_those_trained(trained: list[Weights]) -> None:
    decay = 0.75
    averaged = run(average=decay).model.state_dict()
    for name, value in averaged.items():
        expected = trained[0][name]
        for weights in trained[1:]:
            expected = decay * expected + (1 - decay) * weights[name]
        torch.testing.assert_close(value, expected)
    assert any(not torch.equal(value, trained[-1][name]) for name, value in averaged.items())


@pytest.mark.parametrize(
    ("evaluations", "last", "steps"),
    [(4, 3, [2, 3, 4]), (2, 2, [2, 4]), (4, 9, [1, 2, 3, 4])],
    ids=["the last of several", "validated ones alone", "no more than there are"],
)
def test_the_weights_that_are_kept_are_the_mean_of_those_last_validated(
    trained: list[Weights], evaluations: int, last: int, steps: list[int]
) -> None:
    result, plain = run(average=last, evaluations=evaluations), run(evaluations=evaluations)
    assert result.record.best_step == 4
    for name, value in result.model.state_dict().items():
        torch.testing.assert_close(value, torch.stack([trained[step - 1][name] for step in steps]).mean(0))
    scored = evaluate(result.model, TinyTask(), "valid", numerics=NUMERICS, batch_rows=16).scores
    assert result.record.curve[-1]["loss"] == pytest.approx(scored["loss"], rel=1e-6)
    assert result.record.curve[-1]["loss"] != plain.record.curve[-1]["loss"]
    assert result.record.losses == plain.record.losses, "training goes on with its own weights"
