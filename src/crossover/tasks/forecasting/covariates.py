"""Covariates of series, as they enter the steps of a model.

A step of the model holds, after its segment of target values, the values of the past and of the future covariates
in the same segment, whether it lies in the window (1) or in the horizon (0), and the static features. Steps of the
horizon have zeros for what is not known by then: the targets and the past covariates.

- A direct head reads the window, and after it the steps of the horizon where there are future covariates; its
  projection is of all of them. So every mixer, whether it sees the whole row or only the past, reads the horizon's
  covariates as it reads anything else, and pays for those steps.
- An autoregressive head and a decoder say at each step what comes in the next one, so a step holds the future
  covariates of the segment after its own (`lead` 1).

With patch 1, window 2, horizon 1, a past covariate 7 8 and a future one 1 2 3 the features of a direct head's steps
are (7, 1, 1), (8, 2, 1), (0, 3, 0), and those of an autoregressive one (7, 2, 1), (8, 3, 1).

Shape suffixes: T steps of all series, K covariates, S series, F features, B windows, L steps from the window's first
to the horizon's last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Covariates:
    """The covariates of all series in z-scores, float32, on the same time axis as their targets."""

    past_TK: np.ndarray
    future_TK: np.ndarray
    static_SF: np.ndarray

    @property
    def empty(self) -> bool:
        """Whether there are none of any kind."""
        return not (self.past_TK.shape[1] or self.future_TK.shape[1] or self.static_SF.shape[1])

    def steps(
        self, origins_B: np.ndarray, series_B: np.ndarray, *, window: int, horizon: int, patch: int, lead: int
    ) -> np.ndarray:
        """[B, P + R - lead, patch * K + 1 + F] for windows with these origins, of these series."""
        segments, ahead = window // patch, -(-horizon // patch)
        length = (segments + ahead) * patch
        past_BLK = self._cut(self.past_TK, origins_B, window, window, length)
        future_BLK = self._cut(self.future_TK, origins_B, window, window + horizon, length)
        size, steps = len(origins_B), segments + ahead
        past_BPK = past_BLK.reshape(size, steps, patch * past_BLK.shape[2])[:, : steps - lead]
        future_BPK = future_BLK.reshape(size, steps, patch * future_BLK.shape[2])[:, lead:]
        parts = [past_BPK, future_BPK]
        if self.past_TK.shape[1] + self.future_TK.shape[1]:
            known_P1 = (np.arange(steps - lead) < segments).astype(np.float32)[:, None]
            parts.append(np.broadcast_to(known_P1, (size, steps - lead, 1)))
        static_BF = self.static_SF[series_B]
        parts.append(np.broadcast_to(static_BF[:, None], (size, steps - lead, static_BF.shape[1])))
        return np.concatenate(parts, axis=2)

    def flat(self, origins_B: np.ndarray, series_B: np.ndarray, *, window: int, horizon: int) -> np.ndarray:
        """All that is known of the covariates at an origin, [B, …], for a linear model."""
        past_BWK = self._cut(self.past_TK, origins_B, window, window, window)
        future_BLK = self._cut(self.future_TK, origins_B, window, window + horizon, window + horizon)
        parts = [values.reshape(len(origins_B), math.prod(values.shape[1:])) for values in (past_BWK, future_BLK)]
        return np.concatenate([*parts, self.static_SF[series_B]], axis=1)

    @staticmethod
    def _cut(values_TK: np.ndarray, origins_B: np.ndarray, window: int, known: int, length: int) -> np.ndarray:
        """[B, length, K] from the window's first step on, of which the first `known` are real and the rest zero."""
        cut_BLK = np.zeros((len(origins_B), length, values_TK.shape[1]), dtype=np.float32)
        steps_BL = (origins_B - window)[:, None] + np.arange(known)
        cut_BLK[:, :known] = values_TK[steps_BL]
        return cut_BLK
