import numpy as np
import pytest

from crossover.tasks.language.masked_baselines import NeighbourModel, Places

A, B, C, MASK, EDGE = 0, 1, 2, 3, 4
TRAIN = [np.array([A, B, C]), np.array([A, B, C]), np.array([C, C])]


def places(*given: tuple[int, int, int, int]) -> Places:
    return Places(*np.array(given).T)


@pytest.fixture(scope="module")
def model():
    valid = places((A, MASK, C, B), (EDGE, MASK, B, A))
    return NeighbourModel(TRAIN, valid, spared_V=np.array([False, False, False, True]), mask=MASK)


def test_frequencies_are_counts_plus_one(model):
    losses, hits = model.frequencies(places((A, MASK, C, B), (A, MASK, C, C)))
    # C stands four times, A and B twice, the mask never: 5, 3, 3 and 1 of 12.
    assert losses == pytest.approx([-np.log(3 / 12), -np.log(5 / 12)])
    assert hits.tolist() == [0, 1]


def test_what_stood_between_the_same_neighbours_is_guessed(model):
    losses, hits = model.between(places((A, MASK, C, B), (EDGE, MASK, B, A), (B, MASK, EDGE, C)))
    assert hits.tolist() == [1, 1, 1]
    assert losses.max() < -np.log(0.5)


def test_a_unit_that_is_seen_is_weighed_against_a_draw(model):
    unseen, _ = model.between(places((A, MASK, C, B)))
    likely, _ = model.between(places((A, B, C, B)))
    unlikely, _ = model.between(places((A, A, C, B)))
    assert likely < unseen
    share = np.exp(-unseen)
    assert np.exp(-likely) == pytest.approx(share * (1 + 1 / 4) / (share + 1 / 4))
    assert np.exp(-unlikely) > 0.5


def test_neighbours_that_never_stood_together_leave_the_single_ones(model):
    losses, _ = model.between(places((B, MASK, B, C), (MASK, MASK, MASK, A)))
    assert np.isfinite(losses).all()
