"""Actions from skeletons: which of 20 actions a person performs, by people that train has not seen.

Shape suffixes: T frames, J joints, D coordinates, C channels of a step (3 J positions, then 3 J velocities).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.clips import Clips, read_npz, shown_frame
from crossover.data.options import DataOptions
from crossover.data.png import film_strip, png_uri
from crossover.data.skeletons import BONES, HIP, JOINTS, NECK, Recording, parse_joints, read_recordings
from crossover.errors import DataError
from crossover.tasks.base import Batch, Reference, Split
from crossover.tasks.options import Choice, Flag, Setting, Whole, read_settings, refuse_unread
from crossover.tasks.video.clips import ClipClassification, ClipRows
from crossover.tasks.video.frame_form import FrameForm
from crossover.tasks.video.reader import ClipReader, spec_of

FAMILY = "video-skeletons"
ACTIONS = (
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pick up and throw",
)  # fmt: skip
TRAIN_SUBJECTS = (1, 3, 5, 7, 9)
"""Of ten; the others are tested on. This cross-subject split is the one that papers report."""
SETTINGS: dict[str, Setting] = {
    "stride": Whole(2),
    "hold_out": Choice((*map(str, TRAIN_SUBJECTS), "none"), "9"),
    "augment": Flag(default=True),
}
_SMOOTHING = np.array([-3, 12, 17, 12, -3], dtype=np.float32) / 35
_CHANGES = 5.0
_HEIGHT, _WIDTH, _SHOWN = 48, 32, 10
_PUBLISHED = {"HBRNN-L": 0.897, "URNN-2L-T": 0.931, "CNN": 0.963}
_SOURCE = "published on MSRAction3D, cross-subject"


def upright(joints_TJD: np.ndarray) -> np.ndarray:
    """Joints relative to the hip of their frame, in lengths of the clip's mean trunk as the camera sees it."""
    centred_TJD = joints_TJD - joints_TJD[:, HIP : HIP + 1]
    centred_TJD = smoothed(centred_TJD)
    trunk = float(np.linalg.norm(centred_TJD[:, NECK, :2], axis=-1).mean())
    return (centred_TJD / (trunk if trunk > 0 else 1.0)).astype(np.float32)


def smoothed(joints_TJD: np.ndarray) -> np.ndarray:
    """Each joint's path through the camera's noise: a parabola fitted to five frames (Savitzky and Golay 1964)."""
    if len(joints_TJD) < len(_SMOOTHING):
        return joints_TJD
    reach = len(_SMOOTHING) // 2
    padded_LJD = np.pad(joints_TJD, ((reach, reach), (0, 0), (0, 0)), mode="edge")
    return sum(weight * padded_LJD[k : k + len(joints_TJD)] for k, weight in enumerate(_SMOOTHING))


def with_velocities(joints_TJD: np.ndarray) -> np.ndarray:
    """Positions, and what they changed by since the frame before: [T, C].

    Changes are told in a unit in which they are about as large as positions.
    """
    flat_TC = joints_TJD.reshape(len(joints_TJD), -1)
    changes_TC = np.diff(flat_TC, axis=0, prepend=flat_TC[:1]) * _CHANGES
    return np.concatenate([flat_TC, changes_TC], axis=1).astype(np.float32)


