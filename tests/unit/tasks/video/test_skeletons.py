"""Actions from skeletons: how people are made alike, varied, split, and read again for predictions."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from clip_files import archive, text
from crossover.data.options import DataOptions
from crossover.errors import DataError
from crossover.tasks import RESTORERS, TASKS
from crossover.tasks.video.skeletons import sketch, smoothed, upright, varied, with_velocities

DATA = os.environ.get("CROSSOVER_DATA")
"""The real recordings are counted where they are, else small ones of the same form that these tests write."""


def walk(frames, seed):
    """Joints that stand apart and move."""
    generator = np.random.default_rng(seed)
    return (generator.uniform(50, 200, (20, 3)) + generator.normal(0, 3, (frames, 20, 3)).cumsum(0)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "video" / "action3d"
    folder.mkdir(parents=True)
    files = {
        f"a{action:02}_s{subject:02}_e01": text(walk(4 + subject % 3, 100 * action + subject))
        for action in range(1, 21)
        for subject in range(1, 11)
    }
    archive(folder / "msraction3d_skeleton_txt.tar.xz", files)
    return folder.parent.parent


@pytest.fixture
def built(monkeypatch, folder):
    monkeypatch.setenv("CROSSOVER_DATA", str(folder))
    return lambda **settings: TASKS.get("video/action3d")(DataOptions(settings=settings))


def test_people_are_made_alike():
    joints = walk(5, 0)
    same = upright(joints * 1.7 + np.array([30, -20, 400]))
    np.testing.assert_allclose(same, upright(joints), atol=1e-4)
    assert not same[:, 6].any(), "the hip is where everything is measured from"
    assert np.linalg.norm(same[:, 2, :2], axis=1).mean() == pytest.approx(1)


def test_smoothing_keeps_parabolas_and_takes_noise():
    time = np.arange(12.0)[:, None, None]
    parabola = np.broadcast_to(time**2 - 3 * time, (12, 2, 3))
    np.testing.assert_allclose(smoothed(parabola)[2:-2], parabola[2:-2], atol=1e-3)
    noise = np.random.default_rng(0).normal(size=(400, 2, 3))
    assert smoothed(noise).std() < 0.75 * noise.std()
    assert np.array_equal(smoothed(noise[:4]), noise[:4]), "too short to be smoothed"


def test_velocities_stand_beside_positions():
    channels = with_velocities(np.arange(12.0).reshape(2, 2, 3) ** 2)
    assert channels.shape == (2, 12) and not channels[0, 6:].any()
    np.testing.assert_allclose(channels[1, 6:], 5 * (channels[1, :6] - channels[0, :6]))


def test_what_is_varied_stays_near_and_ends_where_it_ended():
    joints = upright(walk(30, 1))
    changed = varied(joints, np.random.default_rng(0))
    assert changed.shape == joints.shape and changed.dtype == np.float32
    assert 0.05 < np.abs(changed - joints).mean() < 0.5 * np.abs(joints).mean()
    assert len(varied(joints[:1], np.random.default_rng(0))) == 1


def test_subjects_are_kept_apart(built, monkeypatch):
    if DATA:
        monkeypatch.setenv("CROSSOVER_DATA", DATA)
    task = built()
    sizes = {split: task.size(split) for split in ("train", "valid", "test")}
    assert sizes == ({"train": 232, "valid": 59, "test": 275} if DATA else {"train": 80, "valid": 20, "test": 100})
    assert task.spec.notes[0].startswith(f"Recordings without a tracked joint: {'a13_s09_e02' if DATA else 0}")


def test_all_subjects_train_where_none_is_held_out(built):
    task = built(hold_out="none")
    assert (task.size("train"), task.size("valid"), task.spec.max_length) == (100, 20, 3)


def test_train_is_varied_by_seed_epoch_and_row_alone(built):
    task = built()

    def rows(seed, epoch, batch, **given):
        found = task.batches("train", seed=seed, epoch=epoch, batch=batch, **given)
        return {int(row): b.inputs[i, : b.lengths_B[i]] for b in found for i, row in enumerate(b.rows_B)}

    ours, theirs = rows(0, 1, 16), rows(0, 1, 7, shard=(0, 2))
    assert all(torch.equal(values, ours[row]) for row, values in theirs.items())
    later, plain = rows(0, 2, 16), built(augment=False)
    assert not any(torch.equal(values, later[row]) for row, values in ours.items())
    again = next(iter(plain.batches("train", seed=0, epoch=1, batch=16)))
    first = int(again.rows_B[0])
    assert not torch.equal(again.inputs[0, : again.lengths_B[0]], ours[first])
    assert torch.equal(
        next(iter(task.batches("valid", seed=0, epoch=0, batch=4))).inputs,
        next(iter(plain.batches("valid", seed=0, epoch=0, batch=4))).inputs,
    )


def test_new_recordings_are_read_as_train_was(built, tmp_path):
    task = built(stride=2)
    reader = RESTORERS.get("video-skeletons")(task.artifacts())
    joints = walk(9, 5)
    (tmp_path / "new.txt").write_bytes(text(joints))
    np.savez(tmp_path / "new.npz", clips=joints[None])
    np.savez(tmp_path / "other.npz", clips=np.zeros((1, 4, 5, 5)))
    one, other = (reader.encode_file(tmp_path / f"new.{kind}") for kind in ("txt", "npz"))
    torch.testing.assert_close(one.inputs, other.inputs, atol=1e-4, rtol=1e-4)
    assert one.inputs.shape == (1, 5, 120)
    with pytest.raises(DataError, match=r"other\.npz has frames of 5 x 5: give 20 joints"):
        reader.encode_file(tmp_path / "other.npz")
    with pytest.raises(DataError, match="cannot be read"):
        reader.encode_file(tmp_path / "none.txt")


def test_a_skeleton_is_drawn_inside_its_frame():
    frames = sketch(upright(walk(3, 2)))
    assert frames.shape[0] == 3 and frames.any((1, 2)).all() and set(np.unique(frames)) == {0, 255}
