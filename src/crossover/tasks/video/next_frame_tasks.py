"""The task on the next frame of moving digits, and the simple predictors that a model must beat there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.tasks.base import Baseline, Split
from crossover.tasks.options import Whole
from crossover.tasks.rows import RowTask
from crossover.tasks.video.frame_form import FrameForm
from crossover.tasks.video.moving_digits import digits_by_split
from crossover.tasks.video.moving_tasks import bouncing, known
from crossover.tasks.video.next_frame import FrameError, NextFrameReader, NextFrameRows, next_frame_spec, to_pixels

_RIDGE_STRENGTH = 10.0
_MOST_EXAMPLES = 10_000
_ROWS = 256


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
        last = self._scored("last frame", "trivial", split, lambda _, last_BTP: last_BTP, perf_counter())
        began = perf_counter()
        weights_QP = self._ridge()

        def predict(before_BTP: Tensor, last_BTP: Tensor) -> Tensor:
            return _seen(before_BTP, last_BTP) @ weights_QP

        name = "ridge on two frames"
        return [last, self._scored(name, "strong", split, predict, began, weights_QP.numel())]

    def _ridge(self) -> Tensor:
        """Weights [2 P + 1, P] from two frames and a one to the next frame, fitted on some of train."""
        train = self.splits["train"]
        clips = -(-_MOST_EXAMPLES // (train.clips.shape[1] - 2))
        batch = train.gather(np.arange(min(len(train), clips)))
        pixels_BTP = to_pixels(batch.inputs, self.form)
        x_NQ = _seen(pixels_BTP[:, :-1], pixels_BTP[:, 1:]).flatten(0, 1)
        y_NP = batch.targets[:, 1:].flatten(0, 1)
        gram_QQ = x_NQ.T @ x_NQ + _RIDGE_STRENGTH * torch.eye(x_NQ.shape[1])
        return torch.linalg.solve(gram_QQ, x_NQ.T @ y_NP)

    def _scored(
        self,
        name: str,
        kind: Literal["trivial", "strong"],
        split: Split,
        predict: Callable[[Tensor, Tensor], Tensor],
        began: float,
        parameters: int | None = None,
    ) -> Baseline:
        """A predictor from the frame before the last and the last, rolled out as a model is."""
        items = []
        for first in range(0, len(self.splits[split]), _ROWS):
            batch = self.splits[split].gather(np.arange(first, min(first + _ROWS, len(self.splits[split]))))
            items.append(self.metrics(self.rollout(_stepper(predict, self.form), batch), batch))
        joined = {key: np.concatenate([part[key] for part in items]) for key in items[0]}
        return self.baseline(name, kind, joined, seconds=perf_counter() - began, parameters=parameters)


def _seen(before_BTP: Tensor, last_BTP: Tensor) -> Tensor:
    """What ridge regression sees at each step: two frames, and a one for the intercept."""
    return torch.cat([before_BTP, last_BTP, torch.ones_like(last_BTP[..., :1])], dim=-1)


def _stepper(predict: Callable[[Tensor, Tensor], Tensor], form: FrameForm) -> Callable[[Tensor], Tensor]:
    """Runs a predictor from two frames over further inputs; what it carries is the last frame."""
    earlier: list[Tensor] = []

    def step(inputs: Tensor) -> Tensor:
        pixels_BTP = to_pixels(inputs, form)
        first_B1P = earlier[-1] if earlier else pixels_BTP[:, :1]
        earlier.append(pixels_BTP[:, -1:])
        return predict(torch.cat([first_B1P, pixels_BTP[:, :-1]], dim=1), pixels_BTP)

    return step


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
        defaults={"dropout": 0.0},
    )
