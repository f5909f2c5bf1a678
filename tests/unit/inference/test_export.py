from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_language import TinyLanguage

from crossover.errors import CheckpointError, ConfigError
from crossover.inference import export as exporting
from crossover.inference.export import export
from crossover.inference.predictor import load
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.train.loop import train
from crossover.train.settings import TrainSettings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    settings = TrainSettings(budget="2steps")
    train(TinyLanguage(), parse_model("transformer[width=16]"), settings, numerics=Numerics.default(), folder=folder)
    return folder


def test_an_exported_folder_loads_as_the_same_model(run: Path, tmp_path: Path) -> None:
    out = export(run, to="safetensors", out=tmp_path / "deep" / "model")
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "artifacts.json"}
    for name, value in load(run).model.state_dict().items():
        assert torch.equal(load(out).model.state_dict()[name], value)


def test_missing_packages_are_named_with_the_extra(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs more packages: pip install onnx onnxscript onnxruntime"):
        export(run, to="onnx", out=tmp_path / "model.onnx")


def test_an_unknown_format_and_an_unwritable_place_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        export(run, to="onxx", out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        export(run, to="safetensors", out=tmp_path / "file")
