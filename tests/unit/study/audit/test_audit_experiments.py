from pathlib import Path

import numpy as np
import pytest

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.study.audit.evidence import Bench, Evidence
from crossover.study.audit.experiments import EXPERIMENTS
from crossover.study.audit.experiments.arithmetic import (
    FlopSettings,
    ParameterSettings,
    count_all_parameters,
    count_flops,
)
from crossover.study.audit.experiments.gradients import GradientSettings, measure_gradients
from crossover.study.audit.experiments.growth import MemorySettings, TimeSettings, measure_memory, time_layers
from crossover.study.audit.experiments.retention import RetentionSettings, measure_retention
from crossover.study.audit.rules.cost import fit_terms
from crossover.study.store import Store


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Numerics.default(), Store.open(tmp_path / "study", "audit", {}), lambda line: None)


def values(evidence: Evidence, name: str, measure: str, **labels) -> tuple[float, ...]:
    (curve,) = [
        c for c in evidence.curves if (c.name, c.measure) == (name, measure) and labels.items() <= c.labels.items()
    ]
    return curve.values


def test_parameters_grow_with_the_length_only_where_positions_are_learned(bench: Bench) -> None:
    evidence = count_all_parameters(ParameterSettings(lengths=(8, 16), width=16, layers=1), bench)
    for name in ("elman", "lstm", "gru", "transformer"):
        assert len(set(values(evidence, name, "parameters"))) == 1
    short, long = values(evidence, "gpt", "parameters")
    assert long - short == 8 * 16


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("elman", {"T·H²": 4.0}),
        ("gru", {"T·H²": 12.0}),
        ("lstm", {"T·H²": 16.0}),
        ("attention", {"T·H²": 8.0, "T²·H": 4.0}),
    ],
)
def test_the_flops_of_a_layer_have_the_form_of_its_formula(bench: Bench, model: str, form: dict) -> None:
    settings = FlopSettings(models=(model,), lengths=(8, 16, 32), widths=(16, 32, 64))
    assert fit_terms(count_flops(settings, bench).curves) == form


def test_time_is_taken_at_every_length_and_width(bench: Bench) -> None:
    settings = TimeSettings(
        models=("gru", "attention"), lengths=(8, 16), width=16, widths=(8, 16), length=8, batch=2, rounds=3
    )
    evidence = time_layers(settings, bench)
    assert {(c.name, c.measure, c.x) for c in evidence.curves} == {
        (name, measure, (8, 16)) for name in ("gru", "attention") for measure in ("time", "time by width")
    }
    assert all(len(taken) == 3 and min(taken) > 0 for c in evidence.curves for taken in c.samples)
    assert evidence.steady in (True, False)


def test_memory_is_measured_by_pass_and_the_state_is_counted(bench: Bench) -> None:
    settings = MemorySettings(
        unfused=("transformer",), passes=("encode",), lengths=(64, 1024), width=32, layers=1, batch=4
    )
    evidence = measure_memory(settings, bench)
    fused, explicit = (
        next(c for c in evidence.curves if c.measure == "memory" and c.labels == labels)
        for labels in ({"pass": "encode"}, {"pass": "encode", "kernel": "unfused"})
    )
    assert explicit.name == "transformer"
    assert explicit.values[-1] - explicit.values[0] > 4 * 4 * 1024**2 * 4 > 0
    assert fused.values[-1] < explicit.values[-1]
    lstm, transformer = (values(evidence, name, "state") for name in ("lstm", "transformer"))
    assert lstm[0] == lstm[1] == 4 * 2 * 32 * 4
    assert transformer[1] > 15 * transformer[0]
    assert evidence.missing == ()


def test_an_lstm_keeps_its_gradient_where_a_contracting_elman_network_loses_it(bench: Bench) -> None:
    settings = GradientSettings(
        models=("elman", "lstm"), gains=(0.5,), forget_biases=(5.0,), distances=(1, 10, 30), width=8, seeds=2,
        steps=2, lag=4,
    )  # fmt: skip
    curves = {(c.name, c.labels["phase"]): c for c in measure_gradients(settings, bench).curves}
    phases = ("untrained", "small inputs", "trained")
    assert set(curves) == {(name, phase) for name in ("elman", "lstm") for phase in phases}
    elman, lstm = (np.array(curves[name, "untrained"].samples) for name in ("elman", "lstm"))
    assert elman.shape == (3, 2)
    assert (elman[2] - elman[0] < 29 * np.log10(0.5)).all()
    assert (lstm[2] - lstm[0] > -2).all()
    trained = np.array(curves["elman", "trained"].samples)
    assert np.isfinite(trained).all() and (trained != elman).any()


def test_retention_gives_accuracies_by_lag_and_length_and_stops_at_the_first_lag_lost(bench: Bench) -> None:
    settings = RetentionSettings(
        models=("lstm", "transformer"), lags=(4, 8), tasks=("copy", "parity"), width=8, layers=1, budget="1steps",
        seeds=2,
    )  # fmt: skip
    evidence = measure_retention(settings, bench)
    by_key = {(c.name, c.measure): c for c in evidence.curves}
    assert set(by_key) == {(n, m) for n in ("lstm", "transformer") for m in ("copy", "parity")}
    assert by_key["lstm", "copy"].x == (4.0,)
    assert by_key["lstm", "parity"].x == (40.0, 80.0, 160.0, 320.0)
    assert all(0 <= i.low <= i.value <= i.high <= 1 for c in evidence.curves for i in c.y)


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_evidence_is_read_back_as_it_was_written(bench: Bench, name: str) -> None:
    experiment = EXPERIMENTS.get(name)
    assert experiment.settings_at("full", {}, path=name) != experiment.settings_at("quick", {}, path=name) or (
        not experiment.full
    )
    evidence = count_flops(FlopSettings(models=("gru",), lengths=(8, 16, 32), widths=(16, 32)), bench)
    assert Evidence.from_json(evidence.to_json()) == evidence


@pytest.mark.parametrize(
    ("settings", "values", "sentence"),
    [
        (GradientSettings, {"models": ("transformer",)}, "unknown model of the experiment gradients"),
        (GradientSettings, {"seeds": 1}, "needs 2 or more"),
        (GradientSettings, {"distances": (10, 100)}, "start at 1"),
        (RetentionSettings, {"tasks": ("copie",)}, "did you mean 'copy'"),
        (RetentionSettings, {"budget": "0steps"}, "not above zero"),
        (MemorySettings, {"passes": ("trane",)}, "did you mean 'train'"),
        (MemorySettings, {"unfused": ("gpt",)}, "unknown model in unfused"),
        (TimeSettings, {"lengths": (64,)}, "two or more positive numbers"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, values, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings(**values)
