"""A pool of ranks: what fails is told with the rank's name, and the next call finds new ranks."""

from __future__ import annotations

import os
import time

import pytest
import torch
import torch.distributed as dist

from crossover.testing.spawn import RankFailedError, RankPool


def add(value: float) -> float:
    total = torch.tensor(value + dist.get_rank())
    dist.all_reduce(total)
    return float(total)


def fail(how: str) -> None:
    if dist.get_rank() == 1:
        if how == "raise":
            raise ValueError("no such row")
        if how == "die":
            os._exit(3)
        time.sleep(60)


def test_ranks_work_together_and_a_failing_one_is_named():
    with RankPool(2, seconds=4) as pool:
        assert pool.run(add, 1.0) == [3.0, 3.0]
        for how, said in (("raise", "no such row"), ("die", "ended without a word"), ("hang", "did not answer")):
            with pytest.raises(RankFailedError, match=f"ranks? .*1.*{said}|(?s:rank 1 of 2 .*{said})"):
                pool.run(fail, how)
            assert pool.run(add, 2.0) == [5.0, 5.0]
