from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest
import torch

from crossover.inference.prefix_beam import prefix_beam_search


def exact(outputs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Probability of every string, over all its paths, by the definition."""
    shares = outputs.softmax(-1).numpy()
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(shares.shape[1]), repeat=len(shares)):
        said = tuple(symbol for symbol, _ in groupby(path) if symbol)
        found[said] += float(np.prod([shares[step, symbol] for step, symbol in enumerate(path)]))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_gives_the_exact_probability_of_every_string(seed: int) -> None:
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    strings = exact(outputs)
    found = prefix_beam_search(outputs, 10_000)
    assert {hypothesis.ids for hypothesis in found} == set(strings)
    for hypothesis in found:
        assert np.exp(hypothesis.score) == pytest.approx(strings[hypothesis.ids])
    assert [hypothesis.score for hypothesis in found] == sorted((h.score for h in found), reverse=True)


def test_a_beam_finds_what_the_likeliest_path_does_not() -> None:
    # The blank is the likeliest at each step, but "a" by any of its three paths is likelier than no symbol.
    outputs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    best, *_ = prefix_beam_search(outputs, 4)
    assert best.ids == (1,)
    assert np.exp(best.score) == pytest.approx(0.64)


def test_a_beam_of_one_and_no_steps() -> None:
    assert len(prefix_beam_search(torch.randn(6, 4), 1)) == 1
    assert prefix_beam_search(torch.zeros(0, 4), 3)[0].ids == ()
