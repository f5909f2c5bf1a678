from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.errors import ConfigError
from crossover.planning.communication import Group, hops, message_seconds
from crossover.planning.machine import Link, load_machine

NEAR = Link(name="near", devices=8, bandwidth=100e9, latency=2e-6)
FAR = Link(name="far", devices=0, bandwidth=10e9, latency=20e-6)
MACHINE = replace(load_machine("a100-80"), links=(NEAR, FAR))


def test_neighbours_stay_within_a_host_and_ranks_far_apart_leave_it():
    def crossed(group: Group) -> list[tuple[str, int, int]]:
        return [(hop.link.name, hop.parts, hop.ranks) for hop in hops(MACHINE, group)]

    assert crossed(Group(1)) == []
    assert crossed(Group(8)) == [("near", 8, 1)]
    assert crossed(Group(4, stride=2)) == [("near", 4, 1)]
    assert crossed(Group(16)) == [("near", 8, 1), ("far", 2, 8)]
    assert crossed(Group(16, stride=4)) == [("near", 2, 1), ("far", 8, 2)]
    assert crossed(Group(4, stride=8)) == [("far", 4, 1)]


def test_a_ring_within_a_host_sends_what_the_formula_says():
    size = 1e9
    assert message_seconds(MACHINE, "all-reduce", size, Group(8)) == pytest.approx(2 * 7 / 8 * 0.01 + 6 * 2e-6)
    assert message_seconds(MACHINE, "reduce-scatter", size, Group(8)) == pytest.approx(7 / 8 * 0.01 + 3 * 2e-6)
    assert message_seconds(MACHINE, "all-gather", size / 8, Group(8)) == pytest.approx(7 / 8 * 0.01 + 3 * 2e-6)
    assert message_seconds(MACHINE, "send", size, Group(2)) == pytest.approx(0.01 + 2e-6)
    assert message_seconds(MACHINE, "all-reduce", size, Group(1)) == 0


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather():
    for group in (Group(8), Group(32), Group(4, stride=8)):
        parts = message_seconds(MACHINE, "reduce-scatter", 1e8, group)
        parts += message_seconds(MACHINE, "all-gather", 1e8 / group.size, group)
        assert message_seconds(MACHINE, "all-reduce", 1e8, group) == pytest.approx(parts)


def test_a_group_that_fills_its_hosts_leaves_them_through_all_adapters():
    """Of eight ranks in a host the way out is eight times as wide as of one."""
    full, thin = Group(16), Group(16, stride=8)
    sent = 2 * 15 / 16 * 1e9
    assert message_seconds(MACHINE, "all-reduce", 1e9, thin) == pytest.approx(sent / 10e9, rel=0.01)
    assert message_seconds(MACHINE, "all-reduce", 1e9, full) == pytest.approx(sent / 80e9, rel=0.01)


def test_a_message_to_a_neighbour_takes_the_farthest_tier_that_any_of_them_crosses():
    assert message_seconds(MACHINE, "send", 1e9, Group(2, stride=8)) == pytest.approx(0.1 + 20e-6)


@pytest.mark.parametrize(
    ("name", "ranks", "payload", "milliseconds"),
    [
        ("titan-x-pascal", 2, 67_108_864, 5.51),
        ("titan-x-pascal", 8, 153_440_000, 30.55),
        ("titan-x-pascal", 16, 153_440_000, 51.94),
        ("gtx-1080-ti", 4, 258_000_000, 35.11),
        ("p100", 8, 153_440_000, 45.63),
        ("h100-sxm", 8, 67_108_864, 0.322),
    ],
)
def test_an_all_reduce_takes_what_was_published(name, ranks, payload, milliseconds):
    """DeepBench da81ba7820, results/train, NCCL 2.0; vidur 7d47513363, h100_dgx/all_reduce.csv."""
    found = message_seconds(load_machine(name), "all-reduce", payload, Group(ranks))
    assert found * 1e3 == pytest.approx(milliseconds, rel=0.25)


def test_more_devices_than_the_network_joins_are_refused():
    with pytest.raises(ConfigError, match="joins at most 8 devices, and 16 ranks 1 devices apart need more"):
        hops(replace(MACHINE, links=(NEAR,)), Group(16))
