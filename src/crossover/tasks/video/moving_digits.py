"""Moving digits: clips of two digits that move over a dark frame, each clip a pure function of (seed, split, row).

After Srivastava, Mansimov and Salakhutdinov 2015, "Unsupervised learning of video representations using LSTMs"
(moving MNIST); overlapping digits keep the brighter pixel. Shape suffixes: N clips, D digits of a clip, T frames,
H and W rows and columns of a frame, P its pixels, h and w rows and columns of a digit.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.splits import random_split
from crossover.errors import DataError
from crossover.tasks.base import Split
from crossover.tasks.options import Choice, Setting, Whole

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
DIGITS_PER_CLIP = 2
CLIPS = {"valid": 500, "test": 1000}
"""At most, per split."""
SHARES = (0.6, 0.15, 0.25)
"""Of the digits, per split: those of test clips stand in no train clip."""
SETTINGS: dict[str, Setting] = {
    "source": Choice(("embedded", "mnist"), "embedded"),
    "size": Whole(0, minimum=0),
    "clips": Whole(12_000, minimum=10),
}
"""`size` is the side of a frame (0: twice that of a digit), `clips` the number of train clips; of valid
and test there are no more than that."""
_IDX_MARKS = {1: 2049, 3: 2051}
DIRECTIONS = ("up", "down", "left", "right")
STEPS_D2 = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
"""Rows and columns that a direction goes in a step."""


@dataclass(frozen=True)
class DigitImages:
    """Digits to draw from: `pixels_NHW` uint8, brightest 255, and what each one is."""

    pixels_NHW: np.ndarray
    labels_N: np.ndarray

    @property
    def side(self) -> int:
        """Rows, and columns, of a digit."""
        return self.pixels_NHW.shape[1]

    def take(self, chosen_N: np.ndarray) -> DigitImages:
        """Some of them."""
        return DigitImages(self.pixels_NHW[chosen_N], self.labels_N[chosen_N])


def digits_by_split(source: str) -> dict[Split, DigitImages]:
    """scikit-learn's 1,797 digits of 8 x 8, or 10,000 of 28 x 28, split before any clip is drawn.

    Raises DataError where the 28 x 28 digits are not on this machine or damaged.
    """
    digits = _mnist() if source == "mnist" else _embedded()
    parts = random_split(len(digits.labels_N), SHARES, 0, stratify=list(digits.labels_N))
    return {split: digits.take(parts[split]) for split in SPLITS}


def _embedded() -> DigitImages:
    from sklearn import datasets

    pixels_NP, labels_N = datasets.load_digits(return_X_y=True)
    return DigitImages(np.rint(pixels_NP.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels_N.astype(np.int64))


def _mnist() -> DigitImages:
    folder = locate("video/digits")
    pixels_NHW = read_idx(folder / "t10k-images-idx3-ubyte", dims=3)
    return DigitImages(pixels_NHW, read_idx(folder / "t10k-labels-idx1-ubyte", dims=1).astype(np.int64))


def read_idx(path: Path, *, dims: int) -> np.ndarray:
    """The bytes of an idx file (LeCun's format), uint8 with `dims` dims, plain or packed beside it as ``.gz``.

    DataError for a file of another kind or another size than it says.
    """
    packed = path.with_name(path.name + ".gz")
    try:
        content = path.read_bytes() if path.is_file() else gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from error
    header = np.frombuffer(content[: 4 * (dims + 1)], dtype=">i4")
    if len(header) != dims + 1 or header[0] != _IDX_MARKS[dims]:
        raise DataError(f"{path} is no idx file of {dims} dims: fetch it again")
    shape = tuple(int(size) for size in header[1:])
    values = np.frombuffer(content, dtype=np.uint8, offset=4 * (dims + 1))
    if values.size != np.prod(shape):
        raise DataError(f"{path} holds {values.size} values and says {np.prod(shape)}: fetch it again")
    return values.reshape(shape)


def clip_generator(seed: int, split: Split, row: int) -> np.random.Generator:
    """What draws one clip, and nothing else."""
    return np.random.default_rng([seed, SPLITS.index(split), row])


def distinct(digits: DigitImages, generator: np.random.Generator) -> np.ndarray:
    """Indices [D] of digits of which no two are the same numeral."""
    chosen_D = generator.choice(len(digits.labels_N), DIGITS_PER_CLIP, replace=False)
    while len(set(digits.labels_N[chosen_D])) < DIGITS_PER_CLIP:
        chosen_D = generator.choice(len(digits.labels_N), DIGITS_PER_CLIP, replace=False)
    return chosen_D


def bounce(start_ND2: np.ndarray, step_ND2: np.ndarray, frames: int, span: int) -> np.ndarray:
    """Top left corners [N, D, T, 2] of digits that start somewhere, move on evenly and bounce between 0 and `span`.

    With span 3, a start of 2 and a step of 1 the corners are 2 3 2 1 0 1 2.
    """
    at_NDT2 = start_ND2[:, :, None, :] + step_ND2[:, :, None, :] * np.arange(frames)[:, None]
    folded_NDT2 = np.mod(at_NDT2, 2 * span)
    return np.rint(np.where(folded_NDT2 > span, 2 * span - folded_NDT2, folded_NDT2)).astype(np.int64)


def draw(digits_NDhw: np.ndarray, corners_NDT2: np.ndarray, size: int) -> np.ndarray:
    """Clips [N, T, H, W], uint8 and `size` a side, of digits with their top left corners there."""
    clips, drawn, frames = corners_NDT2.shape[:3]
    side = digits_NDhw.shape[-1]
    frames_NTHW = np.zeros((clips, frames, size, size), dtype=np.uint8)
    n_N111, t_T11 = np.arange(clips)[:, None, None, None], np.arange(frames)[:, None, None]
    for d in range(drawn):
        y_NTh1 = corners_NDT2[:, d, :, 0, None, None] + np.arange(side)[:, None]
        x_NT1w = corners_NDT2[:, d, :, 1, None, None] + np.arange(side)
        place = (n_N111, t_T11, y_NTh1, x_NT1w)
        frames_NTHW[place] = np.maximum(frames_NTHW[place], digits_NDhw[:, d, None])
    return frames_NTHW
