"""What each mixer says over each axis, operation by operation, as the layout's tables declare it."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

import pytest
import traffic_cases
from traffic_cases import BATCH, TIME, WIDTH

from crossover.models.mixers import MIXERS
from crossover.models.mixers.diagonal import DiagonalSettings
from crossover.planning.traffic import Passes, mixer_over_sequence, mixer_over_tensor

STEP = BATCH * WIDTH * 8
"""Bytes of one step of all rows in float64."""
WHOLE = TIME * STEP
RANKS = 2
OWN_STEP, OWN = STEP // RANKS, WHOLE // RANKS
"""Of a rank's share of the units; of its share of the steps."""

REDUCED = ("all-reduce", "tensor", 1, WHOLE)
SCATTERED = ("reduce-scatter", "tensor", TIME - 1, (TIME - 1) * STEP)
STEPWISE = [("all-gather", "tensor", TIME, TIME * OWN_STEP)], [REDUCED, SCATTERED]
SUMMED = [REDUCED], [REDUCED]
JOINED = ([("all-gather", "tensor", 1, OWN)], [REDUCED])
TENSOR = {
    "lstm": STEPWISE,
    "gru": STEPWISE,
    "elman": STEPWISE,
    "mingru": JOINED,
    "minlstm": JOINED,
    "attention": SUMMED,
    "window-attention": SUMMED,
    "xl-attention": SUMMED,
}
SUMMARY = 2 * BATCH * WIDTH * 8
EXCHANGED = [(operation, "sequence", 2, 2 * 2 * STEP) for operation in ("receive", "send")]
SEQUENCE = {
    "mingru": ([("all-gather", "sequence", 1, SUMMARY)], [("all-gather", "sequence", 1, SUMMARY)]),
    # Of the queries' halves of one step and of two, those of two change places, and so does what they find.
    "attention": (
        [("all-gather", "sequence", 1, 2 * OWN), *EXCHANGED],
        sorted([("reduce-scatter", "sequence", 1, 2 * WHOLE), *EXCHANGED]),
    ),
}


@pytest.mark.parametrize("mixer", TENSOR)
def test_over_tensor(mixer, on_ranks):
    for found in on_ranks(RANKS, traffic_cases.over_tensor, mixer):
        assert found == TENSOR[mixer]


@pytest.mark.parametrize("mixer", ["elman", "lstm", "gru"])
def test_two_directions_on_two_ranks_meet_once(mixer, on_ranks):
    for found in on_ranks(RANKS, traffic_cases.over_tensor, mixer, False):
        assert found == JOINED


@pytest.mark.parametrize("mixer", SEQUENCE)
def test_over_sequence(mixer, on_ranks):
    for found in on_ranks(RANKS, traffic_cases.over_sequence, mixer):
        assert found == SEQUENCE[mixer]


@pytest.mark.parametrize(("mixer", "parts"), [("lstm", 2), ("gru", 1)])
def test_a_dense_recurrence_hands_its_state_on_and_gets_the_gradient_back(mixer, parts, on_ranks):
    first, last = on_ranks(RANKS, traffic_cases.over_sequence, mixer)
    bytes_ = parts * STEP
    assert first == ([("send", "sequence", parts, bytes_)], [("receive", "sequence", parts, bytes_)])
    assert last == ([("receive", "sequence", parts, bytes_)], [("send", "sequence", parts, bytes_)])


def lines(passes: Passes) -> tuple[list, list]:
    """As `traffic_cases` gives what was sent."""
    forward, backward = (
        [tuple(asdict(sent).values()) for sent in sent] for sent in (passes.forward, passes.backward)
    )
    return forward, backward


def divided(mixer: str, causal: bool, ranks: int) -> bool:
    sizes = MIXERS.get(mixer)(width=WIDTH, causal=causal).sharding().divisible.values()
    return not any(size % ranks for size in sizes)


CASES = [case for case in product(MIXERS.names(), (True, False), (2, 4)) if divided(*case)]


def test_every_mixer_is_planned_over_two_ranks_and_every_causal_one_over_four():
    assert {(mixer, ranks) for mixer, causal, ranks in CASES if causal} == set(product(MIXERS.names(), (2, 4)))
    assert {mixer for mixer, causal, ranks in CASES if not causal and ranks == 2} == set(MIXERS.names())


@pytest.mark.parametrize(("mixer", "causal", "ranks"), CASES)
def test_the_planner_knows_what_every_mixer_says_over_tensor(mixer, causal, ranks, on_ranks):
    settings = MIXERS.get(mixer)(width=WIDTH, causal=causal)
    planned = lines(mixer_over_tensor(settings, rows=BATCH, time=TIME, ranks=ranks, element_bytes=8))
    for found in on_ranks(ranks, traffic_cases.over_tensor, mixer, causal):
        assert found == planned


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("mixer", MIXERS.names())
def test_the_planner_knows_what_every_mixer_says_over_sequence(mixer, ranks, on_ranks):
    settings = MIXERS.get(mixer)(width=WIDTH)
    for rank, found in enumerate(on_ranks(ranks, traffic_cases.over_sequence, mixer, 16)):
        told = {}
        if isinstance(settings, DiagonalSettings):
            told = {"iterations": (found[0][0][2] - 2) // 2}  # known only once it has run
            assert 1 <= told["iterations"] <= settings.iterations
        planned = mixer_over_sequence(settings, rows=BATCH, time=16, ranks=ranks, rank=rank, element_bytes=8, **told)
        assert found == lines(planned)


def test_ddp_is_seen_too(on_ranks):
    for found in on_ranks(RANKS, traffic_cases.over_data):
        (operation, axis, _, bytes_) = found[0]
        assert (operation, axis, bytes_) == ("all-reduce", "data", (WIDTH * WIDTH + WIDTH) * 8)
