from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossover.errors import ConfigError
from crossover.planning.machine import HARDWARE, load_machine, machine_names

SMALL = """
title = "a small machine"
kind = "cpu"
memory_bytes = [8e9, "sheet"]
memory_bandwidth = [20e9, "sheet"]
memory_share = [0.8, "measured"]
units = [2, "sheet"]
launch_seconds = [5e-6, "measured"]

[sources]
sheet = "its data sheet"

[rates.fp32]
peak = [100e9, "sheet"]
achievable = [80e9, "measured"]

[links.host]
devices = [4, "sheet"]
bandwidth = [1e9, "measured"]
latency = [1e-4, "measured"]

[links.network]
devices = [0, "sheet"]
bandwidth = [1e8, "measured"]
latency = [1e-3, "measured"]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "small.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", machine_names())
def test_every_known_machine_has_figures_that_go_together_and_a_source_for_each(name):
    machine = load_machine(name)
    assert machine.name == name and machine.title
    assert machine.links[-1].devices == 0
    for figure in ("memory_bytes", "memory_bandwidth", "memory_share", "units", "launch_seconds"):
        assert machine.sources[figure]
    for precision in machine.rates:
        assert machine.sources[f"rates.{precision}.peak"] and machine.sources[f"rates.{precision}.achievable"]
        assert machine.recurrent_law(precision, 4).call > 0
    for link in machine.links:
        assert machine.sources[f"links.{link.name}.bandwidth"] and machine.sources[f"links.{link.name}.latency"]


def test_the_machines_that_people_rent_are_known():
    expected = {"v100-16", "v100-32", "p100", "titan-x-pascal", "gtx-1080-ti", "a40", "a100-40", "a100-80"}
    expected |= {"h100-hbm2e", "h100-sxm", "h200", "b200", "gb200", "tpu-v4", "tpu-v5p", "cpu"}
    assert expected <= set(machine_names())


def test_a_machine_that_is_like_another_takes_what_it_does_not_give():
    small, large = load_machine("a100-40"), load_machine("a100-80")
    assert large.rates == small.rates and large.links == small.links
    assert large.memory_bytes == 2 * small.memory_bytes


def test_measured_recurrences_say_what_they_were_fitted_to():
    fitted = {file.stem.removeprefix("deepbench-") for file in (HARDWARE / "recurrent").glob("*.toml")}
    assert fitted == {"v100", "p100", "titan-x-pascal", "titan-xp", "gtx-1080-ti"}
    for name in fitted:
        machine = load_machine("v100-16" if name == "v100" else name)
        assert machine.sources["recurrent"].startswith("DeepBench") and machine.recurrent


def test_a_file_of_ones_own_is_read(tmp_path):
    machine = load_machine(written(tmp_path, SMALL))
    assert machine.rate("fp32").achievable == 80e9
    assert machine.sources["memory_bytes"] == "its data sheet" and machine.sources["memory_share"] == "measured"
    assert [link.devices for link in machine.links] == [4, 0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("achievable = [80e9", "achievable = [180e9", "peak of 1e.11 FLOP/s under the 1.8e.11"),
        ('memory_bytes = [8e9, "sheet"]', "", "has no memory_bytes: add memory_bytes = "),
        ('memory_share = [0.8, "measured"]', "memory_share = 0.8", "memory_share=0.8 has no source"),
        ("memory_share = [0.8", "memory_share = [1.8", "no kernel moves more than the bandwidth"),
        ("bandwidth = [1e9", "bandwidth = [0", "links.host.bandwidth is 0, it must be above 0"),
        ("devices = [0", "devices = [2", "give the nearest tier first"),
        ('achievable = [80e9, "measured"]', 'achievable = [80e9, "a"]\nsizes = [[1e6], "a"]', "has 1 sizes and"),
        ('title = "a small machine"', 'title = "a"\nrecurrent = 5', "recurrent=5 must be a table"),
        ("units = [2", "unit = [2", "unknown figure 'unit': did you mean 'units'"),
        ("[80e9", '["fast"', "rates.fp32.achievable='fast' is not admissible"),
    ],
)
def test_a_figure_that_is_missing_or_absurd_is_named(old, new, told, tmp_path):
    text = SMALL.replace(old, new)
    assert text != SMALL
    with pytest.raises(ConfigError, match=told):
        load_machine(written(tmp_path, text))


def test_an_unknown_machine_or_format_is_told_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match="unknown hardware 'h100': did you mean 'h100-hbm2e' or 'h100-sxm'"):
        load_machine("h100")
    with pytest.raises(ConfigError, match="unknown precision of p100 'bf16': use one of fp32"):
        load_machine("p100").rate("bf16")
    with pytest.raises(ConfigError, match="does not exist"):
        load_machine(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="unknown machine to be like 'a100'"):
        load_machine(written(tmp_path, 'like = "a100"\n' + SMALL))


def test_a_cell_with_a_law_of_its_own_follows_that_and_a_part_of_it_the_common_one() -> None:
    v100 = load_machine("v100-16")
    own = v100.recurrent["fp32"].scaled(memory=2.0, product=2.0)
    machine = replace(v100, recurrent={**v100.recurrent, "fp32/4": own})
    assert machine.recurrent_law("fp32", 4) == own
    assert machine.recurrent_law("fp32", 2) == machine.recurrent_law("fp32", 3) == v100.recurrent["fp32"]
