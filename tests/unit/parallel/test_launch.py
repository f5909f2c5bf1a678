"""Which rank a process is: told by torchrun, by Slurm, or nobody."""

from __future__ import annotations

import pytest

from crossover.errors import ConfigError
from crossover.parallel.launch import devices_for, local_ranks, place_in, starts_again
from crossover.parallel.layout import Layout

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "first"}
SLURM = {"SLURM_PROCID": "1", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": "4(x2)"}


def test_torchrun_tells_all():
    assert place_in(TORCHRUN) == (3, 4)
    assert local_ranks(TORCHRUN, 4) == 2


def test_a_cpu_has_as_many_ranks_as_are_asked_for(monkeypatch):
    assert devices_for(Layout(data=3), "cpu") == 3
    assert (devices_for(Layout(), "mps"), devices_for(Layout(data=2), "mps")) == (1, 1)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert devices_for(Layout(data=3), "cpu") == 4


def test_slurm_tells_who_and_the_user_where():
    assert place_in({**SLURM, "MASTER_ADDR": "first"}) == (1, 8)
    assert local_ranks(SLURM, 8) == 4
    with pytest.raises(ConfigError, match="export MASTER_ADDR"):
        place_in(SLURM)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MASTER_ADDR": "first"},
        {**TORCHRUN, "WORLD_SIZE": "1"},
        {"SLURM_NTASKS": "8"},
        {**SLURM, "SLURM_NTASKS": "1"},
    ],
)
def test_a_process_by_itself_has_no_place(environment):
    assert place_in(environment) is None
    assert local_ranks({}, 4) == 4


def test_a_command_goes_on_by_itself_only_where_it_is_started_again():
    assert starts_again({"TORCHELASTIC_MAX_RESTARTS": "3"})
    assert not starts_again({"TORCHELASTIC_MAX_RESTARTS": "0"}) and not starts_again({})
