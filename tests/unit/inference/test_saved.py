from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossover.errors import CheckpointError
from crossover.inference.saved import SavedModel, load_model, save_model
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Continuous, Frames, Inputs, Outputs, PerRow, PerStep, Tokens
from crossover.models.presets import parse_model


def _saved(name: str, inputs: Inputs, outputs: Outputs, causal: bool) -> tuple[SequenceModel, SavedModel]:
    settings = parse_model(name)
    saved = SavedModel(
        task="t",
        task_family="f",
        objective="classification",
        metric="accuracy",
        settings=settings,
        inputs=inputs,
        outputs=outputs,
        causal=causal,
        artifacts={"labels": ["a", "ü"]},
    )
    return build_model(settings, inputs, outputs, causal=causal, seed=0), saved


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "causal"),
    [
        ("lstm[width=16]", Tokens(vocabulary=9, features={"tags": 4}), PerRow(size=3, pool="max"), False),
        ("gpt[width=16,max_length=8]", Tokens(vocabulary=9), PerStep(size=9), True),
        ("llama-like[width=16]", Continuous(channels=2), PerRow(size=1, pool="flatten", steps=4), False),
        ("gru[width=16]", Frames(height=6, width=5, features={"words": 4}), PerRow(size=3), False),
        ("lstm+attention[width=16]", Tokens(vocabulary=9), PerStep(size=9), True),
    ],
)
def test_a_model_comes_back_as_it_was(
    tmp_path: Path, name: str, inputs: Inputs, outputs: Outputs, causal: bool
) -> None:
    model, saved = _saved(name, inputs, outputs, causal)
    save_model(tmp_path, model.state_dict(), saved)
    loaded, described = load_model(tmp_path)
    assert described == saved and not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


@pytest.mark.parametrize(
    "damage", ["weights cut", "weights text", "json cut", "other sizes", "other port", "no json"]
)
def test_a_damaged_model_is_one_sentence(tmp_path: Path, damage: str) -> None:
    model, saved = _saved("lstm[width=16]", Tokens(vocabulary=9), PerRow(size=3), False)
    save_model(tmp_path, model.state_dict(), saved)
    weights, described = tmp_path / "model.safetensors", tmp_path / "artifacts.json"
    values = json.loads(described.read_text())
    if damage == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif damage == "weights text":
        weights.write_text("hello")
    elif damage == "json cut":
        described.write_text(described.read_text()[:50])
    elif damage == "other sizes":
        described.write_text(json.dumps({**values, "model": {**values["model"], "width": 32}}))
    elif damage == "other port":
        described.write_text(json.dumps({**values, "inputs": {"kind": "smells"}}))
    else:
        described.write_text("[]")
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value) and "train" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"artifacts\.json is missing"):
        load_model(tmp_path)
