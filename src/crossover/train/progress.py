"""What a run tells while it trains; `crossover.report.live` shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossover.tasks.base import TaskSpec
    from crossover.train.state import Best, RunState


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One run at one moment. `validation` is the best score so far; `seconds_left` None where nothing is known."""

    task: str
    model: str
    seed: int
    step: int
    fraction: float
    loss: float | None
    rate: float
    tokens_per_second: float
    seconds: float
    metric: str
    validation: float | None
    validated: bool = False
    """True right after a validation."""

    @classmethod
    def of(cls, state: RunState, best: Best | None, spec: TaskSpec, **given: Any) -> Progress:
        """From where a run stands; `given` are the fields that its state does not tell."""
        return cls(
            task=spec.name,
            step=state.step,
            loss=state.losses[-1][1] if state.losses else None,
            tokens_per_second=state.tokens / state.seconds if state.seconds else 0.0,
            seconds=state.seconds,
            metric=spec.metric,
            validation=best.scores[spec.metric] if best else None,
            **given,
        )

    @property
    def seconds_left(self) -> float | None:
        """Training seconds to go at the pace so far."""
        return self.seconds * (1 - self.fraction) / self.fraction if self.fraction > 0 else None


OnProgress = Callable[[Progress], None]

OnBegin = Callable[[str, int, int], None]
"""Told before each part of a study: ``"search"`` or ``"train"``, its number from 1, and how many there are."""
