"""Audio files to samples: WAV and FLAC by `soundfile`, mixed down to one channel, at the rate that is asked for.

`soundfile` and `kaldi-native-fbank` are optional packages: `require_packages` says in one sentence what to install.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import gcd
from pathlib import Path

import numpy as np

from crossover.errors import DataError

SUFFIXES = (".wav", ".flac")
_PACKAGES = ("soundfile", "kaldi_native_fbank")
_FASTEST = 1_000_000
_LOUDEST = 2.0**31
"""Samples a second, and the largest value of the widest integers: a file that says more is damaged."""


def require_packages() -> None:
    """Raise the DataError that names the packages for speech where one of them is missing."""
    if any(find_spec(package) is None for package in _PACKAGES):
        raise DataError("speech needs two more packages: pip install soundfile kaldi-native-fbank")


@dataclass(frozen=True)
class Recording:
    """One file's sound: `samples` float32 [N] in -1 to 1, one channel; the rate and channels that the file has."""

    samples: np.ndarray
    rate: int
    channels: int = 1

    def at(self, rate: int) -> np.ndarray:
        """The samples at `rate` per second (polyphase filtering, `scipy.signal.resample_poly`)."""
        if rate == self.rate:
            return self.samples
        from scipy.signal import resample_poly

        shared = gcd(rate, self.rate)
        return resample_poly(self.samples, rate // shared, self.rate // shared).astype(np.float32)


def read_recording(source: Path | bytes, name: str) -> Recording:
    """The sound in a WAV or FLAC file, or in its bytes; `name` is what a message calls it.

    Raises DataError where a package or the file is missing, and where it is no audio, damaged, empty, of a rate that
    no sound has, or holds values that are not finite or beyond all measure.
    """
    require_packages()
    import soundfile

    try:
        content = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
        samples_NC, rate = soundfile.read(content, dtype="float32", always_2d=True)
    except FileNotFoundError:
        raise DataError(f"{name} does not exist: give a WAV or FLAC file") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise DataError(f"{name} cannot be read as audio ({reason}): give a WAV or FLAC file that is whole") from None
    if len(samples_NC) == 0:
        raise DataError(f"{name} holds no sound: leave it out, or give a WAV or FLAC file with samples")
    if rate > _FASTEST:
        raise DataError(f"{name} says that it has {rate} Hz: save it again with its true rate, or leave it out")
    if not (np.abs(samples_NC) <= _LOUDEST).all():
        raise DataError(f"{name} holds values that are not finite, or no sound's: save it again, or leave it out")
    return Recording(samples_NC.mean(1), int(rate), samples_NC.shape[1])


def read_at(paths: Sequence[Path], rate: int) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The samples of each file at `rate`, and a note each on how many were mixed down and how many resampled."""
    recordings = [read_recording(path, str(path)) for path in paths]
    notes = []
    if mixed := sum(recording.channels > 1 for recording in recordings):
        notes.append(f"{mixed} of {len(paths)} files have several channels, which are mixed down to one.")
    if other := sum(recording.rate != rate for recording in recordings):
        notes.append(f"{other} of {len(paths)} files have another rate and are resampled to {rate} Hz.")
    return [recording.at(rate) for recording in recordings], tuple(notes)


def audio_files(folder: Path) -> list[Path]:
    """The WAV and FLAC files in a folder and below it, sorted; DataError where there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give a folder of WAV or FLAC files")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{folder} holds no WAV or FLAC file: give a folder of them")
    return found
