"""Groups of ranks cost threads that never rest: a world makes each of them once."""

from __future__ import annotations

from datetime import timedelta

import torch.distributed as dist

from crossover.parallel.layout import Layout
from crossover.parallel.mesh import group_of, make_mesh


def groups_of_two_runs(text: str) -> tuple[bool, bool]:
    """Whether a second run's mesh has the groups of the first, and one that waits longer its own, the world apart."""
    layout = Layout.parse(text)
    first, second = make_mesh(layout), make_mesh(layout)
    patient = make_mesh(layout, timeout=timedelta(seconds=50))
    same = all(a.group is b.group for a, b in zip(first.axes, second.axes, strict=True))
    waiting = zip((*first.axes, first.in_step), (*patient.axes, patient.in_step), strict=True)
    own = all(a.group is not b.group for a, b in waiting if a.group is not None)
    return same, own and patient.world.group is first.world.group


def test_a_second_run_has_the_groups_of_the_first(on_ranks):
    assert on_ranks(2, groups_of_two_runs, "data=2") == [(True, True)] * 2
    assert on_ranks(4, groups_of_two_runs, "data=2,tensor=2") == [(True, True)] * 4


def asked_twice(name: str) -> bool:
    everyone = range(dist.get_world_size())
    given = {"timeout": timedelta(minutes=1), "backend": "gloo"}
    return group_of(name, everyone, **given) is group_of(name, everyone, **given)


def test_a_group_is_known_by_what_is_said_in_it(on_ranks):
    assert on_ranks(2, asked_twice, "checkpoints") == [True, True]
