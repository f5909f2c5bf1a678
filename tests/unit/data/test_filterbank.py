from __future__ import annotations

import json

import numpy as np
import pytest

from crossover.data.filterbank import FilterBank, fitted_front, front_from_json
from crossover.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
SOUND = (0.1 * RNG.standard_normal(9_999)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050])
@pytest.mark.parametrize("size", [0, 199, 200, 551, 552, 4_000])
def test_the_number_of_frames_is_known_before_they_are_made(rate: int, size: int) -> None:
    bank = FilterBank(rate, 20)
    frames_FM = bank.frames(SOUND[:size])
    assert frames_FM.shape == (bank.count(size), 20)
    assert np.isfinite(frames_FM).all()


def test_a_tone_is_loudest_in_the_band_of_its_frequency() -> None:
    bank = FilterBank(8000, 40)
    time = np.arange(4000) / 8000
    low, high = (bank.frames(np.sin(2 * np.pi * f * time)).mean(0).argmax() for f in (300, 2000))
    assert low < 10 < 25 < high


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.1, 1.25])
def test_another_voice_moves_every_frequency_by_its_factor(factor: float) -> None:
    bank, seconds = FilterBank(8000, 40), np.arange(8000) / 8000
    for hertz in (500.0, 1000.0, 2000.0):
        own, moved = (
            bank.frames(np.sin(2 * np.pi * f * seconds).astype(np.float32)) for f in (hertz, hertz * factor)
        )
        voiced = bank.in_another_voice(own, factor)
        assert abs(int(voiced.mean(0).argmax()) - int(moved.mean(0).argmax())) <= 1
        if factor == 1.0:
            np.testing.assert_allclose(voiced, own, rtol=1e-5)


def test_another_loudness_adds_a_constant() -> None:
    bank = FilterBank(8000, 40)
    np.testing.assert_allclose(bank.frames(SOUND / 10), bank.frames(SOUND) - 2 * np.log(10), atol=1e-3)


@pytest.mark.parametrize("size", [1, 79, 80, 81, 200, 1000])
def test_chunks_of_any_size_give_the_steps_of_the_whole(size: int) -> None:
    bank = FilterBank(8000, 23)
    front = fitted_front(bank, 3, bank.frames(SOUND))
    stream = front.stream()
    parts = [stream.accept(SOUND[start : start + size]) for start in range(0, len(SOUND), size)]
    np.testing.assert_array_equal(np.concatenate(parts), front.steps(SOUND, "sound"))


def test_steps_are_z_scores_of_train_several_frames_each() -> None:
    bank = FilterBank(8000, 23)
    front = fitted_front(bank, 3, bank.frames(SOUND))
    steps_TC = front.steps(SOUND, "sound")
    assert steps_TC.shape == (bank.count(len(SOUND)) // 3, 69) == (len(steps_TC), front.channels)
    np.testing.assert_allclose(steps_TC.reshape(-1, 23).mean(0), 0, atol=0.05)
    np.testing.assert_array_equal(steps_TC[1, 23:46], front.normalised(bank.frames(SOUND))[4])


def test_a_sound_shorter_than_a_step_is_refused() -> None:
    front = fitted_front(FilterBank(8000, 4), 3, np.ones((5, 4)))
    with pytest.raises(DataError, match="click is too short: give sounds of at least 45 ms"):
        front.steps(SOUND[:359], "click")
    assert len(front.steps(SOUND[:360], "click")) == 1


def test_more_bands_than_a_window_can_tell_apart_are_refused() -> None:
    with pytest.raises(ConfigError, match="300 mel bands are too many for windows of 25 ms at 8000 Hz"):
        FilterBank(8000, 300).frames(SOUND)


def test_a_front_comes_back_from_json() -> None:
    front = fitted_front(FilterBank(8000, 5), 2, RNG.standard_normal((50, 5)))
    again = front_from_json(json.loads(json.dumps(front.to_json())))
    np.testing.assert_array_equal(again.steps(SOUND, "sound"), front.steps(SOUND, "sound"))
    with pytest.raises(ValueError, match="each of 5 mel bands"):
        front_from_json({**front.to_json(), "mean": [0.0]})
    for damage in ({"stack": 0}, {"rate": 0}, {"deviation": [0.0] * 5}, {"deviation": [float("nan")] * 5}):
        with pytest.raises(ValueError, match="are above 0"):
            front_from_json({**front.to_json(), **damage})
