"""The next frame: a causal model predicts each frame of a clip from those before, and goes on from its own.

A row has `given` frames and then `ahead` more. Steps that have seen only true frames are scored by MSE and SSIM; from
the last given frame on the model reads what it predicted itself. Shape suffixes: B rows, T steps, P pixels, R frames
ahead, H and W rows and columns of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.clips import read_npz
from crossover.data.video_files import is_video, read_video
from crossover.errors import DataError
from crossover.models.ports import PerStep
from crossover.tasks.base import Batch, Sums, TaskSpec
from crossover.tasks.objectives import SquaredError
from crossover.tasks.video.frame_form import FrameForm, values_of
from crossover.tasks.video.similarity import ssim

FAMILY = "video-next"


class FrameError(SquaredError):
    """Squared error and SSIM of predicted frames, outputs and targets [B, T, P] in pixels from 0 to 1.

    Steps whose targets are NaN are not scored; ``extra["future"]`` [B, R, P] is what the last R outputs should be.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Squared error and SSIM of each row's scored steps, and the squared error of each frame ahead [B, R]."""
        errors_BTP, scored_BT = self._errors(outputs, batch), ~batch.targets[:, :, 0].isnan()
        future_BRP = batch.extra["future"]
        ahead = future_BRP.shape[1]
        beyond_BR = (outputs[:, outputs.shape[1] - ahead :] - future_BRP).square().sum(2)
        found = {
            "loss": errors_BTP.square().sum((1, 2)),
            "count": (~batch.targets.isnan()).sum((1, 2)),
            "ssim": (self._similarity(outputs, batch.targets.nan_to_num()) * scored_BT).sum(1),
            "frames": scored_BT.sum(1),
            "squared_by_step": beyond_BR,
            "count_by_step": torch.full_like(beyond_BR, future_BRP.shape[2]),
        }
        return {name: values.numpy(force=True).astype(np.float64) for name, values in found.items()}

    def summarise(self, sums: Sums) -> dict[str, float]:
        """MSE and SSIM of the next frame, and the MSE of all frames that the model went on with by itself."""
        mse = float(sums["loss"]) / max(float(sums["count"]), 1e-12)
        beyond = float(np.sum(sums["squared_by_step"]) / max(np.sum(sums["count_by_step"]), 1e-12))
        similarity = float(sums["ssim"]) / max(float(sums["frames"]), 1e-12)
        return {"mse": mse, "ssim": similarity, "rollout_mse": beyond, "loss": mse}

    def _similarity(self, ours_BTP: Tensor, theirs_BTP: Tensor) -> Tensor:
        pictures = (-1, self.height, self.width)
        clamped = ours_BTP.clamp(0, 1).reshape(pictures)
        return ssim(clamped, theirs_BTP.reshape(pictures)).reshape(ours_BTP.shape[:2])


@dataclass(frozen=True, kw_only=True)
class NextFrameRows:
    """Clips of one length, bytes or numbers [N, T, H, W], as rows that predict each next frame.

    Inputs are all frames but the last as z-scores, targets all but the first in pixels. The first step, which has
    seen no motion, is not scored. With `ahead` above 0 (valid, test and new clips) neither are the steps that the
    model takes from its own frames; what they should be is in ``extra["future"]``.
    """

    clips: np.ndarray
    form: FrameForm
    ahead: int = 0

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row: the same for all."""
        return np.full(len(self.clips), self.clips.shape[1] - 1, dtype=np.int64)

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows."""
        chosen = values_of(self.clips[rows_B]).astype(np.float32)
        pixels_BTP = torch.from_numpy(chosen.reshape(*chosen.shape[:2], -1))
        targets_BTP = pixels_BTP[:, 1:].clone()
        targets_BTP[:, 0] = torch.nan
        steps = targets_BTP.shape[1]
        future_BRP = pixels_BTP[:, 1 + steps - self.ahead :]
        targets_BTP[:, steps - self.ahead :] = torch.nan
        return Batch(
            inputs=to_scores(pixels_BTP[:, :-1], self.form),
            lengths_B=torch.from_numpy(self.lengths_N[rows_B]),
            targets=targets_BTP,
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            extra={"future": future_BRP},
        )


def to_scores(pixels: Tensor, form: FrameForm) -> Tensor:
    """Pixels to the z-scores that a model reads."""
    return (pixels - float(form.mean_P[0])) / float(form.deviation_P[0])


def to_pixels(scores: Tensor, form: FrameForm) -> Tensor:
    """The way back from z-scores."""
    return scores * float(form.deviation_P[0]) + float(form.mean_P[0])


