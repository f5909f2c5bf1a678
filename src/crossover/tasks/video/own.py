"""Your own clips: arrays in ``.npz`` files, or video files with a label each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossover.data.clips import Clips, read_npz, shown_frame
from crossover.data.options import DataOptions
from crossover.data.series import LabelledSeries
from crossover.data.video_files import read_videos
from crossover.errors import ConfigError, DataError
from crossover.tasks.base import Split
from crossover.tasks.options import Choice, Setting, Whole, read_settings
from crossover.tasks.series.labelled import SPLITS, split_own
from crossover.tasks.video.clips import ClipClassification

TASK = "video"
SETTINGS: dict[str, Setting] = {
    "stride": Whole(1),
    "frames": Whole(0, minimum=0),
    "size": Whole(32, minimum=4),
    "colours": Choice(("grey", "rgb"), "grey"),
}
"""Every k-th frame, at most so many of these (0: all); the side and the colours that video files are scaled to."""


def own(options: DataOptions) -> ClipClassification:
    """The task of a user's clips; ConfigError and DataError as `DataOptions` says."""
    settings = read_settings(TASK, options.settings, SETTINGS)
    stride, most = settings["stride"], settings["frames"]
    side = (settings["size"], settings["size"])
    frame = side if settings["colours"] == "grey" else (*side, 3)

    def read(path: Path) -> LabelledSeries:
        path = path.expanduser()
        clips = read_npz(path) if path.suffix.lower() == ".npz" else read_videos(path, frame, label=options.label)
        return LabelledSeries(
            [clip[::stride][: most or None] for clip in clips.rows], _labels(clips, path), clips.notes
        )

    given = split_own(TASK, read, "FILE.npz", options, reads=("label",))
    _check_alike(given.rows)
    labels = tuple(sorted({label for split in SPLITS for label in given.labels[split]}))
    if len(labels) < 2:
        raise ConfigError(f"task {TASK!r}: every clip has the label {labels[0]!r}: give clips of at least two labels")
    return ClipClassification(
        TASK,
        given.rows,
        {split: np.array([labels.index(label) for label in given.labels[split]]) for split in SPLITS},
        labels,
        stride=stride,
        frames=most,
        embedded=False,
        notes=given.notes,
    )


def _check_alike(rows: Mapping[Split, Sequence[np.ndarray]]) -> None:
    """DataError where the files of two splits have frames of another size; those of one file are alike."""
    size = {split: rows[split][0].shape[1:] for split in SPLITS}
    for split in SPLITS:
        if size[split] != size["train"]:
            raise DataError(
                f"the {split} clips have frames of {shown_frame(size[split])}, those of train "
                f"{shown_frame(size['train'])}: give clips of one frame size"
            )


def _labels(clips: Clips, path: Path) -> list[str]:
    if clips.labels is None:
        raise DataError(f"{path} holds no labels: put labels [N] beside the clips")
    return clips.labels
