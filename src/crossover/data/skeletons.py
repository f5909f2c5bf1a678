"""Skeletons in the form of MSRAction3D: text files of 20 joints a frame, each x, y, depth and confidence.

Li, Zhang and Liu 2010, "Action recognition based on a bag of 3D points" (the data set); files are named
``aAA_sSS_eEE_skeleton.txt`` by action, subject and example. Shape suffixes: T frames, J joints, D coordinates.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from crossover.errors import DataError

JOINTS = 20
NECK, HIP = 2, 6
BONES = (
    (19, 2), (2, 0), (2, 1), (0, 7), (7, 9), (9, 11), (1, 8), (8, 10), (10, 12), (2, 3), (3, 6), (6, 4), (6, 5),
    (4, 13), (13, 15), (15, 17), (5, 14), (14, 16), (16, 18),
)  # fmt: skip
"""Pairs of joints: head, shoulders, arms, spine, hips, legs."""
_OVERFLOWN = 1e6
_NAME = re.compile(r"a(\d+)_s(\d+)_e(\d+)")


@dataclass(frozen=True)
class Recording:
    """One performance: joints [T, 20, 3] (x, y, depth) of an action by a subject."""

    name: str
    action: int
    subject: int
    joints_TJD: np.ndarray


def read_recordings(archive: Path) -> tuple[list[Recording], list[str]]:
    """All recordings of the packed archive, by name, and the names of those without a single tracked frame.

    DataError where the archive is damaged or holds something else.
    """
    packed = archive if archive.is_file() else archive.with_name(archive.name + ".xz")
    found, blank = [], []
    try:
        with tarfile.open(packed) as opened:
            for member in sorted(opened.getmembers(), key=lambda entry: entry.name):
                match = _NAME.search(Path(member.name).name)
                stream = opened.extractfile(member) if match else None
                if match is None or stream is None:
                    continue
                joints_TJD = parse_joints(stream.read(), member.name)
                if len(joints_TJD):
                    found.append(Recording(match[0], int(match[1]), int(match[2]), joints_TJD))
                else:
                    blank.append(match[0])
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataError(f"{packed} cannot be unpacked ({error}): fetch it again") from error
    if not found:
        raise DataError(f"{packed} holds no file named aAA_sSS_eEE_skeleton.txt: give the archive of MSRAction3D")
    return found, blank


def parse_joints(content: bytes, name: str) -> np.ndarray:
    """A file's text to joints [T, 20, 3], float32, but for frames without a joint; DataError for any other text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            values_N4 = np.loadtxt(BytesIO(content), dtype=np.float64, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is no skeleton file ({error}): give lines of x, y, depth and confidence") from error
    if values_N4.shape[1] != 4 or len(values_N4) == 0 or len(values_N4) % JOINTS:
        raise DataError(
            f"{name} has {len(values_N4)} lines of {values_N4.shape[1]} numbers: give {JOINTS} lines a frame, each "
            "x, y, depth and confidence"
        )
    # A joint above the picture's upper edge is written as about 2^31: a negative number that has overflowed.
    values_N4[values_N4 > _OVERFLOWN] = 0
    joints_TJD = values_N4[:, :3].reshape(-1, JOINTS, 3).astype(np.float32)
    return joints_TJD[joints_TJD.any((1, 2))]
