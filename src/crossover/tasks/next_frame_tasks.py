"""The task on the next frame of moving digits, and the simple predictors that a model must beat there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.tasks.base import Baseline, Split
from crossover.tasks.frame_form import FrameForm
from crossover.tasks.moving_digits import digits_by_split
from crossover.tasks.moving_tasks import bouncing, known
from crossover.tasks.next_frame import FrameError, NextFrameReader, NextFrameRows, next_frame_spec
from crossover.tasks.options import Whole
from crossover.tasks.rows import RowTask

_RIDGE_STRENGTH = 10.0
_MOST_EXAMPLES = 10_000


class NextFrame(NextFrameReader, RowTask):
    """The next frame of a clip from all before, and some more frames from the model's own."""

    splits: Mapping[Split, NextFrameRows]

    def __init__(self, name: str, clips: Mapping[Split, np.ndarray], *, ahead: int, **fields: Any) -> None:
        """Clips [N, T, H, W] of one length, whose last `ahead` frames are for the model to go on with."""
        form = FrameForm.of(list(clips["train"]))
        super().__init__(next_frame_spec(name, form, clips["train"].shape[1], **fields), form, ahead)
        self.objective = FrameError(*form.shape)
        self.splits = {
            split: NextFrameRows(clips=rows, form=form, ahead=0 if split == "train" else ahead)
            for split, rows in clips.items()
        }

    def baselines(self, split: Split) -> list[Baseline]:
        """The last frame again; ridge regression from the last two frames."""
        began = perf_counter()
        found = [self._scored("last frame", "trivial", split, lambda _, last: last, began, None)]
        began = perf_counter()
        weights_QP = self._ridge()
        ridge = lambda before, last: torch.cat([before, last, torch.ones_like(last[..., :1])], -1) @ weights_QP  # noqa: E731
        found.append(self._scored("ridge on two frames", "strong", split, ridge, began, weights_QP.numel()))
        return found

    def _ridge(self) -> Tensor:
        """Weights [2 P + 1, P] from two frames and a one to the next frame, fitted on some of train."""
        clips = self.splits["train"].clips
        pairs = clips.shape[1] - 2
        rows = self.splits["train"].gather(np.arange(min(len(clips), -(-_MOST_EXAMPLES // pairs))))
        pixels_BTP = self._pixels(rows)
        x_NQ = torch.cat([pixels_BTP[:, :-1], pixels_BTP[:, 1:]], -1).flatten(0, 1)
        x_NQ = torch.cat([x_NQ, torch.ones_like(x_NQ[:, :1])], 1)
        y_NP = rows.targets[:, 1:].flatten(0, 1)
        gram_QQ = x_NQ.T @ x_NQ + _RIDGE_STRENGTH * torch.eye(x_NQ.shape[1])
        return torch.linalg.solve(gram_QQ, x_NQ.T @ y_NP)

    def _pixels(self, batch: Any) -> Tensor:
        return batch.inputs * float(self.form.deviation_P[0]) + float(self.form.mean_P[0])

    def _scored(
        self,
        name: str,
        kind: Any,
        split: Split,
        predict: Callable[[Tensor, Tensor], Tensor],
        began: float,
        parameters: int | None,
    ) -> Baseline:
        """A predictor from the frame before the last and the last, rolled out as a model is."""
        rows = self.splits[split]
        items = []
        for batch in self.batches_of(
            rows, seed=0, epoch=0, batch=256, shuffle=False, shard=(0, 1), start=0, by="rows"
        ):
            earlier: list[Tensor] = []

            def step(inputs: Tensor, earlier: list[Tensor] = earlier) -> Tensor:
                pixels = inputs * float(self.form.deviation_P[0]) + float(self.form.mean_P[0])
                before = torch.cat([earlier[-1] if earlier else pixels[:, :1], pixels[:, :-1]], 1)
                earlier.append(pixels[:, -1:])
                return predict(before, pixels)

            items.append(self.metrics(self.rollout(step, batch), batch))
        joined = {key: np.concatenate([part[key] for part in items]) for key in items[0]}
        return self.baseline(name, kind, joined, seconds=perf_counter() - began, parameters=parameters)


def moving_digits_next(options: DataOptions) -> NextFrame:
    """Two digits bounce over a frame: what does the next frame look like, and those after it?"""
    name = "video/moving-digits-next"
    settings = known(name, options, frames=Whole(10, minimum=3), ahead=Whole(5, minimum=1))
    total = settings["frames"] + settings["ahead"]
    drawn = {
        split: bouncing(part, split, {**settings, "frames": total})[0]
        for split, part in digits_by_split(settings["source"]).items()
    }
    return NextFrame(
        name,
        drawn,
        ahead=settings["ahead"],
        description="the next frame of two moving digits",
        embedded=settings["source"] == "embedded",
    )
