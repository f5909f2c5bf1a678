"""Clips from files: arrays in an ``.npz`` file, or video files through a decoder.

A clip is an array [T, *frame]: frames of [H, W] grey values, [H, W, colours] or [V] numbers (joints, say).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossover.errors import DataError, listing

MOST_COLOURS = 4
_ARRAYS = ("clips", "lengths", "labels", "questions")


@dataclass(frozen=True)
class Clips:
    """Clips whose frames are of one shape; bytes stay bytes, other numbers are float32.

    `labels` and `questions` have one word or sentence a clip, None where the file has none.
    """

    rows: list[np.ndarray]
    labels: list[str] | None = None
    questions: list[str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> tuple[int, ...]:
        """Shape of a frame."""
        return self.rows[0].shape[1:]


def read_npz(path: Path) -> Clips:
    """The clips of an ``.npz`` file: ``clips`` [N, T, *frame], or all frames in a row with ``lengths`` [N].

    ``labels`` [N] and ``questions`` [N] may stand beside them. Nothing in the file is run. DataError, one sentence,
    for anything that is not of this form.
    """
    arrays = _load(path)
    rows = _rows(path, arrays["clips"], arrays.get("lengths"))
    check_frames(rows, path.name)
    labels, questions = (_words(path, name, arrays.get(name), len(rows)) for name in ("labels", "questions"))
    return Clips(rows, labels, questions)


def _load(path: Path) -> dict[str, np.ndarray]:
    """The arrays that are read, those that are there; DataError for another file."""
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise DataError(f"{path} is one array, no .npz file: write it with numpy.savez(clips=…, labels=…)")
        with opened:
            if "clips" not in opened.files:
                raise DataError(f"{path} holds {listing(opened.files)}, no array 'clips': give clips [N, T, H, W]")
            return {name: opened[name] for name in _ARRAYS if name in opened.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give an .npz file with clips [N, T, H, W]") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{path} holds Python objects, no arrays: for clips of unequal length give all frames in a row as "
                "clips, and lengths [N]; frames must be of one size"
            ) from error
        # Anything that is no archive numpy takes for Python objects.
        reason = (
            "it is no archive" if "allow_pickle" in str(error) else (str(error) or "it ends early").splitlines()[0]
        )
        raise DataError(f"{path} cannot be read as arrays ({reason}): give an .npz file that is whole") from error


def _rows(path: Path, frames: np.ndarray, lengths: np.ndarray | None) -> list[np.ndarray]:
    if frames.dtype.kind not in "uifb":
        raise DataError(f"'clips' of {path} is of type {frames.dtype}: give numbers")
    if frames.dtype != np.uint8:
        with np.errstate(over="ignore"):
            frames = frames.astype(np.float32)
        if not np.isfinite(frames).all():
            raise DataError(f"'clips' of {path} holds values that are not finite: repair them")
    if lengths is None:
        return list(frames) if frames.ndim > 2 else _no_clips(path, frames)
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 1).any() or lengths.sum() != len(frames):
        raise DataError(
            f"'lengths' of {path} are not the numbers of frames of its clips, which add up to {len(frames)}: give "
            "whole numbers from 1 up"
        )
    return np.split(frames, np.cumsum(lengths)[:-1])


def _no_clips(path: Path, frames: np.ndarray) -> list[np.ndarray]:
    raise DataError(f"'clips' of {path} has the shape {list(frames.shape)}: give clips [N, T, H, W]")


def check_frames(rows: Sequence[np.ndarray], where: str) -> None:
    """DataError for no clip, a clip without frames, or clips whose frames differ in shape."""
    if not rows:
        raise DataError(f"{where} holds no clip: give at least one")
    first = rows[0].shape[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) == 0 or 0 in row.shape:
            raise DataError(f"clip {number} of {where} holds no frame: leave it out")
        if row.shape[1:] != first:
            raise DataError(
                f"clip {number} of {where} has frames of {shown_frame(row.shape[1:])}, the first clip of "
                f"{shown_frame(first)}: give clips of one frame size"
            )
    if not 1 <= len(first) <= 3 or (len(first) == 3 and first[2] > MOST_COLOURS):
        raise DataError(
            f"the frames of {where} are {shown_frame(first)}: give frames of height x width, height x width x "
            f"colours (at most {MOST_COLOURS}), or one row of numbers"
        )


def shown_frame(shape: tuple[int, ...]) -> str:
    """A frame's shape for people: ``16 x 16``."""
    return " x ".join(map(str, shape)) or "one number"


def _words(path: Path, name: str, values: np.ndarray | None, count: int) -> list[str] | None:
    if values is None:
        return None
    if values.shape != (count,) or values.dtype.kind not in "iubU":
        raise DataError(
            f"{name!r} of {path} has the shape {list(values.shape)} and type {values.dtype} for {count} clips: give "
            "one word or whole number for each"
        )
    return [str(value) for value in values.tolist()]
