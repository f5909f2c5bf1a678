"""What is heard in chunks is what is heard whole: outputs and text, for every causal mixer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.inference.decode import Beam
from crossover.inference.predictor import Predictor, load
from crossover.inference.saved import SavedModel
from crossover.inference.stream import Listener, chunks, stream_file
from crossover.measure.numerics import Numerics
from crossover.models.mixers import MIXERS
from crossover.models.model import build_model
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.tasks.base import Task
from crossover.train.loop import train
from crossover.train.settings import TrainSettings
from spoken import said, write_folder

NUMERICS = Numerics.default()
SETTINGS = {"rate": 8000, "mels": 20, "units": "words", "streaming": True}
SOUND = said(["low", "high", "mid", "low"], np.random.default_rng(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    write_folder(place / "sound")
    soundfile.write(place / "asked.wav", SOUND, 8000)
    return place


@pytest.fixture(scope="module")
def task(folder: Path) -> Task:
    return TASKS.get("speech")(DataOptions(data=str(folder / "sound"), settings=SETTINGS))


@pytest.fixture(scope="module")
def run(task: Task, folder: Path) -> Path:
    settings = TrainSettings(budget="60steps", learning_rate=0.02, batch=8)
    train(task, parse_model("gru[width=32,layers=1,dropout=0]"), settings, numerics=NUMERICS, folder=folder / "run")
    return folder / "run"


def untrained(task: Task, mixer: str) -> Predictor:
    settings = replace(parse_model("lstm"), name=mixer, mixers=(mixer,), width=32, layers=2, dropout=0.0)
    spec = task.spec
    model = build_model(settings, spec.inputs, spec.outputs, causal=True, seed=0).eval()
    return Predictor(model, SavedModel.of(spec, settings, task.artifacts()), Numerics(), Path("run"))


@pytest.mark.parametrize("mixer", MIXERS.names())
@pytest.mark.parametrize("size", [80, 333, 5000])
def test_chunks_give_what_the_whole_gives(task: Task, mixer: str, size: int) -> None:
    predictor = untrained(task, mixer)
    heard: list[torch.Tensor] = []
    predictor.model.head.register_forward_hook(lambda module, given, outputs: heard.append(outputs[0]))
    listener = Listener(predictor)
    pieces = [listener.accept(chunk_N) for chunk_N in chunks(SOUND, size)]
    streamed_TS = torch.cat(heard)
    steps_TC = torch.from_numpy(predictor.reader().front.steps(SOUND, "sound"))  # type: ignore[attr-defined]
    with torch.inference_mode():
        whole_TS = predictor.model(steps_TC[None])[0][0]
    torch.testing.assert_close(streamed_TS, whole_TS, atol=2e-5, rtol=1e-4)
    assert "".join(pieces) == listener.text
    assert listener.text


def test_a_trained_run_hears_a_file_whole_in_chunks_and_by_beam(run: Path, folder: Path) -> None:
    predictor = load(run)
    (whole,) = predictor.predict_file(folder / "asked.wav")
    assert whole == {"text": "low high mid low"}
    told: list[str] = []
    streamed = stream_file(predictor, folder / "asked.wav", chunk_ms=50, told=told.append)
    assert streamed.text == "".join(told) == whole["text"]
    assert len(told) > 1
    document = streamed.to_json()
    assert document["latency"]["samples"] == len(streamed.latencies) == -(-len(SOUND) // 400)
    assert document["real_time_factor"] == pytest.approx(sum(streamed.latencies) / (len(SOUND) / 8000))
    (searched,) = predictor.predict_file(folder / "asked.wav", writing=Beam(size=6, best=3))
    assert searched["text"] == whole["text"] and searched["score"] < 0
    assert len(searched["alternatives"]) == 2


def test_another_rate_and_a_folder_are_read_too(run: Path, folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "b.flac", said(["mid", "low"], np.random.default_rng(2), 16_000), 16_000)
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)
    found = load(run).predict_files([tmp_path])
    assert [(Path(row["file"]).name, row["text"]) for row in found] == [
        ("a.wav", "low high mid low"),
        ("b.flac", "mid low"),
    ]


def test_a_model_of_whole_recordings_or_of_labels_does_not_stream(folder: Path) -> None:
    data = str(folder / "sound")
    whole = TASKS.get("speech")(DataOptions(data=data, settings={**SETTINGS, "streaming": False}))
    spec, settings = whole.spec, replace(parse_model("lstm"), width=16, layers=1)
    model = build_model(settings, spec.inputs, spec.outputs, causal=False, seed=0).eval()
    predictor = Predictor(model, SavedModel.of(spec, settings, whole.artifacts()), Numerics(), Path("run"))
    with pytest.raises(ConfigError, match=r"reads whole recordings only: leave --stream out, or train one with"):
        Listener(predictor)
    settings_of_labels = {**SETTINGS, "units": "characters"}
    labels = TASKS.get("speech")(DataOptions(data=data, label="kind", settings=settings_of_labels))
    model = build_model(settings, labels.spec.inputs, labels.spec.outputs, causal=True, seed=0).eval()
    predictor = Predictor(model, SavedModel.of(labels.spec, settings, labels.artifacts()), Numerics(), Path("run"))
    with pytest.raises(ConfigError, match="does not transcribe"):
        Listener(predictor)
    with pytest.raises(ConfigError, match="writes no text, so a beam has no meaning"):
        predictor.predict_file(folder / "asked.wav", writing=Beam())
    assert predictor.predict_file(folder / "asked.wav")[0]["label"] in ("low", "mid", "high")


def test_samples_of_another_form_are_refused(task: Task) -> None:
    listener = Listener(untrained(task, "gru"))
    for samples in (np.zeros((800, 2), np.float32), np.zeros(800, np.int16), np.full(800, np.nan)):
        with pytest.raises(DataError, match=r"of type \w+: give finite floats \[N\] in -1 to 1, one channel"):
            listener.accept(samples)
    assert listener.accept(np.zeros(0)) == listener.accept([0.0] * 79) == ""  # type: ignore[arg-type]


def test_what_is_no_sound_and_a_chunk_of_nothing_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    predictor = load(run)
    with pytest.raises(DataError, match=r"text\.wav cannot be read as audio"):
        stream_file(predictor, tmp_path / "text.wav")
    with pytest.raises(ConfigError, match="chunks of 0 ms"):
        stream_file(predictor, tmp_path / "text.wav", chunk_ms=0)
    soundfile.write(tmp_path / "click.wav", SOUND[:300], 8000)
    with pytest.raises(DataError, match=r"click\.wav is too short: give sounds of at least 45 ms"):
        stream_file(predictor, tmp_path / "click.wav")
    with pytest.raises(DataError, match="takes no text: give WAV or FLAC files"):
        predictor.predict(["hello"])
