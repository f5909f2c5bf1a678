"""Rank quality: how far the option that a prediction takes for the fastest is behind the one that was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

NEAR = 0.05
"""Of the measured best: figures of one configuration differ by as much between revisions."""
Seconds = tuple[float, float]
"""Predicted and measured, of one option."""


def behind(options: Sequence[Seconds]) -> float:
    """By how much longer the option predicted to be the fastest takes than the fastest, as a share."""
    _, chosen = min(options)
    return chosen / min(measured for _, measured in options) - 1


def quality(groups: Iterable[Sequence[Seconds]]) -> str:
    """Of all groups of at least two options: how many choices are near the best, and how far behind they are."""
    found = [behind(options) for options in groups if len(options) > 1]
    if not found:
        return "no alternatives"
    near = sum(each <= NEAR for each in found)
    return f"{near} of {len(found)} within {NEAR:.0%}, {mean(found):.1%} behind, at the most {max(found):.0%}"
