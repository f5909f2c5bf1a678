"""Frames to inputs and back, and rows of clips with token streams of their own length."""

from __future__ import annotations

import numpy as np
import pytest

from crossover.data.clips import Clips
from crossover.data.png import PREFIX
from crossover.errors import DataError
from crossover.models.ports import Continuous, Frames
from crossover.tasks.video.frame_form import ClipRows, FrameForm, simple_view


def clips(*frame, dtype=np.float32):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (t, *frame)).astype(dtype) for t in (3, 5)]


def test_pictures_have_one_mean_and_bytes_count_to_one():
    given = clips(4, 6, dtype=np.uint8)
    form = FrameForm.of(given)
    values = np.concatenate(given) / 255
    assert form.mean_P == pytest.approx(values.mean()) and form.deviation_P == pytest.approx(values.std())
    assert form.port({"words": 3}) == Frames(height=4, width=6, colours=1, features={"words": 3})
    scores = form.scores(given[1])
    assert scores.shape == (5, 24) and scores.dtype == np.float32
    np.testing.assert_allclose(form.values(scores), given[1] / 255, atol=1e-6)
    assert form.strip(given[1]).startswith(PREFIX)


def test_numbers_have_a_mean_each_and_no_picture():
    given = clips(7)
    form = FrameForm.of(given)
    assert form.port() == Continuous(channels=7) and form.strip(given[0]) == ""
    np.testing.assert_allclose(form.mean_P, np.concatenate(given).mean(0), rtol=1e-6)
    np.testing.assert_allclose(np.concatenate([form.scores(clip) for clip in given]).std(0), 1, rtol=1e-5)


def test_numbers_of_one_unit_have_one_deviation():
    given = [clip * np.arange(1, 8) for clip in clips(7)]
    form = FrameForm.of(given, one_unit=True)
    assert form.deviation_P == pytest.approx([np.sqrt(np.concatenate(given).var(0).mean())])
    assert form.mean_P.shape == (7,)


def test_it_survives_json_and_refuses_other_frames():
    form = FrameForm.of(clips(4, 6, 3))
    again = FrameForm.from_json(form.to_json())
    given = clips(4, 6, 3)[0]
    assert np.array_equal(again.scores(given), form.scores(given)) and again.port() == form.port()
    with pytest.raises(DataError, match="here has frames of 4 x 6, train has 4 x 6 x 3"):
        form.check(Clips(clips(4, 6)), "here")
    form.check(Clips(clips(4, 6, 3)), "here")


@pytest.mark.parametrize(
    "damage", [{"shape": []}, {"shape": [4, 0]}, {"mean": [0.0, 0.0]}, {"deviation": [0.0]}, {"deviation": 1.0}]
)
def test_a_damaged_form_is_refused(damage):
    with pytest.raises(ValueError, match=r"a frame of|are needed"):
        FrameForm.from_json({**FrameForm.of(clips(4, 6)).to_json(), **damage})


def test_a_token_stream_that_is_longer_begins_before_the_frames():
    given = clips(2)
    form = FrameForm.of(given)
    words = [np.array([5, 6, 0, 0, 0]), np.array([7, 0, 0, 0, 0, 0])]
    rows = ClipRows(clips=given, form=form, targets=np.array([0, 1]), features={"words": words})
    batch = rows.gather(np.array([1, 0]))
    assert batch.lengths_B.tolist() == [6, 5]
    assert batch.features["words"].tolist() == [[7, 0, 0, 0, 0, 0], [5, 6, 0, 0, 0, 0]]
    assert not batch.inputs[0, :1].any() and not batch.inputs[1, :2].any()
    np.testing.assert_array_equal(batch.inputs[1, 2:5].numpy(), form.scores(given[0]))


def test_large_frames_are_averaged_for_simple_classifiers():
    given = [np.repeat(np.repeat(np.arange(64.0).reshape(1, 8, 8), 2, axis=1), 2, axis=2)]
    form = FrameForm.of(given)
    seen = simple_view(form, given[0]) * form.deviation_P + form.mean_P
    np.testing.assert_allclose(seen, np.arange(64.0)[None], atol=1e-4)
