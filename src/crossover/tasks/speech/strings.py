"""Strings of spoken words, joined from recordings of one voice with noise between them.

The frames of a string are those of its recordings and of the noise, put side by side: recordings and gaps are whole
numbers of frame shifts, and each recording's frames are taken with noise around it. So strings are drawn anew in
every epoch without computing a filterbank. Strings that are scored are joined as sound (`Voices.samples`) instead.

Shape suffixes: N samples, F frames, M mel bands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crossover.data.filterbank import FilterBank

MOST_WORDS = 6
GAPS = (5, 31)
"""Noise before, between and after the words of a string: 50 to 300 ms, in frame shifts, the end exclusive."""
LONGEST = 600
"""Frame shifts of a string: a drawn word that does not fit in ends it."""

_NOISE_FRAMES = 2000


@dataclass(frozen=True)
class Recordings:
    """Spoken words: the word, the voice and the number of each recording, and its samples [N]."""

    words: tuple[str, ...]
    voices: tuple[str, ...]
    numbers: tuple[int, ...]
    samples: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.words)

    def take(self, rows: Sequence[int]) -> Recordings:
        """Some of them."""
        return Recordings(
            tuple(self.words[i] for i in rows),
            tuple(self.voices[i] for i in rows),
            tuple(self.numbers[i] for i in rows),
            tuple(self.samples[i] for i in rows),
        )


@dataclass(frozen=True)
class Said:
    """One string as drawn: recordings in order, the gaps around them in frame shifts, and where noise is read."""

    recordings: tuple[int, ...]
    gaps: tuple[int, ...]
    noise: tuple[int, ...]


class Voices:
    """Recordings by voice and word, from which strings are drawn, as sound or as frames.

    The noise of a voice is white, as loud as the quietest twentieth of its recordings.
    """

    def __init__(self, recordings: Recordings, bank: FilterBank) -> None:
        self.bank = bank
        self.recordings = recordings
        hop = bank.hop
        self._samples = [samples[: len(samples) // hop * hop] for samples in recordings.samples]
        self._hops = np.array([len(samples) // hop for samples in self._samples])
        places: dict[str, dict[str, list[int]]] = {}
        for place, (voice, word) in enumerate(zip(recordings.voices, recordings.words, strict=True)):
            places.setdefault(voice, {}).setdefault(word, []).append(place)
        self._places = [places[voice] for voice in sorted(places)]
        self._floors = {
            voice: _floor([self._samples[i] for w in places[voice].values() for i in w]) for voice in places
        }

    def draw(self, rng: np.random.Generator) -> Said:
        """A string of one voice: 1 to 6 words, equally likely, of any of its recordings."""
        words = self._places[int(rng.integers(len(self._places)))]
        chosen: list[int] = []
        total = GAPS[1]
        names = sorted(words)
        for _ in range(int(rng.integers(1, MOST_WORDS + 1))):
            places = words[names[int(rng.integers(len(names)))]]
            place = places[int(rng.integers(len(places)))]
            total += int(self._hops[place]) + GAPS[1]
            if chosen and total > LONGEST:
                break
            chosen.append(place)
        gaps = rng.integers(*GAPS, len(chosen) + 1)
        noise = rng.integers(_NOISE_FRAMES - GAPS[1], size=len(gaps))
        return Said(tuple(chosen), tuple(gaps.tolist()), tuple(noise.tolist()))

    def text(self, said: Said) -> str:
        """The words of a string."""
        return " ".join(self.recordings.words[i] for i in said.recordings)

    def count(self, said: Said) -> int:
        """Frames of a string."""
        return int(self._hops[list(said.recordings)].sum()) + sum(said.gaps) - 2

    def frames(self, said: Said) -> np.ndarray:
        """Frames [F, M] of a string, from those of its recordings and of noise."""
        level = 2 * np.log(self._floors[self.recordings.voices[said.recordings[0]]])
        parts = []
        for place, (gap, start) in enumerate(zip(said.gaps, said.noise, strict=True)):
            parts.append(self._noise_FM[start : start + gap - 2] + level)
            if place < len(said.recordings):
                parts.append(self._frames[said.recordings[place]])
        return np.concatenate(parts)

    def samples(self, said: Said, rng: np.random.Generator) -> np.ndarray:
        """The sound [N] of a string."""
        floor = self._floors[self.recordings.voices[said.recordings[0]]]
        parts = [self._noise(said.gaps[0] * self.bank.hop, floor, rng)]
        for recording, gap in zip(said.recordings, said.gaps[1:], strict=True):
            parts += [self._samples[recording], self._noise(gap * self.bank.hop, floor, rng)]
        return np.concatenate(parts)

    def recording_frames(self) -> Iterator[tuple[str, np.ndarray]]:
        """The word and the frames of each recording, noise around it."""
        yield from zip(self.recordings.words, self._frames, strict=True)

    @cached_property
    def _frames(self) -> list[np.ndarray]:
        """Frames of each recording that reach into it, two more than its frame shifts."""
        rng = np.random.default_rng(1)
        before, after = 2 * self.bank.hop, self.bank.window - self.bank.hop
        found = []
        for samples, voice in zip(self._samples, self.recordings.voices, strict=True):
            around = [self._noise(size, self._floors[voice], rng) for size in (before, after)]
            found.append(self.bank.frames(np.concatenate([around[0], samples, around[1]])))
        return found

    @cached_property
    def _noise_FM(self) -> np.ndarray:
        """Frames of white noise of deviation 1: another deviation adds twice its logarithm."""
        size = _NOISE_FRAMES * self.bank.hop + self.bank.window
        return self.bank.frames(self._noise(size, 1.0, np.random.default_rng(2)))

    @staticmethod
    def _noise(size: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
        return (deviation * rng.standard_normal(size)).astype(np.float32)


class DrawnStrings(Sequence[np.ndarray]):
    """So many strings of an epoch: all are drawn at once, and the frames of one when it is asked for."""

    def __init__(self, voices: Voices, size: int, *, seed: int, epoch: int) -> None:
        self.voices = voices
        self.said = [voices.draw(np.random.default_rng([seed, epoch, row])) for row in range(size)]
        self.counts_N = np.array([voices.count(said) for said in self.said])

    @property
    def texts(self) -> list[str]:
        """What each says."""
        return [self.voices.text(said) for said in self.said]

    def __len__(self) -> int:
        return len(self.said)

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        """Frames [F, M]."""
        return self.voices.frames(self.said[row])


def fixed_strings(voices: Voices, size: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Frames and texts of so many strings, joined as sound."""
    frames, texts = [], []
    for row in range(size):
        rng = np.random.default_rng([seed, row])
        said = voices.draw(rng)
        frames.append(voices.bank.frames(voices.samples(said, rng)))
        texts.append(voices.text(said))
    return frames, texts


def _floor(samples: Sequence[np.ndarray], window: int = 80) -> float:
    """Deviation of the quietest twentieth of the windows of some recordings; not below what 16 bits hold."""
    windows = [part for sound in samples for part in np.split(sound, range(window, len(sound), window))]
    loudness = [float(np.sqrt(np.square(part, dtype=np.float64).mean())) for part in windows if len(part)]
    return max(float(np.quantile(loudness, 0.05)), 2.0**-15)
