"""One pool of two ranks and one of four serve all of these tests: starting ranks takes longer than most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crossover.testing.spawn import RankPool


@pytest.fixture(scope="session")
def pools() -> Iterator[dict[int, RankPool]]:
    found: dict[int, RankPool] = {}
    yield found
    for pool in found.values():
        pool.close()


@pytest.fixture
def on_ranks(pools: dict[int, RankPool]) -> Callable[..., list]:
    """Runs a function on so many ranks together: ``on_ranks(2, function, *arguments)``."""

    def run(size: int, function: Callable, *arguments: object) -> list:
        return pools.setdefault(size, RankPool(size)).run(function, *arguments)

    return run
