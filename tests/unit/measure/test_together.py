"""Steps that ranks take together: each with its share of the threads, also while it is timed."""

from __future__ import annotations

from dataclasses import replace

import torch

from crossover.measure import together
from crossover.measure.numerics import Numerics
from crossover.measure.together import TeamStopwatch
from crossover.measure.workload import Workload
from crossover.models.presets import parse_model
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout


def test_a_rank_that_is_timed_has_its_share_of_the_threads(monkeypatch):
    seen, timed = [], together.seconds_of

    def watched(step, device="cpu"):
        seen.append(torch.get_num_threads())
        return timed(step, device)

    monkeypatch.setattr(together, "seconds_of", watched)
    before = Numerics.default()
    numerics = replace(before, threads=2)
    workload = Workload(model=parse_model("lstm[width=8,layers=1]"), batch=2, time=4, numerics=numerics)
    try:
        with Team(2) as team:
            watch = TeamStopwatch(team, Layout(data=2))
            watch.begin("step", workload)
            watch.time(["step"], rounds=3, minimum=3, device="cpu", time_limit=60.0)
            watch.pair_difference("step", rounds=2, device="cpu")
            assert torch.get_num_threads() == 2
    finally:
        before.apply()
    assert seen and set(seen) == {1}
