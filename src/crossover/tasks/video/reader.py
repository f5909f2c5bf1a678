"""Clips in, labels out: the half of the video tasks that needs no data, and that a saved run brings back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from crossover.data.clips import Clips, read_npz
from crossover.data.video_files import is_video, read_video
from crossover.errors import DataError
from crossover.models.ports import PerRow
from crossover.tasks.base import Batch, TaskSpec
from crossover.tasks.objectives import CLASSIFIED
from crossover.tasks.video.frame_form import ClipRows, FrameForm

FAMILY = "video"


class ClipReader:
    """Reads clips and names their labels. `stride` takes every k-th frame, as train did, and `frames` the first so
    many of these (0: all).
    """

    family = FAMILY

    def __init__(self, spec: TaskSpec, form: FrameForm, *, stride: int = 1, frames: int = 0) -> None:
        self.spec = spec
        self.form = form
        if stride < 1 or frames < 0:
            raise ValueError("stride is 1 or more, frames 0 or more")
        self.stride = stride
        self.frames = frames

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: clips are read from a file."""
        raise DataError(f"task {self.spec.name!r} takes no text: give clips in an .npz file, or a video, with --file")

    def read(self, path: Path) -> Clips:
        """The clips of an ``.npz`` file, or the one of a video file in the frame size of train."""
        if is_video(path):
            return read_video(path, self.form.shape)
        return read_npz(path)

    def encode_file(self, path: Path) -> Batch:
        """The clips of a file; DataError where their frames are of another size than train's."""
        return self.encode_clips(self.read(path), path.name)

    def encode_clips(self, clips: Clips, where: str) -> Batch:
        """Clips to a batch, cut as train's were."""
        rows = [self.cut(row, where) for row in clips.rows]
        self.form.check(Clips(rows), where)
        unread_N = np.zeros(len(rows), dtype=np.int64)
        return ClipRows(clips=rows, form=self.form, targets=unread_N).gather(np.arange(len(rows)))

    def cut(self, clip: np.ndarray, where: str) -> np.ndarray:
        """A clip of the file `where` as train's were: every k-th frame, and the first so many."""
        kept = clip[:: self.stride]
        return kept[: self.frames] if self.frames else kept

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The likeliest label and the probability of each."""
        labels = self.spec.labels
        return [
            {"label": labels[int(np.argmax(shares))], "probabilities": dict(zip(labels, shares, strict=True))}
            for shares in outputs.float().softmax(-1).tolist()
        ]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """A clip as a strip of frames, its label and the predicted one."""
        return [
            {
                "input": self.told(batch, i),
                "input_picture": self.picture(batch, i),
                "target": self.spec.labels[int(batch.targets[i])],
                "prediction": self.spec.labels[int(outputs[i].argmax())],
            }
            for i in range(min(limit, batch.size))
        ]

    def told(self, batch: Batch, row: int) -> str:
        """A row's input in words."""
        return f"a clip of {int(batch.lengths_B[row])} frames"

    def picture(self, batch: Batch, row: int) -> str:
        """A row's frames side by side, as a PNG data URI."""
        return self.form.strip(self.clip_of(batch, row))

    def clip_of(self, batch: Batch, row: int) -> np.ndarray:
        """The frames of a row [T, *frame], as values."""
        return self.form.values(batch.inputs[row, : int(batch.lengths_B[row])].numpy(force=True))

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": self.family,
            "name": self.spec.name,
            "labels": list(self.spec.labels),
            "max_length": self.spec.max_length,
            "form": self.form.to_json(),
            "stride": self.stride,
            "frames": self.frames,
        }


def restore(artifacts: Mapping[str, Any]) -> ClipReader:
    """The reader that `ClipReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        form, spec = FrameForm.from_json(artifacts["form"]), spec_of(artifacts)
        return ClipReader(spec, form, stride=int(artifacts["stride"]), frames=int(artifacts["frames"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of labelled clips ({type(error).__name__}: {error})") from error


def spec_of(artifacts: Mapping[str, Any]) -> TaskSpec:
    """The spec that artifacts of labelled clips tell; KeyError, TypeError or ValueError for others."""
    labels = tuple(str(label) for label in artifacts["labels"])
    form = FrameForm.from_json(artifacts["form"])
    return clip_spec(str(artifacts["name"]), form, labels, int(artifacts["max_length"]))


def clip_spec(name: str, form: FrameForm, labels: tuple[str, ...], max_length: int, **fields: Any) -> TaskSpec:
    """The spec of a task on labelled clips; `fields` are further fields of `TaskSpec`, or take the place of these."""
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "description": "a label for each clip",
        "inputs": form.port(),
        "outputs": PerRow(size=len(labels)),
        **CLASSIFIED,
        "causal": False,
        "max_length": max_length,
        "unit": "frames",
        "labels": labels,
    }
    return TaskSpec(**{**spec, **fields})
