"""Every registered mixer over ranks is the function that it is on one device, in every output and gradient."""

from __future__ import annotations

import mixer_cases
import pytest
from mixer_cases import Case

from crossover.models.mixers import MIXERS

EXACT = 1e-9


def on_two_or_four(cases: list[Case]) -> list[tuple[int, Case]]:
    """All on two ranks; on four those with ragged rows that go on from a state, both ways, and of which nothing is
    kept."""
    four = [case for case in cases if (case.ragged and case.from_state) or not case.causal]
    four += [case for case in cases if (case.ring or case.forgets) and case not in four]
    return [(2, case) for case in cases] + [(4, case) for case in four]


TENSOR = on_two_or_four(mixer_cases.cases(causal_only=False))
SEQUENCE = on_two_or_four(mixer_cases.cases(causal_only=True))


@pytest.mark.parametrize(("ranks", "case"), TENSOR, ids=str)
def test_a_share_of_a_mixer_gives_what_the_whole_one_gives(ranks, case, on_ranks):
    for rank, distances in enumerate(on_ranks(ranks, mixer_cases.over_tensor, case)):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"


@pytest.mark.parametrize(("ranks", "case"), SEQUENCE, ids=str)
def test_stretches_of_time_give_what_the_whole_row_gives(ranks, case, on_ranks):
    for rank, distances in enumerate(on_ranks(ranks, mixer_cases.over_sequence, case)):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"


def test_no_mixer_is_left_out():
    for cases in (TENSOR, SEQUENCE):
        assert {case.mixer for ranks, case in cases if ranks == 2} == set(MIXERS.names())
        assert {case.mixer for ranks, case in cases if ranks == 4} == set(MIXERS.names())
    assert (len(TENSOR), len(SEQUENCE)) == (144, 103)
