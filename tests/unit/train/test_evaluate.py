from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_task import TinyTask, tiny_model

from crossover.errors import DataError
from crossover.inference.forward import batch_outputs
from crossover.measure.numerics import Numerics
from crossover.models.model import SequenceModel, build_model
from crossover.models.presets import parse_model
from crossover.tasks import TASKS, Task
from crossover.train.evaluate import evaluate

NUMERICS = Numerics.default()


def _model(task: Task, name: str = "lstm") -> SequenceModel:
    return build_model(tiny_model(name), task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=0)


def test_every_row_is_scored_once_and_in_order_whatever_the_batch() -> None:
    task = TinyTask()
    model = _model(task)
    results = [evaluate(model, task, "test", numerics=NUMERICS, batch_rows=rows) for rows in (1, 7, 500)]
    for result in results:
        assert len(result.items["loss"]) == 40
        np.testing.assert_allclose(result.items["loss"], results[0].items["loss"], rtol=1e-5)
        assert result.items["length"].tolist() == task.splits["test"].lengths_N.tolist()
        assert result.scores["accuracy"] == results[0].scores["accuracy"]
        assert [sample["input"] for sample in result.samples] == [sample["input"] for sample in results[0].samples]
        assert len(result.samples) == 5


def test_dropout_is_off_and_the_mode_is_given_back() -> None:
    task = TinyTask()
    model = build_model(tiny_model(dropout=0.9), task.spec.inputs, task.spec.outputs, causal=False, seed=0)
    for training in (True, False):
        model.train(training)
        first, again = (evaluate(model, task, "valid", numerics=NUMERICS).scores for _ in range(2))
        assert first == again and model.training is training


def test_an_empty_split_is_refused() -> None:
    task = TinyTask(train=0)
    with pytest.raises(DataError, match="the train split of tiny/sign is empty"):
        evaluate(_model(task), task, "train", numerics=NUMERICS)


def test_scores_under_bf16_stay_near_fp32() -> None:
    task = TinyTask()
    model = _model(task, "transformer")
    exact = evaluate(model, task, "test", numerics=NUMERICS).scores["loss"]
    rounded = evaluate(model, task, "test", numerics=replace(NUMERICS, precision="bf16")).scores["loss"]
    assert rounded == pytest.approx(exact, rel=0.02) and rounded != exact


def test_an_autoregressive_forecast_is_rolled_out_from_the_models_own_values() -> None:
    from crossover.data.options import DataOptions

    options = DataOptions(window=24, horizon=6, settings={"head": "autoregressive", "patch": 1})
    task = TASKS.get("forecasting/co2")(options)
    settings = parse_model("lstm[width=8,layers=1]")
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=0).eval()
    result = evaluate(model, task, "valid", numerics=NUMERICS)
    batch = next(task.batches("valid", seed=0, epoch=0, batch=4))
    with torch.inference_mode():
        inputs, rolled = batch.inputs, []
        while len(rolled) < 6:
            outputs, _ = batch_outputs(
                model, replace(batch, inputs=inputs, lengths_B=batch.lengths_B + len(rolled)), NUMERICS
            )
            rolled.append(outputs[:, -1:])
            inputs = torch.cat([inputs, rolled[-1]], dim=1)
    expected = task.metrics(torch.cat(rolled, dim=1), batch)["loss"]
    np.testing.assert_allclose(result.items["loss"][:4], expected, rtol=1e-4)