def varied(joints_TJD: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same action by somebody else: limbs, view and tempo a little changed, as many frames as before."""
    frames = len(joints_TJD)
    scale_D = generator.uniform(0.85, 1.15, 3)
    turn_DD = np.eye(3) + np.pad(generator.uniform(-0.15, 0.15, (2, 2)), ((0, 1), (1, 0)))
    shift_JD = generator.normal(0, 0.03, joints_TJD.shape[1:])
    speeds_T = np.exp(np.interp(np.arange(frames), np.linspace(0, frames - 1, 4), generator.normal(0, 0.3, 4)))
    at_T = np.concatenate([[0.0], np.cumsum(speeds_T[:-1])])
    at_T *= (frames - 1) / max(at_T[-1], 1e-9)
    before_T = np.minimum(at_T.astype(np.int64), frames - 1)
    after_T, share_T11 = np.minimum(before_T + 1, frames - 1), (at_T - before_T)[:, None, None]
    warped_TJD = joints_TJD[before_T] * (1 - share_T11) + joints_TJD[after_T] * share_T11
    return ((warped_TJD + shift_JD) * scale_D @ turn_DD).astype(np.float32)


class SkeletonReader(ClipReader):
    """Skeletons in, actions out: a ``.txt`` file of MSRAction3D, or ``.npz`` clips [N, T, 20, 3]."""

    family = FAMILY

    def read(self, path: Path) -> Clips:
        """The clips of a file."""
        if path.suffix.lower() != ".txt":
            return read_npz(path)
        try:
            joints_TJD = parse_joints(path.read_bytes(), path.name)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): give a skeleton file") from None
        if not len(joints_TJD):
            raise DataError(f"{path.name} has no frame in which a joint was found: give another recording")
        return Clips([joints_TJD])

    def cut(self, clip: np.ndarray, where: str) -> np.ndarray:
        """Joints [T, 20, 3] or more coordinates to the channels that a model reads, every k-th frame."""
        if clip.ndim != 3 or clip.shape[1] != JOINTS or clip.shape[2] < 3:
            raise DataError(
                f"{where} has frames of {shown_frame(clip.shape[1:])}: give {JOINTS} joints of x, y, depth"
            )
        return with_velocities(upright(clip[:: self.stride, :, :3]))

    def picture(self, batch: Batch, row: int) -> str:
        """The skeletons side by side as lines."""
        channels_TC = self.clip_of(batch, row)
        joints_TJD = channels_TC[:, : channels_TC.shape[1] // 2].reshape(-1, JOINTS, 3)
        return png_uri(film_strip(sketch(joints_TJD[:: -(-len(joints_TJD) // _SHOWN)])[..., None]))


def sketch(joints_TJD: np.ndarray) -> np.ndarray:
    """Skeletons as bright lines on dark frames [T, H, W], seen from the front, uint8."""
    frames_THW = np.zeros((len(joints_TJD), _HEIGHT, _WIDTH), dtype=np.uint8)
    along_P1 = np.linspace(0, 1, 24)[:, None]
    # A person is about five trunks tall with raised arms, and the hip is a little above the middle of that.
    places_TJ2 = joints_TJD[:, :, [1, 0]] * (_HEIGHT / 5) + [_HEIGHT * 0.55, _WIDTH / 2]
    for frame_HW, place_J2 in zip(frames_THW, places_TJ2, strict=True):
        for one, other in BONES:
            line_P2 = place_J2[one] * (1 - along_P1) + place_J2[other] * along_P1
            y_P, x_P = np.rint(line_P2).astype(np.int64).T
            inside_P = (y_P >= 0) & (y_P < _HEIGHT) & (x_P >= 0) & (x_P < _WIDTH)
            frame_HW[y_P[inside_P], x_P[inside_P]] = 255
    return frames_THW


def restore(artifacts: Mapping[str, Any]) -> SkeletonReader:
    """The reader that `SkeletonReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        form = FrameForm.from_json(artifacts["form"])
        return SkeletonReader(spec_of(artifacts), form, stride=int(artifacts["stride"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of skeletons ({type(error).__name__}: {error})") from error


class SkeletonActions(SkeletonReader, ClipClassification):
    """One of 20 actions for each recording of a skeleton."""

    def __init__(self, name: str, joints: Mapping[Split, list[np.ndarray]], *args: Any, augment: bool, **fields: Any):
        """`joints` [T, 20, 3] of each split; the rest as `ClipClassification` takes it."""
        clips = {split: [with_velocities(joints_TJD) for joints_TJD in rows] for split, rows in joints.items()}
        super().__init__(name, clips, *args, one_unit=True, **fields)
        self.joints = joints["train"] if augment else None

    def train_rows(self, seed: int, epoch: int) -> ClipRows:
        """Train's clips varied, each by (seed, epoch, row) alone."""
        rows = self.splits["train"]
        if self.joints is None:
            return rows

        def change(joints_TJD: np.ndarray, row: int) -> np.ndarray:
            return with_velocities(varied(joints_TJD, np.random.default_rng([seed, epoch, row])))

        return replace(rows, clips=self.joints, change=change)


def action3d(options: DataOptions) -> SkeletonActions:
    """Which of 20 actions a skeleton performs, by subjects that train has not seen."""
    name = "video/action3d"
    refuse_unread(name, options, reads=())
    settings = read_settings(name, options.settings, SETTINGS)
    recordings, blank = read_recordings(locate(name))
    parts, notes = _by_subject(recordings, settings["hold_out"])
    return SkeletonActions(
        name,
        {split: [upright(r.joints_TJD[:: settings["stride"]]) for r in rows] for split, rows in parts.items()},
        {split: np.array([r.action - 1 for r in rows]) for split, rows in parts.items()},
        ACTIONS,
        stride=settings["stride"],
        augment=settings["augment"],
        description="which of 20 actions a skeleton of 20 joints performs, by people not seen in training",
        embedded=False,
        budget="600steps",
        defaults={"width": 64, "dropout": 0.3},
        recipes={"lstm": {"lr": 3e-3}, "gru": {"lr": 3e-3}, "transformer": {"lr": 2e-3}},
        references=tuple(
            Reference(name=work, metric="accuracy", score=score, source=_SOURCE, note="trained on all five subjects")
            for work, score in _PUBLISHED.items()
        ),
        notes=(
            f"Recordings without a tracked joint: {', '.join(blank) or 0}; they are left out, as are such frames.",
            *notes,
        ),
    )


def _by_subject(recordings: list[Recording], hold_out: str) -> tuple[dict[Split, list[Recording]], list[str]]:
    """Recordings of train, of the held out train subject, and of the subjects to test on."""
    of_train = [r for r in recordings if r.subject in TRAIN_SUBJECTS]
    test = [r for r in recordings if r.subject not in TRAIN_SUBJECTS]
    if hold_out == "none":
        valid = [r for r in of_train if r.subject == TRAIN_SUBJECTS[-1]]
        note = (
            f"All train subjects train; validation repeats subject {TRAIN_SUBJECTS[-1]} of them and chooses nothing."
        )
        return {"train": of_train, "valid": valid, "test": test}, [note]
    valid = [r for r in of_train if r.subject == int(hold_out)]
    train = [r for r in of_train if r.subject != int(hold_out)]
    return {"train": train, "valid": valid, "test": test}, [f"Subject {hold_out} of train is the validation split."]
