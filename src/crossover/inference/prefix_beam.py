"""Prefix beam search over CTC outputs (Graves 2012, section 7.5.3; Hannun et al. 2014, arXiv 1408.2873)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from torch import Tensor

from crossover.inference.decode import Hypothesis
from crossover.tasks.speech.ctc import BLANK

_Beam = dict[tuple[int, ...], tuple[float, float]]
"""Log probability of each prefix, over paths that end in a blank and over paths that end in its last symbol."""


def prefix_beam_search(outputs_TS: Tensor, size: int) -> list[Hypothesis]:
    """The `size` likeliest symbol strings of one row, the likeliest first, from its outputs [T, S]; 0 is the blank.

    The score of a string is the log of its probability over all paths that say it, as far as its prefixes stayed in
    the beam at every step: with room for all of them it is exact.
    """
    shares_TS = outputs_TS.double().log_softmax(-1).numpy(force=True)
    beam: _Beam = {(): (0.0, -np.inf)}
    for shares_S in shares_TS:
        beam = _extended(beam, shares_S, size)
    return [Hypothesis(ids, float(np.logaddexp(*paths))) for ids, paths in beam.items()]


def _extended(beam: _Beam, shares_S: np.ndarray, size: int) -> _Beam:
    """One step further: every prefix stays, by a blank or by its last symbol again, or gets a symbol more."""
    blank: defaultdict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)
    symbol: defaultdict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)
    for prefix, (ends_blank, ends_symbol) in beam.items():
        either = np.logaddexp(ends_blank, ends_symbol)
        blank[prefix] = np.logaddexp(blank[prefix], either + shares_S[BLANK])
        for number in range(1, len(shares_S)):
            longer = (*prefix, number)
            if prefix and number == prefix[-1]:
                # Without a blank between them, the same symbol twice is that symbol held.
                symbol[prefix] = np.logaddexp(symbol[prefix], ends_symbol + shares_S[number])
                symbol[longer] = np.logaddexp(symbol[longer], ends_blank + shares_S[number])
            else:
                symbol[longer] = np.logaddexp(symbol[longer], either + shares_S[number])
    totals = {prefix: np.logaddexp(blank[prefix], symbol[prefix]) for prefix in {**blank, **symbol}}
    possible = (prefix for prefix in totals if totals[prefix] > -np.inf)
    kept = sorted(possible, key=lambda prefix: (-totals[prefix], prefix))[:size]
    return {prefix: (float(blank[prefix]), float(symbol[prefix])) for prefix in kept}
