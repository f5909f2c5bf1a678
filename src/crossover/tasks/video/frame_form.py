"""What the frames of a task are, and how they become a model's inputs and a reader's pictures.

Shape suffixes: B rows, T frames, P values of a frame (height x width x colours, in this order), H, W, C its sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from crossover.data.batching import pad
from crossover.data.clips import Clips, shown_frame
from crossover.data.png import film_strip, png_uri
from crossover.errors import DataError
from crossover.models.ports import Continuous, Frames
from crossover.tasks.base import Batch

_SHOWN_FRAMES = 12
_SIMPLE_SIDE = 8
MOST_CLIPS = 4000
"""Simple classifiers are fitted on the first so many clips of train."""
_BRIGHTEST = 255.0


@dataclass(frozen=True, eq=False)
class FrameForm:
    """Shape of a frame, and what train's values are like: `mean_P` and `deviation_P` have P entries, or one for all.

    A shape of one dim is numbers without neighbourhood (joints), which a linear map reads; pictures go through a
    convolution and have one mean. Bytes count from 0 to 1.
    """

    shape: tuple[int, ...]
    mean_P: np.ndarray
    deviation_P: np.ndarray

    @classmethod
    def of(cls, clips: Sequence[np.ndarray], *, one_unit: bool = False) -> FrameForm:
        """That of train's clips [T, *frame]; `one_unit` gives numbers of one unit one deviation for all."""
        shape = clips[0].shape[1:]
        axes = (0,) if len(shape) == 1 else tuple(range(len(shape) + 1))
        count = sum(np.prod([clip.shape[axis] for axis in axes]) for clip in clips)
        mean = sum(values_of(clip).sum(axes, dtype=np.float64) for clip in clips) / count
        variance = sum(np.square(values_of(clip) - mean).sum(axes, dtype=np.float64) for clip in clips) / count
        deviation = np.sqrt(variance.mean() if one_unit else variance)
        return cls(shape, np.atleast_1d(mean), np.atleast_1d(np.where(deviation > 0, deviation, 1.0)))

    @property
    def pictures(self) -> bool:
        """Whether a frame is a picture."""
        return len(self.shape) > 1

    def port(self, features: Mapping[str, int] | None = None) -> Frames | Continuous:
        """What a model reads."""
        if not self.pictures:
            return Continuous(channels=self.shape[0], features=features or {})
        height, width, colours = (*self.shape, 1)[:3]
        return Frames(height=height, width=width, colours=colours, features=features or {})

    def check(self, clips: Clips, where: str) -> None:
        """DataError where the frames of the file `where` are of another shape."""
        if clips.frame != self.shape:
            raise DataError(
                f"{where} has frames of {shown_frame(clips.frame)}, train has {shown_frame(self.shape)}: give "
                "clips of that frame size"
            )

    def scores(self, clip: np.ndarray) -> np.ndarray:
        """A clip [T, *frame] to z-scores [T, P], float32."""
        flat_TP = values_of(clip).reshape(len(clip), int(np.prod(self.shape)))
        return ((flat_TP - self.mean_P) / self.deviation_P).astype(np.float32)

    def values(self, scores_TP: np.ndarray) -> np.ndarray:
        """The way back: z-scores [T, P] to a clip [T, *frame], bytes as values from 0 to 1."""
        return (scores_TP * self.deviation_P + self.mean_P).reshape(len(scores_TP), *self.shape)

    def strip(self, clip: np.ndarray) -> str:
        """Some frames of a clip [T, *frame] of values side by side, as a PNG data URI; "" for other than pictures."""
        if not self.pictures:
            return ""
        shown = values_of(clip[:: -(-len(clip) // _SHOWN_FRAMES)])
        lowest, highest = min(0.0, float(shown.min())), max(1.0, float(shown.max()))
        pixels = np.rint((shown - lowest) * (_BRIGHTEST / (highest - lowest))).astype(np.uint8)
        return png_uri(film_strip(pixels.reshape(len(shown), *(*self.shape, 1)[:3])))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"shape": list(self.shape), "mean": self.mean_P.tolist(), "deviation": self.deviation_P.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FrameForm:
        """What `to_json` gave; KeyError, TypeError or ValueError for anything else."""
        mean_P, deviation_P = (np.array(value[key], dtype=np.float64) for key in ("mean", "deviation"))
        shape = tuple(int(side) for side in value["shape"])
        if not 1 <= len(shape) <= 3 or min(shape) < 1:
            raise ValueError(f"a frame of {shown_frame(shape)}")
        entries = {(1,), (int(np.prod(shape)),)}
        if not {mean_P.shape, deviation_P.shape} <= entries or not (deviation_P > 0).all():
            raise ValueError("a mean and a deviation above 0, for all or each, are needed")
        return cls(shape, mean_P, deviation_P)


def values_of(clip: np.ndarray) -> np.ndarray:
    """Bytes as float32 from 0 to 1, other numbers as they are."""
    return clip * np.float32(1 / _BRIGHTEST) if clip.dtype == np.uint8 else clip


def simple_view(form: FrameForm, clip: np.ndarray) -> np.ndarray:
    """A clip as simple classifiers see it: z-scores [T, C] of frames averaged to 8 x 8 where they are larger."""
    scores_TP = form.scores(clip)
    if not form.pictures:
        return scores_TP
    height, width, colours = (*form.shape, 1)[:3]
    frames_TCHW = torch.from_numpy(scores_TP.reshape(-1, height, width, colours)).movedim(-1, 1)
    sides = (min(height, _SIMPLE_SIDE), min(width, _SIMPLE_SIDE))
    return F.adaptive_avg_pool2d(frames_TCHW, sides).flatten(1).numpy()


@dataclass(frozen=True, kw_only=True)
class ClipRows:
    """The clips of one split, with the same use as `Rows`; they become z-scores when a batch is asked for.

    `features` [T] may be longer than their clip: the row then begins with steps that show no frame, zeros. `change`
    makes a clip and its row's index into the clip of `form` that is shown (augmentation); None shows it as it is.
    """

    clips: Sequence[np.ndarray]
    form: FrameForm
    targets: np.ndarray
    features: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    change: Callable[[np.ndarray, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row."""
        longest = next(iter(self.features.values()), self.clips)
        return np.fromiter((len(row) for row in longest), dtype=np.int64, count=len(self.clips))

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows, padded to its longest."""
        change = self.change or (lambda clip, row: clip)
        scores = [self.form.scores(change(self.clips[i], int(i))) for i in rows_B]
        leads = [self.lengths_N[i] - len(score_TP) for i, score_TP in zip(rows_B, scores, strict=True)]
        steps = [np.pad(score_TP, ((lead, 0), (0, 0))) for score_TP, lead in zip(scores, leads, strict=True)]
        inputs, lengths_B = pad(steps, channels=int(np.prod(self.form.shape)))
        return Batch(
            inputs=inputs,
            lengths_B=lengths_B,
            targets=torch.from_numpy(self.targets[rows_B]),
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            features={
                name: pad([values[i] for i in rows_B], length=inputs.shape[1])[0]
                for name, values in self.features.items()
            },
        )
