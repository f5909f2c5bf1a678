"""Solving s_t = f(s_{t-1}, x_t) for every t: step by step, by a scan where f is affine, by Newton where it is not."""

from __future__ import annotations

from crossover.recurrence.cells import Cell, Linearised
from crossover.recurrence.marks import Marks
from crossover.recurrence.newton import Limits, Tally
from crossover.recurrence.scan import Exchange, scan
from crossover.recurrence.sequential import solve
from crossover.recurrence.trajectory import Manner, trajectory

__all__ = ["Cell", "Exchange", "Limits", "Linearised", "Manner", "Marks", "Tally", "scan", "solve", "trajectory"]
