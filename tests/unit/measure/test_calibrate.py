from __future__ import annotations

import json

import pytest

from crossover.cli import main
from crossover.config import to_toml
from crossover.costs import Product
from crossover.measure import calibrate as module
from crossover.measure.calibrate import calibrate, to_mapping
from crossover.planning.compute import product_seconds, recurrence_seconds
from crossover.planning.machine import load_machine


@pytest.fixture
def small(monkeypatch):
    """Sizes that are measured in no time; what is measured of them is worth nothing."""
    sizes = {"_WIDTHS": (8, 32), "_STREAMED": (1 << 12, 1 << 16), "_HIDDEN": (16, 32), "_STEPS": 4}
    for name, value in (sizes | {"_ATTENDED": (1, 2, 32, 8), "_EVALUATED": 1 << 12}).items():
        monkeypatch.setattr(module, name, value)


def test_what_is_measured_is_read_back_as_the_machine_that_it_was(small, tmp_path):
    machine, source = calibrate()
    file = tmp_path / "this.toml"
    file.write_text(to_toml(to_mapping(machine, source)))
    found = load_machine(file)
    assert found.rates == machine.rates and found.recurrent == machine.recurrent
    for figure in ("memory_bandwidth", "launch_seconds", "function_seconds", "stream_sizes", "stream_shares"):
        assert getattr(found, figure) == getattr(machine, figure)
    assert found.sources["rates.fp32.achievable"].startswith("measured by crossover calibrate on ")


def test_a_measured_machine_tells_the_time_of_products_and_recurrences(small):
    machine, _ = calibrate()
    assert product_seconds(machine, "fp32", Product(64, 64, 64)) > 0
    for precision in ("fp32", "bf16"):
        passes = recurrence_seconds(machine, precision, Product(32, 16, 64, serial=4))
        assert all(seconds >= 0 for seconds in passes.values()) and passes["forward"] > 0


def test_ranks_that_share_the_machine_are_joined_by_what_they_send_one_another(small, tmp_path, capsys):
    file = tmp_path / "two.toml"
    assert main(["calibrate", "--devices", "2", "--out", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["file"] == str(file)
    (link,) = load_machine(file).links
    assert link.devices == 0 and link.bandwidth > 1e6 and 0 < link.latency < 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--devices", "0"], "--devices is 0: give the number of ranks"),
        (["--out", "here.json"], "--out here.json is no TOML file"),
    ],
)
def test_a_wrong_request_is_told_before_anything_is_measured(given, told, capsys):
    assert main(["calibrate", *given]) == 2
    assert told in capsys.readouterr().err
