from __future__ import annotations

import numpy as np
import pytest

from crossover.data.filterbank import FilterBank
from crossover.tasks.speech import strings as speech_strings
from crossover.tasks.speech.strings import GAPS, LONGEST, MOST_WORDS, DrawnStrings, Recordings, Voices, fixed_strings

RNG = np.random.default_rng(3)
BANK = FilterBank(8000, 16)


def recordings() -> Recordings:
    """Two voices, three words each, two recordings of a word."""
    keys = [(word, voice, number) for word in "abc" for voice in ("v", "w") for number in (0, 1)]
    words, voices, numbers = zip(*keys, strict=True)
    samples = tuple((0.1 * RNG.standard_normal(int(RNG.integers(900, 2500)))).astype(np.float32) for _ in keys)
    return Recordings(words, voices, numbers, samples)


VOICES = Voices(recordings(), BANK)


def drawn(count: int = 300) -> list[speech_strings.Said]:
    return [VOICES.draw(np.random.default_rng(seed)) for seed in range(count)]


def test_a_string_is_of_one_voice_and_of_one_to_six_words() -> None:
    lengths = set()
    for said in drawn():
        assert len({VOICES.recordings.voices[place] for place in said.recordings}) == 1
        assert len(said.gaps) == len(said.recordings) + 1
        assert all(GAPS[0] <= gap < GAPS[1] for gap in said.gaps)
        assert VOICES.count(said) <= LONGEST
        lengths.add(len(said.recordings))
    assert lengths == set(range(1, MOST_WORDS + 1))


def test_frames_put_together_are_those_of_the_sound_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, where the noise is the same in both: here there is none."""
    monkeypatch.setattr(Voices, "_noise", staticmethod(lambda size, deviation, rng: np.zeros(size, np.float32)))
    monkeypatch.setattr(speech_strings, "_floor", lambda samples: 1.0)
    silent = Voices(recordings(), BANK)
    for seed in range(5):
        said = silent.draw(np.random.default_rng(seed))
        joined_FM = BANK.frames(silent.samples(said, np.random.default_rng(0)))
        np.testing.assert_allclose(silent.frames(said), joined_FM, atol=1e-4)
        assert silent.count(said) == len(joined_FM)


def test_the_noise_between_words_is_as_loud_in_frames_as_in_sound() -> None:
    said = VOICES.draw(np.random.default_rng(8))
    joined_FM = BANK.frames(VOICES.samples(said, np.random.default_rng(0)))
    gap = said.gaps[0] - 2
    assert VOICES.frames(said)[:gap].mean() == pytest.approx(joined_FM[:gap].mean(), abs=0.3)


def test_strings_are_drawn_anew_in_every_epoch_and_alike_for_the_same() -> None:
    first, again, later = (DrawnStrings(VOICES, 40, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    assert first.texts == again.texts != later.texts
    np.testing.assert_array_equal(first[7], again[7])
    assert len(first[7]) == first.counts_N[7]


def test_fixed_strings_say_what_their_texts_say() -> None:
    frames, texts = fixed_strings(VOICES, 6, seed=4)
    assert len(frames) == len(texts) == 6
    assert texts == fixed_strings(VOICES, 6, seed=4)[1] != fixed_strings(VOICES, 6, seed=5)[1]
