"""Clips of one's own: split, trained a few steps, and predicted from the saved run without the data."""

from __future__ import annotations

import numpy as np
import pytest

from clip_files import film
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.inference.predictor import load
from crossover.measure.numerics import Numerics
from crossover.models.ports import Continuous, Frames
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.testing import check_task
from crossover.train.loop import train
from crossover.train.settings import TrainSettings


def clips(count=40, side=9, frames=5, colours=()):
    """A bright dot that goes to the right, or to the left."""
    pixels = np.zeros((count, frames, side, side, *colours), dtype=np.uint8)
    for row in range(count):
        for t in range(frames):
            pixels[row, t, row % side, t if row % 2 else side - 1 - t] = 255
    return pixels, np.array(["left", "right"])[np.arange(count) % 2]


def own(**options):
    settings = options.pop("settings", {})
    return TASKS.get("video")(DataOptions(settings=settings, **options))


def trained(task, folder, model="gru[width=16,layers=1,dropout=0.0]", steps=30):
    settings = TrainSettings(budget=f"{steps}steps", learning_rate=0.01, batch=8)
    return train(task, parse_model(model), settings, numerics=Numerics.default(), folder=folder).record


@pytest.fixture
def file(tmp_path):
    pixels, labels = clips()
    np.savez(tmp_path / "clips.npz", clips=pixels, labels=labels)
    return tmp_path / "clips.npz"


@pytest.mark.parametrize("model", ["lstm", "mingru", "transformer", "convolution"])
def test_a_run_predicts_new_clips_without_the_data(file, tmp_path, model):
    task = own(data=str(file))
    assert task.spec.inputs == Frames(height=9, width=9) and task.spec.labels == ("left", "right")
    record = trained(task, tmp_path / "run", f"{model}[width=16,layers=1,dropout=0.0]", steps=40)
    file.unlink()
    pixels, labels = clips(6)
    np.savez(tmp_path / "new.npz", clips=pixels)
    found = load(tmp_path / "run").predict_file(tmp_path / "new.npz")
    assert record.summary["accuracy"] > 0.7
    assert np.mean([row["label"] == label for row, label in zip(found, labels, strict=True)]) > 0.7
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in found)
    np.savez(tmp_path / "small.npz", clips=pixels[:, :, :4])
    with pytest.raises(DataError, match=r"small\.npz has frames of 4 x 9, train has 9 x 9"):
        load(tmp_path / "run").predict_file(tmp_path / "small.npz")
    with pytest.raises(DataError, match=r"takes no text: give clips in an \.npz file"):
        load(tmp_path / "run").predict(["left"])


@pytest.mark.parametrize("colours", [(), (3,)])
def test_it_passes_the_suite(tmp_path, colours):
    pixels, labels = clips(colours=colours)
    lengths = np.random.default_rng(0).integers(2, 6, len(pixels))
    frames = np.concatenate([row[:length] for row, length in zip(pixels, lengths, strict=True)])
    np.savez(tmp_path / "clips.npz", clips=frames, lengths=lengths, labels=labels)
    task = own(data=str(tmp_path / "clips.npz"))
    assert not [result for result in check_task(task) if not result.passed]
    assert task.spec.inputs == Frames(height=9, width=9, colours=3 if colours else 1)


def test_rows_of_numbers_are_clips_too(tmp_path):
    pixels, labels = clips()
    np.savez(tmp_path / "joints.npz", clips=pixels[:, :, 0].astype(float), labels=labels)
    assert own(data=str(tmp_path / "joints.npz")).spec.inputs == Continuous(channels=9)


def test_frames_are_left_out_in_training_and_predicting_alike(file, tmp_path):
    task = own(data=str(file), settings={"stride": 2, "frames": 2})
    assert task.spec.max_length == 2
    trained(task, tmp_path / "run", steps=2)
    assert task.encode_file(file).inputs.shape == (40, 2, 81)


def test_video_files_are_a_task_and_predicted(tmp_path):
    for way in ("left", "right"):
        for number in range(6):
            film(tmp_path / "films" / way / f"{number}.mp4", frames=3 + number, moves=way)
    task = own(data=str(tmp_path / "films"), settings={"size": 8})
    assert task.spec.inputs == Frames(height=8, width=8) and task.spec.max_length == 8
    trained(task, tmp_path / "run", steps=2)
    (found,) = load(tmp_path / "run").predict_file(film(tmp_path / "new.mp4"))
    assert set(found["probabilities"]) == {"left", "right"}


def test_a_given_split_is_kept_and_faults_are_told(file, tmp_path):
    task = own(train=file, test=file)
    assert (task.size("train"), task.size("valid"), task.size("test")) == (32, 8, 40)
    with pytest.raises(ConfigError, match=r"needs labelled data: give --data FILE\.npz"):
        own()
    pixels, labels = clips(side=7)
    np.savez(tmp_path / "other.npz", clips=pixels, labels=labels)
    with pytest.raises(DataError, match="the test clips have frames of 7 x 7, those of train 9 x 9"):
        own(train=file, test=tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", clips=pixels)
    with pytest.raises(DataError, match=r"other\.npz holds no labels"):
        own(data=str(tmp_path / "other.npz"))
    np.savez(tmp_path / "other.npz", clips=pixels, labels=np.repeat("left", len(pixels)))
    with pytest.raises(ConfigError, match="every clip has the label 'left'"):
        own(data=str(tmp_path / "other.npz"))
