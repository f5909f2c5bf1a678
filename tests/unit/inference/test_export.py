from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_language import TinyLanguage

from crossover.data.text import BEGIN, END, PAD
from crossover.errors import CheckpointError, ConfigError
from crossover.inference import export as exporting
from crossover.inference.decode import Sampling, only_text, write
from crossover.inference.export import export
from crossover.inference.onnx_programs import Program
from crossover.inference.predictor import load
from crossover.inference.saved import SavedModel, save_model
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.mixers.base import Mixer
from crossover.models.model import build_model
from crossover.models.ports import Frames, PerRow, PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
HYBRID = "lstm+attention[width=16,layers=2,heads=2]"
Compute = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    trained("transformer[width=16]", folder)
    return folder


def test_an_exported_folder_loads_as_the_same_model(run: Path, tmp_path: Path) -> None:
    (out,) = export(run, to="safetensors", out=tmp_path / "deep" / "model").files
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


def session(path: Path) -> Compute:
    """What a file computes in ONNX Runtime: named tensors to named tensors."""
    import onnxruntime

    opened = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken = {given.name for given in opened.get_inputs()}
    names = [given.name for given in opened.get_outputs()]

    def compute(given: dict[str, Any]) -> dict[str, Any]:
        fed = {name: np.asarray(value) for name, value in given.items() if name in taken}
        return dict(zip(names, opened.run(names, fed), strict=True))

    return compute


def goes_on(
    step: Callable[[dict[str, Any]], dict[str, Any]], state: dict[str, Any], last: int, count: int
) -> list[int]:
    """The likeliest tokens, one step after the other from a state, as a user of the files would take them."""
    found = []
    for _ in range(count):
        after = step({"inputs": np.array([[last]]), **state})
        state = {**state, **{name.removeprefix("next_"): value for name, value in after.items()}}
        last = int(only_text(torch.from_numpy(after["outputs"][:, -1])).argmax())
        found.append(last)
    return found


def trained(model: str, folder: Path) -> None:
    train(TinyLanguage(), parse_model(model), TrainSettings(budget="2steps"), numerics=NUMERICS, folder=folder)


def test_a_language_model_goes_on_in_onnx_runtime_as_in_pytorch(tmp_path: Path) -> None:
    trained("gpt[width=16,layers=1,heads=2]", tmp_path)
    exported = export(tmp_path, to="onnx", out=tmp_path / "model.onnx")
    assert [path.name for path in exported.files] == ["model.onnx", "model.step.onnx"]
    assert exported.latency.keys() == {"sequence", "step"} and exported.latency["step"]["onnx"]["p50"] > 0
    prompt = [4, 5, 6, 4]
    read = session(exported.files[0])({"inputs": [prompt]})
    first = int(only_text(torch.from_numpy(read.pop("outputs")[:, -1])).argmax())
    written = [first, *goes_on(session(exported.files[1]), read, first, 4)]
    assert written == list(load(tmp_path).continue_ids(prompt, tokens=5, sampling=Sampling(temperature=0)))


def test_an_encoder_decoder_writes_in_onnx_runtime_as_in_pytorch(tmp_path: Path) -> None:
    inputs, outputs = SourceTarget(source=Tokens(vocabulary=9), target=Tokens(vocabulary=8)), PerStep(size=8)
    model = build_model(parse_model(HYBRID), inputs, outputs, causal=True, seed=3).eval()
    described = SavedModel(
        task="pairs", task_family="pairs", objective="translation", metric="loss",
        settings=model.settings, inputs=inputs, outputs=outputs, causal=True,
    )  # fmt: skip
    save_model(tmp_path, model.state_dict(), described)
    read, step = (session(path) for path in export(tmp_path, to="onnx", out=tmp_path / "model.onnx").files)
    ids, lengths = torch.tensor([[4, 5, 6, 7, 8], [5, 4, 6, 0, 0]]), torch.tensor([5, 3])
    expected = write(model, Source(ids, lengths), NUMERICS, limit=6)
    state = read({"source": ids, "lengths": lengths})
    for row in range(2):
        own = {name: part[row : row + 1] for name, part in state.items()}
        written = goes_on(step, own, BEGIN, 6)
        kept = written[: written.index(END)] if END in written else written
        assert kept == [token for token in expected[row].tolist() if token != PAD]


def test_a_causal_model_of_frames_goes_on_in_onnx_runtime(tmp_path: Path) -> None:
    inputs = Frames(height=9, width=6)
    read, step = (session(path) for path in exported_untrained(inputs, PerStep(size=4), tmp_path))
    given = np.random.default_rng(0).standard_normal((2, 7, inputs.channels)).astype(np.float32)
    state = read({"inputs": given[:, :5]})
    outputs = [state.pop("outputs")]
    for time in (5, 6):
        after = step({"inputs": given[:, time : time + 1], **state})
        outputs.append(after.pop("outputs"))
        state = {name.removeprefix("next_"): value for name, value in after.items()}
    with torch.inference_mode():
        expected, _ = load(tmp_path).model(torch.from_numpy(given))
    np.testing.assert_allclose(np.concatenate(outputs, 1), expected, atol=1e-4)


def test_a_model_that_labels_clips_is_one_file(tmp_path: Path) -> None:
    inputs = Frames(height=6, width=9, colours=3, features={"words": 4})
    (path,) = exported_untrained(inputs, PerRow(size=3), tmp_path)
    given = np.random.default_rng(0).standard_normal((2, 7, inputs.channels)).astype(np.float32)
    words = np.arange(14).reshape(2, 7) % 4
    with torch.inference_mode():
        expected, _ = load(tmp_path).model(torch.from_numpy(given), {"words": torch.from_numpy(words)})
    found = session(path)({"inputs": given, "words": words})
    np.testing.assert_allclose(found["outputs"], expected, atol=1e-4)


def exported_untrained(inputs: Frames, outputs: PerStep | PerRow, folder: Path) -> list[Path]:
    """The ONNX files of a model with its initial weights, causal where it gives outputs for each step."""
    causal = isinstance(outputs, PerStep)
    settings = parse_model(f"{'gru' if causal else 'attention'}[width=8,layers=1]")
    model = build_model(settings, inputs, outputs, causal=causal, seed=3)
    described = SavedModel(
        task="any", task_family="any", objective="any", metric="loss",
        settings=model.settings, inputs=inputs, outputs=outputs, causal=causal,
    )  # fmt: skip
    save_model(folder, model.state_dict(), described)
    return export(folder, to="onnx", out=folder / "model.onnx").files


def test_mixers_without_a_fast_form_are_exported_by_their_definitions_and_timed_beside_their_fast_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("mingru+xl-attention[width=16,layers=2,heads=2,memory=8]", tmp_path)
    timed = []

    def latency(path: Path, program: Program, module: torch.nn.Module) -> dict[str, Any]:
        timed.append((defined(program.module), defined(module)))
        return {}

    monkeypatch.setattr(exporting, "_latency", latency)
    exported = export(tmp_path, to="onnx", out=tmp_path / "model.onnx")
    assert timed[-2:] == [(True, False)] * 2
    prompt = np.arange(40)[None] % 3 + 4
    outputs = session(exported.files[0])({"inputs": prompt})["outputs"]
    with torch.inference_mode():
        expected, _ = load(tmp_path).model(torch.from_numpy(prompt))
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def defined(module: torch.nn.Module) -> bool:
    """Whether its mixers compute by their definitions."""
    return any("forward" in vars(part) for part in module.modules() if isinstance(part, Mixer))
