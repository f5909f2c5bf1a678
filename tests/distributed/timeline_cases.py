"""What a rank does in the test of its figures: some steps in which the last rank is slowed."""

from __future__ import annotations

import time
from typing import Any

import training_cases
from training_cases import Training

from crossover.measure.numerics import Numerics
from crossover.models.mixers import Mixer
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import total
from crossover.train.rank_figures import RankFigures

STEPS = 6


def slowed(case: Training, seconds: float) -> list[dict[str, Any]]:
    """The ranks' entries after some steps in which the last one sleeps `seconds` before its first block."""
    update, batches, mesh = training_cases.prepare(case, case.layout)
    if mesh.world.last:
        mixer = next(module for module in update.spread.trained.modules() if isinstance(module, Mixer))
        mixer.register_forward_pre_hook(lambda module, given: time.sleep(seconds))
    figures = RankFigures(mesh, Layout.parse(case.layout), Numerics.default())
    for _, slices in zip(range(STEPS), batches, strict=False):
        (count,) = total([sum(update.task.count(part) for part in slices if part.size)], mesh.data)
        started = time.perf_counter()
        with figures.watching():
            update.step(slices, max(int(count), 1), 1e-3)
        figures.add(loading=0.0, computing=time.perf_counter() - started)
    return figures.together()
