from __future__ import annotations

import numpy as np
import pytest

from crossover.data.filterbank import FilterBank, fitted_front
from crossover.tasks.speech.rows import Augment, SpeechRows

FRAMES = np.random.default_rng(0).normal(3.0, 2.0, (4, 60, 12)).astype(np.float32)
FRONT = fitted_front(FilterBank(8000, 12), 3, FRAMES.reshape(-1, 12))
MASKED = Augment(time_masks=2, time_width=30, frequency_masks=1, frequency_width=4, gain=0)


def rows(augment: Augment | None, drawn: tuple[int, int] = (0, 0)) -> SpeechRows:
    return SpeechRows(
        front=FRONT,
        frames=list(FRAMES),
        counts_N=np.array([60, 60, 60, 60]),
        targets=np.arange(4),
        augment=augment,
        drawn=drawn,
    )


def test_rows_without_masks_are_z_scores_stacked() -> None:
    batch = rows(None).gather(np.array([2, 0]))
    np.testing.assert_array_equal(batch.inputs[0], FRONT.stacked(FRONT.normalised(FRAMES[2])))
    assert batch.targets.tolist() == [2, 0]


def test_masks_are_of_at_most_the_given_width_and_a_fifth_of_the_row() -> None:
    seen = []
    for seed in range(40):
        masked_FM = MASKED.apply(FRAMES[0], FRONT, np.random.default_rng(seed))
        whole_F, whole_M = (masked_FM == 0).all(1), (masked_FM == 0).all(0)
        seen.append((whole_F.sum(), whole_M.sum()))
        kept = ~(whole_F[:, None] | whole_M[None])
        np.testing.assert_array_equal(masked_FM[kept], FRONT.normalised(FRAMES[0])[kept])
    time, frequency = zip(*seen, strict=True)
    assert max(time) <= 2 * 12 and max(frequency) <= 4
    assert max(time) > 12 and max(frequency) == 4 and min(time) < 6


def test_masks_are_pure_in_seed_epoch_and_row() -> None:
    chosen = np.array([0, 1, 2, 3])
    first, again = (rows(MASKED, (5, 1)).gather(chosen).inputs for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(rows(MASKED, (5, 1)).gather(chosen[2:]).inputs, first[2:])
    for other in ((5, 2), (6, 1)):
        assert not np.array_equal(rows(MASKED, other).gather(chosen).inputs, first)
    same = SpeechRows(
        front=FRONT,
        frames=[FRAMES[0]] * 2,
        counts_N=np.array([60, 60]),
        targets=np.arange(2),
        augment=MASKED,
    )
    assert not np.array_equal(*same.gather(np.array([0, 1])).inputs)


def test_gain_moves_all_bands_alike_and_within_its_bounds() -> None:
    louder = Augment(time_masks=0, time_width=1, frequency_masks=0, frequency_width=1, gain=6)
    moves = []
    for seed in range(30):
        moved_FM = (louder.apply(FRAMES[0], FRONT, np.random.default_rng(seed)) - FRONT.normalised(FRAMES[0])) * (
            FRONT.deviation_M
        )
        assert np.ptp(moved_FM) < 1e-4
        moves.append(10 / np.log(10) * float(moved_FM.mean()))
    assert -6 <= min(moves) < -3 and 3 < max(moves) <= 6


def test_voices_are_drawn_within_their_bounds_and_change_nothing_else() -> None:
    other = Augment(time_masks=0, time_width=1, frequency_masks=0, frequency_width=1, gain=0, voice=10)
    bank, seen = FRONT.bank, []
    for seed in range(30):
        factor = 1 + np.random.default_rng(seed).uniform(-10, 10) / 100
        expected = FRONT.normalised(bank.in_another_voice(FRAMES[0], factor))
        np.testing.assert_allclose(other.apply(FRAMES[0], FRONT, np.random.default_rng(seed)), expected, rtol=1e-6)
        seen.append(factor)
    assert 0.9 <= min(seen) < 0.93 and 1.07 < max(seen) <= 1.1


def test_an_empty_slice_of_a_batch_has_the_channels_of_the_others() -> None:
    empty = rows(None).gather(np.array([], dtype=np.int64))
    assert empty.inputs.shape[2] == FRONT.channels and empty.size == 0


@pytest.mark.parametrize("first", [-1, 7])
def test_a_row_knows_where_its_transcript_stands(first: int) -> None:
    numbered = SpeechRows(
        front=FRONT, frames=list(FRAMES), counts_N=np.full(4, 60), targets=np.arange(4), first=first
    )
    assert numbered.gather(np.array([1, 3])).extra["text"].tolist() == ([-1, -1] if first < 0 else [8, 10])
