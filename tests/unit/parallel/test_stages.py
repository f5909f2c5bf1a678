"""How blocks are given to stages."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from crossover.parallel.stages import balanced


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
def test_the_costliest_stage_is_as_cheap_as_can_be(stages):
    costs, first, last = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0], 2.0, 6.0
    sizes = balanced(costs, stages, first=first, last=last)
    assert len(sizes) == stages and sum(sizes) == len(costs) and min(sizes) >= 1

    def worst(bounds: tuple[int, ...]) -> float:
        ends = [0, *bounds, len(costs)]
        sums = [sum(costs[a:b]) for a, b in pairwise(ends)]
        sums[0] += first
        sums[-1] += last
        return max(sums)

    best = min(worst(bounds) for bounds in combinations(range(1, len(costs)), stages - 1))
    own = tuple(sum(sizes[:n]) for n in range(1, stages))
    assert worst(own) == best