class NextFrameReader:
    """Clips in, the frames that follow out: the half of the task that needs no data."""

    def __init__(self, spec: TaskSpec, form: FrameForm, ahead: int) -> None:
        if ahead < 1:
            raise ValueError("frames ahead are 1 or more")
        self.spec = spec
        self.form = form
        self.ahead = ahead

    def rollout(self, step: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """Outputs [B, T, P]: up to the last given frame from true ones, then from those predicted before."""
        given = batch.inputs.shape[1] - (self.ahead - 1)
        parts = [step(batch.inputs[:, :given])]
        for _ in range(self.ahead - 1):
            parts.append(step(to_scores(parts[-1][:, -1:].clamp(0, 1), self.form)))
        return torch.cat(parts, dim=1)

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: clips are read from a file."""
        raise DataError(f"task {self.spec.name!r} takes no text: give clips in an .npz file, or a video, with --file")

    def encode_file(self, path: Path) -> Batch:
        """The clips of a file, all of one length; what follows their last frame is what `decode` gives."""
        clips = read_video(path, self.form.shape) if is_video(path) else read_npz(path)
        lengths = sorted({len(row) for row in clips.rows})
        if len(lengths) > 1 or lengths[0] < 2:
            told = " to ".join(map(str, dict.fromkeys((lengths[0], lengths[-1]))))
            raise DataError(f"{path.name} has clips of {told} frames: give 2 or more, all alike")
        self.form.check(clips, path.name)
        known = values_of(np.stack(clips.rows)).astype(np.float32)
        if known.min() < 0 or known.max() > 1:
            raise DataError(f"{path.name} has pixels of {known.min():g} to {known.max():g}: give bytes, or 0 to 1")
        # The frames ahead are not known: their places are blank, and nothing reads them.
        blank = np.zeros((len(known), self.ahead, *known.shape[2:]), dtype=np.float32)
        padded = np.concatenate([known, blank], axis=1)
        return NextFrameRows(clips=padded, form=self.form, ahead=self.ahead).gather(np.arange(len(padded)))

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """One list of frames per clip, ``{"frames": [R, H, W]}`` in pixels from 0 to 1."""
        ahead_BRP = outputs[:, outputs.shape[1] - self.ahead :].clamp(0, 1).numpy(force=True)
        frames = np.round(ahead_BRP.astype(np.float64), 4).reshape(-1, self.ahead, *self.form.shape)
        return [{"frames": clip.tolist()} for clip in frames]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The given frames, those that followed, and those that the model goes on with."""
        given = batch.inputs.shape[1] - (self.ahead - 1)
        shown = []
        for row in range(min(limit, batch.size)):
            said = {
                "input": self.form.values(batch.inputs[row, :given].numpy(force=True)),
                "target": self._pictures(batch.extra["future"][row]),
                "prediction": self._pictures(outputs[row, outputs.shape[1] - self.ahead :]),
            }
            error = float(np.square(said["prediction"] - said["target"]).mean())
            texts = {
                "input": f"{given} given frames",
                "target": f"the {self.ahead} frames that follow",
                "prediction": f"{self.ahead} predicted frames, MSE {error:.4f}",
            }
            pictures = {f"{part}_picture": self.form.strip(frames) for part, frames in said.items()}
            shown.append({**texts, **pictures})
        return shown

    def _pictures(self, pixels_RP: Tensor) -> np.ndarray:
        return pixels_RP.clamp(0, 1).numpy(force=True).reshape(-1, *self.form.shape)

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "max_length": self.spec.max_length,
            "form": self.form.to_json(),
            "ahead": self.ahead,
        }


def restore(artifacts: Mapping[str, Any]) -> NextFrameReader:
    """The reader that `NextFrameReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        form = FrameForm.from_json(artifacts["form"])
        spec = next_frame_spec(str(artifacts["name"]), form, int(artifacts["max_length"]))
        return NextFrameReader(spec, form, int(artifacts["ahead"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of next frames ({type(error).__name__}: {error})") from error


def next_frame_spec(name: str, form: FrameForm, max_length: int, **fields: Any) -> TaskSpec:
    """The spec of a task on next frames; `fields` are further fields of `TaskSpec`."""
    return TaskSpec(
        name=name,
        family="video",
        **{"description": "the next frame of a clip", **fields},
        inputs=form.port(),
        outputs=PerStep(size=form.port().channels),
        objective="regression",
        metric="mse",
        higher_is_better=False,
        causal=True,
        margin=0.03,
        margin_kind="relative",
        further_metrics=("ssim", "rollout_mse"),
        opposed_metrics=("ssim",),
        decoding="rollout",
        max_length=max_length,
        unit="frames",
    )
