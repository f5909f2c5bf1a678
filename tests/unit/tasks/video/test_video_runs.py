"""Runs on moving digits: a few steps, and what they predict from files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from crossover.cli import main
from crossover.data.options import DataOptions
from crossover.errors import DataError
from crossover.inference.predictor import load
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")


def run(name, folder, model):
    task = TASKS.get(name)(DataOptions(settings={"clips": 40}))
    settings = TrainSettings(budget="3steps", batch=8)
    result = train(task, parse_model(model), settings, numerics=Numerics.default(), folder=folder)
    return task, result.record


@pytest.mark.parametrize("model", ["gru[width=8]", "attention[width=8,heads=2]"])
def test_questions_are_answered_from_a_file(tmp_path, model):
    task, record = run("video/moving-digits-qa", tmp_path / "run", model)
    assert all(PICTURE.fullmatch(sample["input_picture"]) for sample in record.samples)
    assert {"which", "where"} >= {sample["input"].split()[0] for sample in record.samples}
    part = task.drawn["test"]
    np.savez(tmp_path / "asked.npz", clips=part.clips_NTHW[:3], questions=np.array(part.questions[:3]))
    found = load(tmp_path / "run").predict_file(tmp_path / "asked.npz")
    assert len(found) == 3 and set(found[0]["probabilities"]) == set(task.spec.labels)
    np.savez(tmp_path / "mute.npz", clips=part.clips_NTHW[:3])
    with pytest.raises(DataError, match=r"mute\.npz holds no questions"):
        load(tmp_path / "run").predict_file(tmp_path / "mute.npz")


@pytest.mark.parametrize("model", ["lstm[width=8]", "linear-attention[width=8,heads=2]", "gpt[width=8,heads=2]"])
def test_next_frames_are_written_as_arrays(tmp_path, model):
    model = model.replace("gpt[", "gpt[tie_embeddings=false,")
    task, record = run("video/moving-digits-next", tmp_path / "run", model)
    for part in ("input", "target", "prediction"):
        assert all(PICTURE.fullmatch(sample[f"{part}_picture"]) for sample in record.samples)
    assert abs(record.summary["ssim"]) < 0.9 and record.summary["rollout_mse"] > 0
    seen = task.splits["test"].clips[:2, :7]
    np.savez(tmp_path / "seen.npz", clips=seen)
    found = load(tmp_path / "run").predict_file(tmp_path / "seen.npz")
    assert np.shape([row["frames"] for row in found]) == (2, 5, 16, 16)
    command = ["predict", str(tmp_path / "run"), "--file", str(tmp_path / "seen.npz"), "--out"]
    assert main([*command, str(tmp_path / "next.npz")]) == 0
    with np.load(tmp_path / "next.npz", allow_pickle=False) as written:
        np.testing.assert_allclose(written["clips"], [row["frames"] for row in found], atol=1e-3)
    assert main([*command, str(tmp_path / "next.jsonl")]) == 0
    assert len([json.loads(line) for line in (tmp_path / "next.jsonl").read_text().splitlines()]) == 2
    np.savez(tmp_path / "mixed.npz", clips=seen.reshape(-1, 16, 16), lengths=np.array([6, 8]))
    with pytest.raises(DataError, match=r"mixed\.npz has clips of 6 to 8 frames"):
        load(tmp_path / "run").predict_file(tmp_path / "mixed.npz")
    np.savez(tmp_path / "bytes.npz", clips=seen.astype(np.int64))
    with pytest.raises(DataError, match=r"bytes\.npz has pixels of 0 to 255: give bytes, or 0 to 1"):
        load(tmp_path / "run").predict_file(tmp_path / "bytes.npz")


def test_labels_are_no_arrays(tmp_path, capsys):
    task, _ = run("video/moving-digits", tmp_path / "run", "gru[width=8]")
    np.savez(tmp_path / "clips.npz", clips=np.stack(task.splits["test"].clips[:2]))
    command = ["predict", str(tmp_path / "run"), "--file", str(tmp_path / "clips.npz")]
    assert main(command) == 0 and '"label"' in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "out.npz")]) == 2
    assert "give --out FILE.jsonl" in capsys.readouterr().err
