from __future__ import annotations

import json

import pytest

from crossover.errors import CheckpointError, ConfigError, LayoutError
from crossover.measure.numerics import Numerics
from crossover.models.counting import count_parameters
from crossover.parallel.layout import Layout
from crossover.study.scale import ScaleRequest, in_every_way, scale

PLAIN = Numerics()


def without_embedding(workload):
    count = count_parameters(workload.model, workload.inputs, workload.outputs, causal=True)
    return count.without_embedding


@pytest.mark.parametrize(("axis", "value"), [("length", 64), ("width", 96), ("batch", 8), ("depth", 3)])
def test_models_are_matched_at_every_value(axis, value):
    request = ScaleRequest(models=("lstm", "mingru", "transformer"), axis=axis, values=(value,))
    workloads = [request.workload(model, "train", PLAIN, value) for model in request.models]
    counts = [without_embedding(workload) for workload in workloads]
    assert max(counts) / min(counts) < 1.06
    sizes = {
        "length": workloads[0].time,
        "width": workloads[0].model.width,
        "batch": workloads[0].batch,
        "depth": workloads[0].model.layers,
    }
    assert sizes[axis] == value


def test_a_width_in_brackets_is_kept():
    request = ScaleRequest(models=("lstm", "transformer[width=64]"), axis="length", values=(64, 128))
    assert request.workload("transformer[width=64]", "train", PLAIN, 64).model.width == 64
    assert request.workload("lstm", "train", PLAIN, 64).model.width == 128


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"models": ["lstmm"]}, ConfigError, "did you mean 'lstm'"),
        ({"models": ["lstm", "lstm"]}, ConfigError, "name one twice"),
        ({"models": []}, ConfigError, "no model to measure"),
        ({"models": ["lstm[causal=false]"]}, ConfigError, "bidirectional"),
        ({"passes": ["trian"]}, ConfigError, "did you mean 'train'"),
        ({"layout": Layout(tensor=3)}, LayoutError, "tensor=3 does not divide"),
        ({"layout": Layout(data=8)}, LayoutError, "data=8 needs as many rows, and a batch has 4"),
        ({"models": ["transformer"], "axis": "width=63,65"}, ConfigError, "heads"),
        ({"device": "tpu"}, ConfigError, "unknown device"),
    ],
)
def test_a_wrong_request_is_refused_before_any_work(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        scale(**{"models": ["lstm"], **options}, folder=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_study_from_measuring_to_file(tmp_path):
    lines = []
    options = {
        "models": ["gru", "transformer"],
        "axis": "length=4,8,16",
        "width": 32,
        "batch": 2,
        "passes": ("train", "decode"),
        "time_limit": 120.0,
        "numerics": PLAIN,
    }
    document = scale(**options, folder=tmp_path, tell=lines.append, command="crossover scale")
    assert json.loads((tmp_path / "study.json").read_text()) == json.loads(json.dumps(document))
    curves = document["scale"]["curves"]
    assert [(c["model"], c["pass"]) for c in curves] == [
        ("gru", "train"),
        ("transformer", "train"),
        ("gru", "decode"),
        ("transformer", "decode"),
    ]
    for curve in curves:
        assert [point["x"] for point in curve["points"]] == [4, 8, 16]
        for point in curve["points"]:
            assert 0 < point["step_seconds"]["low"] <= point["step_seconds"]["value"] <= point["step_seconds"]["high"]
            assert point["peak_bytes"] > 0 and point["flops_forward"] > 0
        assert set(curve["exponents"]) == {"time", "memory", "flops"}
        assert curve["exponents"]["time"]["low"] <= curve["exponents"]["time"]["value"]
    train, decode = curves[0], curves[2]
    assert train["exponents"]["flops"]["value"] == pytest.approx(1.0, abs=0.02)
    assert decode["exponents"]["flops"]["value"] == pytest.approx(0.0, abs=0.02)
    assert all(point["flops_backward"] == 0 for point in decode["points"])
    pairs = {(c["a"], c["b"], c["measure"], c["pass"]) for c in document["scale"]["crossings"]}
    assert ("gru", "transformer", "memory", "decode") in pairs and len(pairs) == 6
    assert document["machine"]["steady"] in (True, False)
    assert any("length 16, decode" in line for line in lines)
    assert scale(**options, folder=tmp_path)["created"] == document["created"]
    with pytest.raises(CheckpointError, match="another study"):
        scale(**{**options, "batch": 3}, folder=tmp_path)


def test_every_way_of_solving_is_a_curve_of_its_own_and_the_points_say_which(tmp_path):
    options = {"width": 16, "layers": 1, "memory": False, "numerics": PLAIN, "folder": tmp_path, "batch": 2}
    document = scale(["diagonal-gru", "lstm"], "length=16,32", solvers="all", **options)
    curves = {curve["model"]: curve["points"] for curve in document["scale"]["curves"]}
    ways = {f"diagonal-gru[solver={way}]": way for way in ("sequential", "newton")}
    assert list(curves) == [*ways, "lstm"]
    for name, points in curves.items():
        assert [point["solver"] for point in points] == [ways.get(name, "default")] * 2
    crossings = {(c["a"], c["b"]) for c in document["scale"]["crossings"] if c["measure"] == "time"}
    assert tuple(ways) in crossings


def test_a_hybrid_is_solved_in_every_way_at_once():
    assert in_every_way("diagonal-gru+mingru") == [
        "diagonal-gru+mingru[diagonal-gru.solver=sequential,mingru.solver=sequential]",
        "diagonal-gru+mingru[diagonal-gru.solver=newton,mingru.solver=scan]",
    ]
    assert in_every_way("transformer") == ["transformer"]
    assert in_every_way("mingru[solver=scan]") == ["mingru[solver=scan]"]


def test_what_there_is_no_time_for_is_null_with_the_reason(tmp_path):
    document = scale(
        ["gru"], "length=8,16384", folder=tmp_path, width=16, layers=1, memory=False, time_limit=0.2, numerics=PLAIN
    )
    first, last = document["scale"]["curves"][0]["points"]
    assert first["step_seconds"] is not None and first["peak_bytes"] is None
    assert last["step_seconds"] is None and "time limit of" in last["note"]
    assert last["flops_forward"] > 0
