"""Clips from ``.npz`` files: what is read, and one sentence for what is not."""

from __future__ import annotations

import numpy as np
import pytest

from crossover.data.clips import check_frames, read_npz
from crossover.errors import DataError

FRAMES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)


def saved(path, **arrays):
    np.savez(path / "clips.npz", **arrays)
    return path / "clips.npz"


def test_clips_of_one_length_keep_their_bytes(tmp_path):
    clips = np.stack([FRAMES, FRAMES + 1])
    read = read_npz(saved(tmp_path, clips=clips, labels=np.array(["up", "down"]), questions=np.array(["a?", "b?"])))
    assert [row.dtype for row in read.rows] == [np.uint8, np.uint8]
    assert np.array_equal(np.stack(read.rows), clips)
    assert (read.labels, read.questions, read.frame) == (["up", "down"], ["a?", "b?"], (3, 4))


def test_clips_of_unequal_length_are_cut_out_of_all_frames(tmp_path):
    read = read_npz(saved(tmp_path, clips=FRAMES / 255, lengths=np.array([2, 3]), labels=np.array([7, 8])))
    assert [len(row) for row in read.rows] == [2, 3] and read.rows[0].dtype == np.float32
    assert read.labels == ["7", "8"]
    np.testing.assert_allclose(np.concatenate(read.rows), FRAMES / 255, rtol=1e-6)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code of a data file was run",))


BAD = {
    "objects": ({"clips": np.array([Trap(), None], dtype=object)}, "holds Python objects.*lengths.*of one size"),
    "no clips": ({"frames": FRAMES}, "holds frames, no array 'clips'"),
    "one frame": ({"clips": FRAMES[0]}, r"shape \[3, 4\]: give clips"),
    "words": ({"clips": np.array([["a"]])}, "is of type <U1: give numbers"),
    "not finite": ({"clips": np.full((1, 2, 3, 4), np.nan)}, "not finite"),
    "too large": ({"clips": np.full((1, 2, 3, 4), 1e300)}, "not finite"),
    "lengths": ({"clips": FRAMES, "lengths": np.array([2, 2])}, "add up to 5"),
    "labels": ({"clips": FRAMES[None], "labels": np.array(["a", "b"])}, r"'labels' of .* shape \[2\] .* 1 clips"),
    "no frames": ({"clips": np.zeros((2, 0, 3, 4))}, "clip 1 of clips.npz holds no frame"),
    "none": ({"clips": np.zeros((0, 2, 3, 4))}, "holds no clip"),
    "colours": ({"clips": np.zeros((1, 2, 3, 4, 9))}, "frames of clips.npz are 3 x 4 x 9"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_one_sentence(tmp_path, case):
    arrays, sentence = BAD[case]
    with pytest.raises(DataError, match=sentence):
        read_npz(saved(tmp_path, **arrays))


def test_files_that_are_no_archive_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_npz(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("clips")
    with pytest.raises(
        DataError, match=r"cannot be read as arrays \(it is no archive\): give an \.npz file that is whole"
    ):
        read_npz(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", FRAMES)
    with pytest.raises(DataError, match="is one array"):
        read_npz(tmp_path / "one.npy")


def test_clips_of_unequal_frame_size_are_named():
    with pytest.raises(DataError, match="clip 2 of here has frames of 4 x 3, the first clip of 3 x 4"):
        check_frames([FRAMES, FRAMES.swapaxes(1, 2)], "here")
