"""Clip classification: one label for a clip of pictures or joints; generated, by name, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from crossover.tasks.base import Baseline, Split
from crossover.tasks.objectives import Classification
from crossover.tasks.rows import RowTask
from crossover.tasks.series.random_convolutions import resample
from crossover.tasks.series.simple_classifiers import CLASSIFIERS
from crossover.tasks.video.frame_form import MOST_CLIPS, ClipRows, FrameForm, simple_view
from crossover.tasks.video.reader import ClipReader, clip_spec


class LabelledClips(RowTask):
    """What tasks that give a clip one of some labels share."""

    splits: Mapping[Split, ClipRows]


class ClipClassification(ClipReader, LabelledClips):
    """One of C labels for each clip: what happens in it, or who or what it shows."""

    def __init__(
        self,
        name: str,
        clips: Mapping[Split, Sequence[np.ndarray]],
        targets: Mapping[Split, np.ndarray],
        labels: tuple[str, ...],
        *,
        stride: int = 1,
        frames: int = 0,
        one_unit: bool = False,
        **fields: Any,
    ) -> None:
        """Clips [T, *frame] of one shape, as they are; `one_unit` as in `FrameForm.of`, `fields` of `TaskSpec`."""
        form = FrameForm.of(clips["train"], one_unit=one_unit)
        longest = max(len(clip) for split in clips.values() for clip in split)
        super().__init__(clip_spec(name, form, labels, longest, **fields), form, stride=stride, frames=frames)
        self.objective = Classification(labels)
        self.splits = {
            split: ClipRows(clips=rows, form=form, targets=np.asarray(targets[split], dtype=np.int64))
            for split, rows in clips.items()
        }

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent label; the nearest neighbour; random convolutions and ridge regression."""
        train, scored = self.splits["train"], self.splits[split]
        most = np.bincount(train.targets, minlength=len(self.spec.labels)).argmax()
        steps = int(np.median(train.lengths_N))
        train_NTC, scored_NTC = (
            resample([simple_view(self.form, clip) for clip in clips], steps)
            for clips in (train.clips[:MOST_CLIPS], scored.clips)
        )
        found = [self.label_baseline("majority", "trivial", split, np.full(len(scored), most), 0.0)]
        for name, classify in CLASSIFIERS:
            began = perf_counter()
            predictions_N, parameters = classify(train_NTC, train.targets[:MOST_CLIPS], scored_NTC)
            found.append(
                self.label_baseline(name, "strong", split, predictions_N, perf_counter() - began, parameters)
            )
        return found
