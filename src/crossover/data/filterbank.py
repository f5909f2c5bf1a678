"""Log-mel filterbanks by kaldi-native-fbank, whole or in chunks, and what makes steps for a model of them.

Shape suffixes: N samples, F frames (one in 10 ms), M mel bands, T steps (several frames each), C channels of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossover.data.audio import require_packages
from crossover.errors import ConfigError, DataError

SHIFT_MS = 10
WINDOW_MS = 25
_LOWEST_HZ = 20.0
"""Where Kaldi's lowest band begins; the highest ends at half the rate."""


@dataclass(frozen=True)
class FilterBank:
    """Log energies in `mels` bands of windows of 25 ms, one in 10 ms; samples at `rate` in a second.

    A frame is given only when its window is full, so the frames of a sound do not change with what follows it.
    """

    rate: int = 8000
    mels: int = 40

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.rate * SHIFT_MS // 1000

    @property
    def window(self) -> int:
        """Samples of one frame."""
        return self.rate * WINDOW_MS // 1000

    def count(self, samples: int) -> int:
        """How many frames so many samples give."""
        return max(0, (samples - self.window) // self.hop + 1)

    def frames(self, samples_N: np.ndarray) -> np.ndarray:
        """Log-mel energies [F, M], float32."""
        return self.stream().accept(samples_N)

    def stream(self) -> FrameStream:
        """Frames of a sound that comes in chunks."""
        return FrameStream(self)

    def in_another_voice(self, frames_FM: np.ndarray, factor: float) -> np.ndarray:
        """Frames [F, M] as of a vocal tract `factor` times as short, by which (above 0) each frequency moves up.

        Bands take what lies between the two that they come from (Jaitly and Hinton 2013, "Vocal tract length
        perturbation improves speech recognition"); above the highest band nothing is known, so that it goes on.
        """
        lowest, highest = _mel(_LOWEST_HZ), _mel(self.rate / 2)
        spacing = (highest - lowest) / (self.mels + 1)
        centres_M = lowest + spacing * (1 + np.arange(self.mels))
        sources_M = (_mel(_hertz(centres_M) / factor) - lowest) / spacing - 1
        below_M = np.clip(np.floor(sources_M).astype(int), 0, self.mels - 2)
        share_M = np.clip(sources_M - below_M, 0.0, 1.0).astype(frames_FM.dtype)
        return frames_FM[:, below_M] * (1 - share_M) + frames_FM[:, below_M + 1] * share_M


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def _hertz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * np.expm1(mel / 1127.0)


class FrameStream:
    """The frames of one sound, as its chunks come; what a window needs of the past is kept, and no more."""

    def __init__(self, bank: FilterBank) -> None:
        require_packages()
        import kaldi_native_fbank

        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.samp_freq = bank.rate
        options.frame_opts.frame_shift_ms = SHIFT_MS
        options.frame_opts.frame_length_ms = WINDOW_MS
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = True
        options.mel_opts.num_bins = bank.mels
        self._bank = bank
        try:
            self._computer = kaldi_native_fbank.OnlineFbank(options)
        except ValueError:
            raise ConfigError(
                f"{bank.mels} mel bands are too many for windows of {WINDOW_MS} ms at {bank.rate} Hz: give fewer "
                "with --set task.mels=N"
            ) from None
        self._given = 0

    def accept(self, samples_N: np.ndarray) -> np.ndarray:
        """The frames [f, M] that these samples complete; f may be 0."""
        # Scaled to 16 bits, as Kaldi has it: quiet sounds then lie far above the least energy that it tells.
        self._computer.accept_waveform(self._bank.rate, (samples_N * 2.0**15).astype(np.float32))
        ready = self._computer.num_frames_ready
        frames_FM = np.zeros((ready - self._given, self._bank.mels), dtype=np.float32)
        for place in range(len(frames_FM)):
            frames_FM[place] = self._computer.get_frame(self._given + place)
        # A frame is a view of what the library holds, and what is popped it may write over.
        self._computer.pop(len(frames_FM))
        self._given = ready
        return frames_FM


@dataclass(frozen=True)
class Front:
    """From sound to a model's inputs: frames, z-scores by train's statistics, and `stack` frames to one step.

    Nothing in it looks ahead of a step's own window, and no statistic is of the sound itself, so a sound in chunks
    gives the steps of the whole. Frames that do not fill a last step are left out.
    """

    bank: FilterBank
    stack: int
    mean_M: np.ndarray
    deviation_M: np.ndarray

    @property
    def channels(self) -> int:
        """Values of one step."""
        return self.bank.mels * self.stack

    @property
    def step_seconds(self) -> float:
        """Seconds from one step to the next."""
        return self.stack * SHIFT_MS / 1000

    def steps(self, samples_N: np.ndarray, name: str) -> np.ndarray:
        """Inputs [T, C] of a whole sound; DataError where it is too short for one step."""
        self.check(samples_N, name)
        return self.stacked(self.normalised(self.bank.frames(samples_N)))

    def check(self, samples_N: np.ndarray, name: str) -> None:
        """DataError for a sound that is too short for one step."""
        if self.bank.count(len(samples_N)) < self.stack:
            shortest = SHIFT_MS * (self.stack - 1) + WINDOW_MS
            raise DataError(f"{name} is too short: give sounds of at least {shortest} ms")

    def normalised(self, frames_FM: np.ndarray) -> np.ndarray:
        """Frames as z-scores of train, float32."""
        return ((frames_FM - self.mean_M) / self.deviation_M).astype(np.float32)

    def stacked(self, frames_FM: np.ndarray) -> np.ndarray:
        """Frames [F, M] to steps [T, C]."""
        steps = len(frames_FM) // self.stack
        return frames_FM[: steps * self.stack].reshape(steps, self.channels)

    def stream(self) -> StepStream:
        """Steps of a sound that comes in chunks."""
        return StepStream(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values; see `front_from_json`."""
        return {
            "rate": self.bank.rate,
            "mels": self.bank.mels,
            "stack": self.stack,
            "mean": self.mean_M.tolist(),
            "deviation": self.deviation_M.tolist(),
        }


class StepStream:
    """The steps of one sound, as its chunks come."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._frames = front.bank.stream()
        self._rest_FM = np.zeros((0, front.bank.mels), dtype=np.float32)

    def accept(self, samples_N: np.ndarray) -> np.ndarray:
        """The steps [t, C] that these samples complete; t may be 0."""
        frames_FM = np.concatenate([self._rest_FM, self._front.normalised(self._frames.accept(samples_N))])
        steps_TC = self._front.stacked(frames_FM)
        self._rest_FM = frames_FM[len(steps_TC) * self._front.stack :]
        return steps_TC


def fitted_front(bank: FilterBank, stack: int, frames_FM: np.ndarray) -> Front:
    """The front whose z-scores are formed by the mean and deviation of these frames of train."""
    deviation_M = frames_FM.std(0, dtype=np.float64)
    return Front(bank, stack, frames_FM.mean(0, dtype=np.float64), np.where(deviation_M > 0, deviation_M, 1.0))


def front_from_json(value: Mapping[str, Any]) -> Front:
    """What `Front.to_json` gave; KeyError, TypeError or ValueError for anything else."""
    mean_M, deviation_M = (np.array(value[key], dtype=np.float64) for key in ("mean", "deviation"))
    bank = FilterBank(rate=int(value["rate"]), mels=int(value["mels"]))
    if mean_M.shape != (bank.mels,) or deviation_M.shape != (bank.mels,):
        raise ValueError(f"a mean and a deviation of each of {bank.mels} mel bands are needed")
    stack = int(value["stack"])
    if stack < 1 or bank.hop < 1 or not (deviation_M > 0).all():
        raise ValueError("frames of a step, samples of a shift and deviations are above 0")
    return Front(bank, stack, mean_M, deviation_M)
