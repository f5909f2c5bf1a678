from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_task import TinyTask, tiny_model

from crossover.files import make_folder
from crossover.measure.numerics import Numerics, processor
from crossover.parallel.layout import Layout
from crossover.planning.here import calibrated_file, calibrated_title, known_device, this_machine
from crossover.planning.machine import load_machine
from crossover.train.foresight import foresee
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()


@pytest.fixture
def calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine file as `crossover calibrate` leaves one, with other figures than those of this machine."""
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))
    file = calibrated_file(1)
    make_folder(file.parent)
    title = calibrated_title(processor(), NUMERICS.threads)
    file.write_text(f'like = "cpu"\ntitle = {json.dumps(title)}\n', encoding="utf-8")
    return file


def test_a_run_on_a_calibrated_machine_has_its_prediction_beside_it(calibrated: Path, tmp_path: Path) -> None:
    settings = TrainSettings(budget="3steps", learning_rate=0.02, batch=16)
    record = train(TinyTask(), tiny_model(), settings, numerics=NUMERICS, folder=tmp_path / "run").record
    told = record.prediction
    assert told is not None
    parts = ("compute_seconds", "communication_seconds", "bubble_seconds", "update_seconds")
    assert told["step_seconds"]["value"] == pytest.approx(sum(told[part] for part in parts))
    assert told["step_seconds"]["low"] < told["step_seconds"]["value"] < told["step_seconds"]["high"]
    assert told["peak_bytes"] == pytest.approx(sum(told["parts"].values()))
    assert json.loads((tmp_path / "run" / "prediction.json").read_text(encoding="utf-8")) == told


def test_nothing_is_said_of_a_machine_that_nobody_has_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))
    spec = TinyTask().spec
    assert foresee(spec, tiny_model(), TrainSettings(), NUMERICS, Layout(), {(8, 8, 0, None): 1}) is None
    assert this_machine(processor(), NUMERICS.threads, 1) is None


def test_a_run_can_be_foreseen_on_a_machine_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))

    def seconds(name: str) -> float:
        asked = (TinyTask().spec, tiny_model(), TrainSettings(), NUMERICS, Layout(), {(64, 64, 0, None): 1})
        told = foresee(*asked, machine=load_machine(name))
        assert told is not None and told["machine"] == name
        value: float = told["step_seconds"]["value"]
        return value

    assert seconds("h100-sxm") < seconds("v100-16")


def test_another_share_of_the_cores_is_another_machine(calibrated: Path) -> None:
    assert this_machine(processor(), NUMERICS.threads, 1) is not None
    assert this_machine(processor(), NUMERICS.threads + 1, 1) is None
    assert this_machine(processor(), NUMERICS.threads, 2) is None


def test_seconds_are_the_mean_over_the_batches_that_were_seen(calibrated: Path) -> None:
    def seconds(shapes: dict) -> float:
        told = foresee(TinyTask().spec, tiny_model(), TrainSettings(), NUMERICS, Layout(), shapes)
        assert told is not None
        return told["step_seconds"]["value"]

    short, long = (8, 8, 0, None), (8, 64, 0, None)
    mixed = seconds({short: 3, long: 1})
    assert mixed == pytest.approx(0.75 * seconds({short: 1}) + 0.25 * seconds({long: 1}))


@pytest.mark.parametrize("content", ["like = 'cpu'\nunheard_of = 1\n", "no TOML", 'like = "elsewhere"\n'])
def test_a_run_ends_well_beside_a_machine_file_that_cannot_be_read(
    content: str, calibrated: Path, tmp_path: Path
) -> None:
    calibrated.write_text(content, encoding="utf-8")
    settings = TrainSettings(budget="1steps", learning_rate=0.02, batch=16)
    record = train(TinyTask(), tiny_model(), settings, numerics=NUMERICS, folder=tmp_path / "run").record
    assert record.steps == 1 and record.prediction is None


def test_memory_is_that_of_the_largest_batch_however_rare_it_is(calibrated: Path) -> None:
    def peak(shapes: dict) -> float:
        told = foresee(TinyTask().spec, tiny_model(), TrainSettings(), NUMERICS, Layout(), shapes)
        assert told is not None
        return told["peak_bytes"]

    common = {(8, time, 0, None): 2 for time in range(8, 48)}
    assert peak({**common, (8, 64, 0, None): 1}) == peak({(8, 64, 0, None): 1}) > peak(common)


@pytest.mark.parametrize(
    ("device", "machine"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA GB200", "gb200"),
        ("Tesla V100-SXM2-16GB", "v100-16"),
    ],
)
def test_accelerators_are_known_by_the_names_that_they_give(device: str, machine: str) -> None:
    found = known_device(device)
    assert found is not None and found.name == machine
    assert known_device("some other card") is None
