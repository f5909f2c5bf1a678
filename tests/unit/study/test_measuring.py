from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossover.measure.numerics import Numerics
from crossover.models.presets import describe_model
from crossover.study.contest import Contest
from crossover.study.measuring import Measured, measure_contest, typical_shape
from crossover.train.settings import TrainSettings
from unit.train.tiny_task import TinyTask, tiny_model

TASK, LSTM, GPT = TinyTask(), tiny_model("lstm"), replace(tiny_model("gpt"), tie_embeddings=False)
SETTINGS = TrainSettings(batch=8)


def kept(*, memory: bool) -> Measured:
    return Measured({LSTM.name: {"description": describe_model(LSTM), "latency": None}}, 0.05, memory=memory)


def test_figures_are_kept_for_exactly_the_models_that_were_measured(tmp_path: Path) -> None:
    models = {LSTM.name: LSTM}
    assert Measured.load(tmp_path, models, memory=False) is None
    kept(memory=False).save(tmp_path)
    assert Measured.load(tmp_path, models, memory=False) == kept(memory=False)
    assert Measured.load(tmp_path, {LSTM.name: replace(LSTM, width=12)}, memory=False) is None
    assert Measured.load(tmp_path, {**models, GPT.name: GPT}, memory=False) is None


def test_figures_without_memory_are_none_where_memory_is_asked_for(tmp_path: Path) -> None:
    models = {LSTM.name: LSTM}
    kept(memory=False).save(tmp_path)
    assert Measured.load(tmp_path, models, memory=True) is None
    kept(memory=True).save(tmp_path)
    assert Measured.load(tmp_path, models, memory=True) == Measured.load(tmp_path, models, memory=False)


def test_the_typical_shape_is_that_of_a_training_batch() -> None:
    shape = typical_shape(TASK, LSTM, SETTINGS)
    assert shape.rows == 8 and 3 <= shape.time <= 12 and shape.tokens <= 8 * shape.time


def test_a_contest_is_measured_in_turn() -> None:
    models = {LSTM.name: LSTM, GPT.name: GPT}
    found = measure_contest(Contest(TASK, (LSTM, GPT)), models, SETTINGS, Numerics.default(), None)
    assert found.pair_difference >= 0 and not found.memory
    lstm, gpt = found.models[LSTM.name], found.models[GPT.name]
    for figures in (lstm, gpt):
        seconds = figures["step_seconds"]
        assert 0 < seconds["low"] <= seconds["value"] <= seconds["high"]
        tokens = typical_shape(TASK, LSTM, SETTINGS).tokens
        assert figures["tokens_per_second"]["value"] == pytest.approx(tokens / seconds["value"])
        assert 0 < figures["utilisation"] < 1 and figures["peak_bytes"] is None
        assert figures["flops_backward"] > figures["flops_forward"] > 0
    assert lstm["latency"]["step"] is None, "an encoder does not stream"
    assert gpt["latency"]["step"]["p99"] >= gpt["latency"]["step"]["p50"] > 0
