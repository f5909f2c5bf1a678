"""Solving h_t = f(h_{t-1}, x_t) for every t: step by step, or all steps at once where f is linear in h."""

from __future__ import annotations

from crossover.recurrence.scan import Exchange, scan
from crossover.recurrence.sequential import solve

__all__ = ["Exchange", "scan", "solve"]
