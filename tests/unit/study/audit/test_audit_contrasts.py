"""Buckets, trends and gains, on outcomes whose scores are chosen row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from crossover.study.audit.experiments.contrasts import Contrast, by_bucket, decided, gain, margin_of, trend
from crossover.study.outcome import Outcome
from crossover.study.verdict import verdicts
from crossover.tasks.base import Sums
from crossover.tasks.objectives import classification_items
from unit.study.tiny_study import outcome
from unit.train.tiny_task import TinyTask, tiny_model

LSTM, GRU = tiny_model("lstm").name, tiny_model("gru").name
LENGTHS = (5, 15, 25)


def rows(rates: Mapping[int, float], seed: int, each: int = 80) -> Sums:
    """Test rows, `each` of each length, right with the rate of their length."""
    rng = np.random.default_rng(seed)
    lengths = np.repeat(LENGTHS, each)
    right = np.concatenate([rng.permutation(each) < round(rates[length] * each) for length in LENGTHS])
    return classification_items(np.zeros(len(lengths), int), (~right).astype(int), 2, lengths=lengths)


def made(lstm: tuple[float, ...], gru: tuple[float, ...], seeds: int = 3, start: int = 0) -> Outcome:
    """An outcome with these rates, one for each length."""
    held = outcome({"lstm": (0.5,) * seeds, "gru": (0.5,) * seeds})
    rates = {LSTM: dict(zip(LENGTHS, lstm, strict=True)), GRU: dict(zip(LENGTHS, gru, strict=True))}
    attempts = {
        name: [replace(a, items=rows(rates[name], start + 10 * a.seed + len(name))) for a in held.attempts[name]]
        for name in rates
    }
    return replace(held, attempts=attempts)


def accuracy(held: Outcome, model: str) -> float:
    score = held.score(model)
    assert score is not None
    return score.value


def test_a_bucket_scores_its_rows_alone_and_those_of_few_rows_are_left_out() -> None:
    held = made((0.9, 0.5, 0.25), (0.5, 0.5, 0.5))
    buckets = by_bucket(held, "length", (1, 10, 20))
    assert list(buckets) == [(1, 10), (10, 20), (20, inf)]
    assert [accuracy(bucket, LSTM) for bucket in buckets.values()] == pytest.approx([0.9, 0.5, 0.25])
    told = [entry["verdict"] for entry in verdicts(list(buckets.values())) if entry["metric"] == "accuracy"]
    assert told == ["a", "undecided", "b"]
    with pytest.raises(KeyError, match="words"):
        by_bucket(held, "words", (10,))


@pytest.mark.parametrize(
    ("lstm", "slope", "certain"),
    [((0.5, 0.7, 0.9), 0.2, True), ((0.9, 0.7, 0.5), -0.2, True), ((0.6,) * 3, 0, False)],
)
def test_a_trend_is_how_much_a_lead_grows_from_bucket_to_bucket(
    lstm: tuple[float, ...], slope: float, certain: bool
) -> None:
    buckets = list(by_bucket(made(lstm, (0.5, 0.5, 0.5)), "length", (10, 20)).values())
    ((_, decision),) = decided([Contrast("one", trend(buckets), LSTM, GRU)])
    assert decision.corrected.value == pytest.approx(slope) and decision.corrected.excludes(0.0) == certain


def test_gains_are_taken_row_by_row_and_compared_between_models() -> None:
    with_it, without = made((0.9, 0.9, 0.9), (0.6, 0.6, 0.6)), made((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), start=7)
    parts = gain(with_it, without)
    contrasts = [Contrast("one", parts, LSTM), Contrast("one", parts, GRU), Contrast("one", parts, LSTM, GRU)]
    found = [decision for _contrast, decision in decided(contrasts)]
    assert [decision.corrected.value for decision in found] == pytest.approx([0.4, 0.1, 0.3])
    assert all(decision.corrected.low < decision.corrected.value < decision.corrected.high for decision in found)
    assert found[0].verdict == "a" and margin_of(with_it) == 0.015
    same = decided([Contrast("one", gain(with_it, with_it), LSTM, GRU)])[0][1]
    assert same.corrected.low == same.corrected.high == 0


def test_less_is_a_gain_where_less_is_better() -> None:
    held = made((0.9, 0.9, 0.9), (0.6, 0.6, 0.6))
    turned = replace(held, contest=replace(held.contest, task=TinyTask(higher_is_better=False)))
    assert [weight for weight, _outcome in gain(turned, turned)] == [-1, 1]
    assert trend([turned, turned])[0][0] > 0 > trend([held, held])[0][0]


def test_only_seeds_that_all_finished_are_paired_and_without_any_there_is_no_contrast() -> None:
    with_it, without = made((0.9,) * 3, (0.6,) * 3), made((0.5,) * 3, (0.5,) * 3)
    fewer = replace(without, attempts={**without.attempts, GRU: without.attempts[GRU][2:]})
    none = replace(without, attempts={**without.attempts, GRU: []})
    other = replace(
        without,
        attempts={
            name: [replace(a, items=rows(dict.fromkeys(LENGTHS, 0.5), a.seed, each=30)) for a in found]
            for name, found in without.attempts.items()
        },
    )
    (single,) = decided([Contrast("one", gain(with_it, fewer), LSTM, GRU)])
    assert single[1].corrected.value == pytest.approx(0.3)
    assert decided([Contrast("one", gain(with_it, case), LSTM, GRU) for case in (none, other)]) == []
