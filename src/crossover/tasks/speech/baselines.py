"""Simple readers of sound: ridge on pooled frames, the same on the loud parts of a string, and the nearest row.

Shape suffixes: F frames, M mel bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from crossover.tasks.speech.word_errors import error_rates, error_statistics

PARTS = 3
_RIDGE_STRENGTHS = np.logspace(-1, 4, 11)
_LEVELS = (0.3, 0.45, 0.6)
_PAUSES = (3, 6, 12)
_SHORTEST = 4


def pooled(frames_FM: np.ndarray) -> np.ndarray:
    """Mean and deviation of each band in the thirds of a sound, less its mean loudness, and its log duration."""
    level_free_FM = frames_FM - frames_FM.mean()
    cuts = np.linspace(0, len(frames_FM), PARTS + 1).astype(int)
    parts = [level_free_FM[first : max(last, first + 1)] for first, last in pairwise(cuts)]
    return np.concatenate(
        [*(part.mean(0) for part in parts), *(part.std(0) for part in parts), [np.log(len(frames_FM))]]
    )


class PooledRidge:
    """Ridge classifier on `pooled` frames, its strength chosen by leave-one-out on train."""

    def __init__(self, frames: Iterable[np.ndarray], labels: Sequence[str]) -> None:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.model: Any = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=_RIDGE_STRENGTHS))
        self.model.fit(np.stack([pooled(frames_FM) for frames_FM in frames]), labels)

    @property
    def parameters(self) -> int:
        """Weights of the ridge."""
        ridge = self.model[-1]
        return int(ridge.coef_.size + ridge.intercept_.size)

    def labels(self, frames: Iterable[np.ndarray]) -> list[str]:
        """The label of each sound."""
        return [str(label) for label in self.model.predict(np.stack([pooled(frames_FM) for frames_FM in frames]))]


def loud_parts(frames_FM: np.ndarray, level: float, pause: int) -> list[slice]:
    """Where a sound is loud: frames above `level` between its quiet and its loud ones, joined over `pause` frames."""
    loudness_F = frames_FM.mean(1)
    quiet, loud = np.quantile(loudness_F, [0.1, 0.95])
    above = np.flatnonzero(loudness_F > quiet + level * (loud - quiet))
    if not len(above):
        return []
    runs = np.split(above, np.flatnonzero(np.diff(above) > pause) + 1)
    return [slice(int(run[0]), int(run[-1]) + 1) for run in runs if run[-1] - run[0] + 1 >= _SHORTEST]


class LoudWords:
    """`PooledRidge` of single words on the loud parts of a string; level and pause are chosen on strings of train."""

    def __init__(
        self, words: Iterable[tuple[str, np.ndarray]], strings: Sequence[np.ndarray], texts: Sequence[str]
    ) -> None:
        known = list(words)
        found: list[tuple[float, float, int, PooledRidge]] = []
        for level in _LEVELS:
            model = PooledRidge([_hull(frames_FM, level) for _, frames_FM in known], [word for word, _ in known])
            for pause in _PAUSES:
                written = self._write(strings, model, level, pause)
                sums = {name: values.sum(0) for name, values in error_statistics(texts, written).items()}
                found.append((error_rates(sums)["wer"], level, pause, model))
        _, self._level, self._pause, self._model = min(found, key=lambda tried: tried[:3])

    @property
    def parameters(self) -> int:
        """Weights of the ridge."""
        return self._model.parameters

    def write(self, strings: Sequence[np.ndarray]) -> list[str]:
        """The words of each string."""
        return self._write(strings, self._model, self._level, self._pause)

    @staticmethod
    def _write(strings: Sequence[np.ndarray], model: PooledRidge, level: float, pause: int) -> list[str]:
        parts = [
            (row, frames_FM[part])
            for row, frames_FM in enumerate(strings)
            for part in loud_parts(frames_FM, level, pause)
        ]
        words: list[list[str]] = [[] for _ in strings]
        if parts:
            for (row, _), word in zip(parts, model.labels(part for _, part in parts), strict=True):
                words[row].append(word)
        return [" ".join(said) for said in words]


def _hull(frames_FM: np.ndarray, level: float) -> np.ndarray:
    """From the first loud frame to the last."""
    parts = loud_parts(frames_FM, level, len(frames_FM))
    return frames_FM[parts[0]] if parts else frames_FM


class NearestText:
    """The text of the train row whose `pooled` frames, as z-scores, are nearest."""

    parameters = None

    def __init__(self, frames: Iterable[np.ndarray], texts: Sequence[str]) -> None:
        from sklearn.neighbors import NearestNeighbors
        from sklearn.preprocessing import StandardScaler

        self._texts = list(texts)
        self._scale: Any = StandardScaler()
        scaled = self._scale.fit_transform(np.stack([pooled(frames_FM) for frames_FM in frames]))
        self._known: Any = NearestNeighbors(n_neighbors=1).fit(scaled)

    def write(self, rows: Sequence[np.ndarray]) -> list[str]:
        """The text of each row."""
        asked = self._scale.transform(np.stack([pooled(frames_FM) for frames_FM in rows]))
        return [self._texts[int(place)] for place in self._known.kneighbors(asked, return_distance=False)[:, 0]]
