from __future__ import annotations

import json

import pytest
import torch

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.workload import Workload, filled_state, probe_loss, random_inputs
from crossover.models.model import build_model
from crossover.models.ports import Continuous, Frames, PerRow, PerStep, Tokens
from crossover.models.presets import parse_model

MODEL = parse_model("gru[layers=1,width=16,dropout=0.0]")


@pytest.mark.parametrize("kind", ["train", "encode", "decode"])
def test_a_pass_gives_finite_values_again_and_again(kind):
    step = Workload(model=MODEL, batch=2, time=9, kind=kind).prepare()
    results = [step() for _ in range(3)]
    assert all(torch.isfinite(result).all() for result in results)
    assert results[0].shape == {"train": (), "encode": (2, 9, 256), "decode": (2, 1, 256)}[kind]


def test_training_lowers_the_loss():
    step = Workload(model=MODEL, batch=2, time=9).prepare()
    first = float(step())
    for _ in range(60):
        last = float(step())
    assert last < first


@pytest.mark.parametrize("model", ["gru[layers=1,width=16]", "transformer[layers=1,width=16]"])
def test_decoding_goes_on_from_the_state_that_whole_sequences_give(model):
    built = build_model(parse_model(model), Tokens(vocabulary=20), PerStep(size=20), causal=True, seed=0).eval()
    numerics = Numerics()
    state = filled_state(built, 2, 200, numerics, seed=0)
    chunks = [random_inputs(built.inputs, 2, size, start)[0] for start, size in ((0, 128), (128, 72))]
    following = random_inputs(built.inputs, 2, 1, 9)[0]
    with torch.inference_mode():
        whole, _ = built(torch.cat([*chunks, following], dim=1))
        step, _ = built(following, state=state)
    torch.testing.assert_close(step[:, 0], whole[:, -1], atol=1e-5, rtol=1e-4)


def test_costs_are_those_of_the_pass():
    step = Workload(model=MODEL, batch=2, time=64, kind="decode").cost()
    whole = Workload(model=MODEL, batch=2, time=64, kind="encode").cost()
    assert whole.flops_forward == pytest.approx(64 * step.flops_forward)


def test_a_workload_survives_json():
    workload = Workload(
        model=parse_model("transformer[width=32,heads=2]"),
        inputs=Continuous(channels=3),
        outputs=PerRow(size=1, pool="last"),
        causal=False,
        batch=3,
        kind="encode",
    )
    assert Workload.from_json(json.loads(json.dumps(workload.to_json()))) == workload
    per_step = Workload(model=MODEL, inputs=Tokens(vocabulary=9, features={"tag": 4}), outputs=PerStep(size=9))
    assert Workload.from_json(json.loads(json.dumps(per_step.to_json()))) == per_step


@pytest.mark.parametrize(
    "inputs", [Tokens(vocabulary=9, features={"tag": 4}), Frames(height=6, width=5, features={"words": 4})]
)
def test_features_and_single_outputs_train_too(inputs):
    step = Workload(model=MODEL, inputs=inputs, outputs=PerRow(size=1), causal=False, batch=2, time=5).prepare()
    assert torch.isfinite(step())
    assert probe_loss(torch.full((4, 1), 2.0)) == 4.0


@pytest.mark.parametrize(
    ("options", "message"), [({"kind": "trian"}, "did you mean 'train'"), ({"batch": 0}, "must both be 1 or more")]
)
def test_what_cannot_be_run_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Workload(model=MODEL, **options)
