"""How clips of moving digits are drawn, and what the three tasks on them ask."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks import TASKS
from crossover.tasks.video.moving_digits import DigitImages, bounce, digits_by_split, draw, read_idx
from crossover.tasks.video.questions import ANSWERS, question_ids

NAMES = ("video/moving-digits", "video/moving-digits-next", "video/moving-digits-qa")


def built(name, **settings):
    return TASKS.get(name)(DataOptions(settings={"clips": 60, **settings}))


def test_digits_bounce_between_the_walls():
    corners = bounce(np.array([[[2.0, 0.0]]]), np.array([[[1.0, 2.0]]]), 7, 3)
    assert corners[0, 0, :, 0].tolist() == [2, 3, 2, 1, 0, 1, 2]
    assert corners[0, 0, :, 1].tolist() == [0, 2, 2, 0, 2, 2, 0]


def test_overlapping_digits_keep_the_brighter_pixel():
    digits = np.array([[[[9, 0], [0, 9]], [[5, 5], [5, 5]]]], dtype=np.uint8)
    corners = np.array([[[[0, 0], [1, 1]], [[0, 0], [0, 1]]]])
    frames = draw(digits, corners, 3)
    assert frames[0, 0].tolist() == [[9, 5, 0], [5, 9, 0], [0, 0, 0]]
    assert frames[0, 1].tolist() == [[0, 5, 5], [0, 9, 5], [0, 0, 9]]


def test_digits_are_split_before_clips_are_drawn():
    parts = digits_by_split("embedded")
    assert sum(len(part.labels_N) for part in parts.values()) == 1797
    seen = [{image.tobytes() for image in part.pixels_NHW} for part in parts.values()]
    # Two digits of the data set may be the same picture: those few may stand in two splits.
    assert len(seen[0] & seen[2]) < 3


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_a_function_of_its_seed_and_row_alone(name):
    few, more = (np.stack(built(name, clips=count).splits["train"].clips) for count in (30, 40))
    assert np.array_equal(few, more[:30])
    other = TASKS.get(name)(DataOptions(settings={"clips": 30}, split_seed=1))
    assert not np.array_equal(few, np.stack(other.splits["train"].clips))


def test_the_faster_digit_is_the_label():
    """Told from the pixels alone, where the digits do not overlap: how far the labelled one goes in two frames."""
    rows = built("video/moving-digits", size=36, frames=3, clips=30).splits["test"]
    digits = digits_by_split("embedded")["test"]
    gone = []
    for clip, label in zip(rows.clips, rows.targets, strict=True):
        before, after = (_places(frame, digits, label) for frame in clip[[0, 2]])
        if before and after:
            gone.append(np.hypot(*np.subtract(after[0], before[0])))
    assert len(gone) > 10 and np.mean(np.array(gone) > 1.5) > 0.9, "the slower one goes at most one pixel"


def _places(frame_HW, digits: DigitImages, label):
    """Where a digit of this label stands exactly; [] where it overlaps the other."""
    views = np.lib.stride_tricks.sliding_window_view(frame_HW, (8, 8)).reshape(-1, 64)
    known = {image.tobytes() for image in digits.pixels_NHW[digits.labels_N == label]}
    width = frame_HW.shape[1] - 7
    return [divmod(place, width) for place, view in enumerate(views) if view.tobytes() in known]


def test_a_question_is_words_and_then_frames():
    task = built("video/moving-digits-qa")
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=40)))
    words = batch.features["words"]
    for row in range(10):
        asked = int((words[row] > 0).sum())
        assert batch.lengths_B[row] == asked + 9 and not words[row, asked:].any()
        assert not batch.inputs[row, :asked].any() and batch.inputs[row, asked : asked + 9].any(1).all()
    assert question_ids("Where does the THREE move?").tolist() == question_ids("where does the three move ?").tolist()
    with pytest.raises(DataError, match="unknown word 'moovs': did you mean 'moves'"):
        question_ids("which digit moovs up?")


def test_answers_need_the_question_and_the_clip():
    task = built("video/moving-digits-qa", clips=400)
    part = task.drawn["train"]
    by_question = {question: set() for question in part.questions}
    for question, answer in zip(part.questions, part.answers_N, strict=True):
        by_question[question].add(ANSWERS[answer])
    assert by_question["which digit moves up?"] <= set("0123456789")
    assert len(by_question["which digit moves up?"]) > 5
    assert by_question["where does the three move?"] <= {"up", "down", "left", "right"}
    up = [
        i for i, question in enumerate(part.questions) if "where" in question and ANSWERS[part.answers_N[i]] == "up"
    ]
    rows_at = np.arange(16)[:, None]
    height = [[(frame * rows_at).sum() / frame.sum() for frame in part.clips_NTHW[i].astype(float)] for i in up]
    assert np.mean([h[-1] - h[0] for h in height]) < -1, "what moves up takes the picture's centre with it"


def test_a_part_of_the_input_can_be_left_out():
    clip = next(iter(built("video/moving-digits-qa", input="clip").batches("test", seed=0, epoch=0, batch=20)))
    assert clip.lengths_B.unique().tolist() == [9] and not clip.features["words"].any()
    asked = next(iter(built("video/moving-digits-qa", input="question").batches("test", seed=0, epoch=0, batch=20)))
    assert not asked.inputs.any() and bool((asked.features["words"][:, :4] > 0).all())


def test_a_model_that_sees_clips_alone_needs_no_questions(tmp_path):
    task = built("video/moving-digits-qa", input="clip")
    np.savez(tmp_path / "clips.npz", clips=task.drawn["test"].clips_NTHW[:3])
    batch = task.encode_file(tmp_path / "clips.npz")
    assert batch.inputs.shape == (3, 9, 256) and not batch.features["words"].any()


def test_the_next_frame_is_what_the_step_after_reads():
    task = built("video/moving-digits-next")
    train = next(iter(task.batches("train", seed=0, epoch=0, batch=4)))
    pixels = train.inputs * task.form.deviation_P[0] + task.form.mean_P[0]
    assert train.targets[:, 0].isnan().all() and not train.targets[:, 1:].isnan().any()
    torch.testing.assert_close(train.targets[:, 1:-1], pixels[:, 2:].float())
    valid = next(iter(task.batches("valid", seed=0, epoch=0, batch=4)))
    assert valid.targets[:, 1:9].isnan().sum() == 0 and valid.targets[:, 9:].isnan().all()
    assert valid.extra["future"].shape == (4, 5, 256)


@pytest.mark.parametrize(("told", "seen"), [(0.25, 0.25), (1.5, 1.0), (-0.5, 0.0)])
def test_a_rollout_reads_its_own_frames_only_as_pixels(told, seen):
    task = built("video/moving-digits-next")
    batch = next(iter(task.batches("valid", seed=0, epoch=0, batch=4)))
    read = []

    def step(inputs):
        read.append(inputs)
        return torch.full((*inputs.shape[:2], 256), told)

    outputs = task.rollout(step, batch)
    assert outputs.shape == (4, 14, 256) and [part.shape[1] for part in read] == [10, 1, 1, 1, 1]
    own = (seen - task.form.mean_P[0]) / task.form.deviation_P[0]
    assert all(torch.allclose(part, torch.tensor(own, dtype=torch.float32)) for part in read[1:])


def test_perfect_frames_have_no_error_and_full_similarity():
    task = built("video/moving-digits-next")
    batch = next(iter(task.batches("valid", seed=0, epoch=0, batch=4)))
    truth = torch.cat([batch.targets[:, :9].nan_to_num(), batch.extra["future"]], 1)
    scores = task.score(task.metrics(truth, batch))
    assert scores == {"mse": 0, "ssim": pytest.approx(1), "rollout_mse": 0, "loss": 0}
    worse = task.score(task.metrics(truth + 0.1, batch))
    assert worse["mse"] == pytest.approx(0.01) and worse["rollout_mse"] == pytest.approx(0.01)
    assert worse["ssim"] < 0.95


def test_ridge_on_two_frames_beats_the_last_frame():
    last, ridge = built("video/moving-digits-next", clips=400).baselines("valid")
    assert ridge.summary["mse"] < 0.85 * last.summary["mse"]
    assert ridge.summary["rollout_mse"] < last.summary["rollout_mse"]


def test_the_question_alone_tells_more_than_the_commonest_answer():
    task = built("video/moving-digits-qa", clips=400)
    majority, question, _ = task.baselines("valid")
    assert question.name == "question only" and question.score > majority.score
    # Half the questions ask for one of four ways, the others for one of ten digits.
    assert 0.1 < question.score < 0.35


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_checked(name):
    with pytest.raises(ConfigError, match="no room to move: give 12 or more"):
        built(name, size=9)
    with pytest.raises(ConfigError, match="does not read --data"):
        TASKS.get(name)(DataOptions(data="clips.npz"))


def idx(values):
    header = np.array([2048 + values.ndim, *values.shape], dtype=">i4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def test_idx_files_are_read_packed_or_not_and_checked(tmp_path):
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "images").write_bytes(idx(values))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(values)))
    for name in ("images", "packed"):
        assert np.array_equal(read_idx(tmp_path / name, dims=3), values)
    with pytest.raises(DataError, match="no idx file of 1 dims"):
        read_idx(tmp_path / "images", dims=1)
    (tmp_path / "images").write_bytes(idx(values)[:-1])
    with pytest.raises(DataError, match="holds 23 values and says 24"):
        read_idx(tmp_path / "images", dims=3)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "none", dims=3)


DATA = os.environ.get("CROSSOVER_DATA")
"""The real files are read where they are, else small ones of the same form that this test writes."""


def test_larger_digits_come_from_files(tmp_path, monkeypatch):
    if not DATA:
        monkeypatch.setenv("CROSSOVER_DATA", str(tmp_path))
        folder = tmp_path / "video" / "digits"
        folder.mkdir(parents=True)
        images, labels = np.random.default_rng(0).integers(0, 256, (300, 28, 28)), np.arange(300) % 10
        for name, values in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
            (Path(folder) / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
    parts = digits_by_split("mnist")
    assert sum(len(part.labels_N) for part in parts.values()) == (10_000 if DATA else 300)
    task = built("video/moving-digits", source="mnist", size=40)
    assert task.form.shape == (40, 40) and not task.spec.embedded
