from __future__ import annotations

import pytest

from crossover.measure.latency import measure_latency, sequence_latency, state_bytes, step_latency
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.ports import PerRow, PerStep, Tokens
from crossover.models.presets import parse_model

NUMERICS = Numerics()


def model(text, causal=True):
    outputs = PerStep(size=10) if causal else PerRow(size=3)
    return build_model(parse_model(text), Tokens(vocabulary=10), outputs, causal=causal, seed=0)


def test_a_hidden_state_stays_and_a_cache_grows():
    recurrent, attention = model("gru[layers=2,width=16]"), model("transformer[layers=2,width=16]")
    assert state_bytes(recurrent, 10, NUMERICS) == state_bytes(recurrent, 100, NUMERICS) == 2 * 16 * 4
    grown = state_bytes(attention, 110, NUMERICS) - state_bytes(attention, 10, NUMERICS)
    assert grown == 2 * 2 * 16 * 4 * 100
    assert state_bytes(recurrent, 10, NUMERICS, batch=3) == 3 * 2 * 16 * 4


def test_latency_has_a_median_and_a_tail_and_leaves_the_mode_alone():
    built = model("gru[layers=1,width=16]").train()
    figures = measure_latency(built, 12, NUMERICS, samples=20)
    for figure in figures.values():
        assert 0 < figure["p50"] <= figure["p99"] and figure["samples"] == 20
    assert built.training


def test_a_longer_sequence_takes_longer():
    built = model("lstm[layers=1,width=32]")
    assert (
        sequence_latency(built, 2000, NUMERICS, samples=5).p50 > sequence_latency(built, 2, NUMERICS, samples=5).p50
    )


@pytest.mark.parametrize("text", ["gru[layers=1,width=16]", "transformer[layers=1,width=16]"])
def test_an_encoder_has_no_steps(text):
    encoder = model(text, causal=False)
    assert step_latency(encoder, 12, NUMERICS) is None
    assert state_bytes(encoder, 12, NUMERICS) is None
    assert measure_latency(encoder, 12, NUMERICS, samples=3)["step"] is None


@pytest.mark.parametrize("time", [1, 12])
def test_no_position_is_asked_for_that_the_rows_do_not_have(time):
    learned = model(f"transformer[layers=1,width=16,positions=learned,max_length={time}]")
    assert measure_latency(learned, time, NUMERICS, samples=3)["step"]["p50"] > 0
