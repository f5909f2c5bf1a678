"""How a run's recurrences are solved: by which solver, chosen once, and how Newton's method fares on the way."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from crossover.measure.solvers import fastest_solvers, left_open
from crossover.models.mixers.dense import DenseMixer
from crossover.models.mixers.solved import SolvedMixer, use_solvers
from crossover.models.model import SequenceModel
from crossover.parallel.mesh import Mesh, told
from crossover.recurrence.checks import SOLVERS, Solver
from crossover.recurrence.newton import Tally
from crossover.tasks.base import Batch

_NONE = -1.0
"""For rows so short that nothing is measured."""


class Solving:
    """The recurrences of `model`, which may be shared out over ranks after this."""

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.settings = [mixer.settings for mixer in model.mixers()]

    def choose(self, batch: Batch, mesh: Mesh, device: str) -> dict[str, Solver]:
        """The fastest solver of each mixer that leaves it open, for rows such as `batch`, as rank 0 measured it."""
        names = sorted(left_open(self.settings))
        if not names:
            return {}
        rows, time = batch.inputs.shape[:2]
        found = fastest_solvers(self.settings, batch=max(rows, 1), time=time, device=device)
        own = [float(SOLVERS.index(found[name])) if name in found else _NONE for name in names]
        agreed = zip(names, told(own, mesh.in_step)[0], strict=True)
        return {name: SOLVERS[int(number)] for name, number in agreed if number != _NONE}

    def use(self, chosen: dict[str, Solver]) -> None:
        """Solve as `chosen` says."""
        use_solvers(self.model.mixers(), chosen)

    def fared(self) -> Tally:
        """What Newton's method did since the last look."""
        total = Tally()
        for mixer in self.model.mixers():
            if isinstance(mixer, SolvedMixer | DenseMixer):
                total.add(mixer.tally)
                mixer.tally = Tally()
        return total


def newton_summary(tally: Tally) -> dict[str, Any] | None:
    """What a record tells of Newton's method: None where it was not used."""
    if not tally.solves:
        return None
    return {**asdict(tally), "iterations": tally.iterations / tally.solves}
