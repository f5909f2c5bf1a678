"""Rows of frames for a task on sound: masked at random where they are trained on, stacked to steps, padded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from crossover.data.batching import pad
from crossover.data.filterbank import Front
from crossover.tasks.base import Batch
from crossover.tasks.options import Setting, Whole
from crossover.tasks.speech.ctc import padded_targets

AUGMENT: dict[str, Setting] = {
    "time_masks": Whole(2, 0),
    "time_width": Whole(20),
    "frequency_masks": Whole(2, 0),
    "frequency_width": Whole(8),
    "gain": Whole(10, 0),
    "voice": Whole(0, 0, 50),
}
"""Masks of at most so many frames or bands; loudness drawn within so many decibel up or down; and the length of the
vocal tract, within so many percent."""

_LARGEST_SHARE = 0.2
_DECIBEL = math.log(10) / 10


@dataclass(frozen=True, kw_only=True)
class Augment:
    """SpecAugment without warping (Park et al. 2019, arXiv 1904.08779, section 2), another loudness and voice.

    A time mask takes up to `time_width` frames, and at most a fifth of the row; a frequency mask up to
    `frequency_width` bands. What is masked has train's mean.
    """

    time_masks: int
    time_width: int
    frequency_masks: int
    frequency_width: int
    gain: int
    voice: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Augment:
        """From a task's settings."""
        return cls(**{name: settings[name] for name in AUGMENT})

    def apply(self, frames_FM: np.ndarray, front: Front, rng: np.random.Generator) -> np.ndarray:
        """Log-mel frames to z-scores [F, M] with masks drawn from `rng`."""
        frames, mels = frames_FM.shape
        if self.voice:
            factor = 1 + rng.uniform(-self.voice, self.voice) / 100
            frames_FM = front.bank.in_another_voice(frames_FM, factor)
        masked_FM = front.normalised(frames_FM + _DECIBEL * rng.uniform(-self.gain, self.gain))
        for _ in range(self.time_masks):
            first, last = _drawn_range(rng, frames, min(self.time_width, int(_LARGEST_SHARE * frames)))
            masked_FM[first:last] = 0.0
        for _ in range(self.frequency_masks):
            first, last = _drawn_range(rng, mels, min(self.frequency_width, mels))
            masked_FM[:, first:last] = 0.0
        return masked_FM


def _drawn_range(rng: np.random.Generator, size: int, widest: int) -> tuple[int, int]:
    width = int(rng.integers(widest + 1))
    first = int(rng.integers(size - width + 1))
    return first, first + width


@dataclass(frozen=True, kw_only=True)
class SpeechRows:
    """The rows of one split, or of one epoch of train.

    `frames` holds log-mel frames [F, M] of each row, `counts_N` how many (so that a row need not be made to be
    measured). `targets` is an array [N] of labels or a list of symbols, one array a row. `first` is where the
    objective finds the first row's transcript; below 0 it is what the target says. With `augment` a row is masked as
    (seed, epoch, row) says, with `drawn` = (seed, epoch).
    """

    front: Front
    frames: Sequence[np.ndarray]
    counts_N: np.ndarray
    targets: np.ndarray | Sequence[np.ndarray]
    first: int = -1
    augment: Augment | None = None
    drawn: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.counts_N)

    @property
    def lengths_N(self) -> np.ndarray:
        """Steps of each row."""
        return self.counts_N // self.front.stack

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows."""
        inputs, lengths_B = pad([self._steps(int(row)) for row in rows_B], channels=self.front.channels)
        if isinstance(self.targets, np.ndarray):
            targets = torch.from_numpy(self.targets[rows_B])
        else:
            targets = padded_targets([self.targets[row] for row in rows_B])
        rows = torch.from_numpy(np.asarray(rows_B, dtype=np.int64))
        places = rows + self.first if self.first >= 0 else torch.full_like(rows, -1)
        return Batch(inputs=inputs, lengths_B=lengths_B, targets=targets, rows_B=rows, extra={"text": places})

    def _steps(self, row: int) -> np.ndarray:
        frames_FM = self.frames[row]
        if self.augment is None:
            return self.front.stacked(self.front.normalised(frames_FM))
        rng = np.random.default_rng([*self.drawn, row, 1])
        return self.front.stacked(self.augment.apply(frames_FM, self.front, rng))
