"""Checks for mixers and tasks, public: a user's own get the same as those that ship."""

from __future__ import annotations

from crossover.testing.conformance import check_mixer
from crossover.testing.results import Check, CheckFailedError, CheckResult
from crossover.testing.task_conformance import check_task

__all__ = ["Check", "CheckFailedError", "CheckResult", "check_mixer", "check_task"]
