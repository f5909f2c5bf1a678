"""Video files, written here with the library that reads them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile

from clip_files import film
from crossover.data.video_files import read_video, read_videos
from crossover.errors import DataError


def test_a_video_is_scaled_to_frames_of_train(tmp_path):
    (grey,) = read_video(film(tmp_path / "a.mp4"), (16, 16)).rows
    (colours,) = read_video(tmp_path / "a.mp4", (16, 16, 3)).rows
    assert (grey.shape, colours.shape, grey.dtype) == ((6, 16, 16), (6, 16, 16, 3), np.uint8)
    columns_T = [frame[8].argmax() for frame in grey]
    assert columns_T == sorted(columns_T) and columns_T[-1] - columns_T[0] > 5
    assert grey[0, 8, 1] > 200 and grey[0, 0, 0] < 50


def test_labels_are_subfolders_or_a_column_of_a_table(tmp_path):
    for label in ("right", "left"):
        film(tmp_path / label / "1.mp4", moves=label)
    clips = read_videos(tmp_path, (8, 8))
    assert clips.labels == ["left", "right"] and clips.frame == (8, 8)
    (tmp_path / "list.csv").write_text("file,way\nright/1.mp4,east\nleft/1.mp4,west\n")
    listed = read_videos(tmp_path / "list.csv", (8, 8), label="way")
    assert listed.labels == ["east", "west"]
    assert np.array_equal(listed.rows[0], clips.rows[1])
    (tmp_path / "list.csv").write_text("file,label\nnone.mp4,east\n")
    with pytest.raises(DataError, match=r"none\.mp4, which list\.csv lists, does not exist"):
        read_videos(tmp_path / "list.csv", (8, 8))
    (tmp_path / "list.csv").write_text("name,label\nnone.mp4,east\n")
    with pytest.raises(DataError, match="no column of files: name it file, path or video"):
        read_videos(tmp_path / "list.csv", (8, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no video in a subfolder"):
        read_videos(tmp_path / "empty", (8, 8))


def test_what_cannot_be_decoded_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="does not exist"):
        read_video(tmp_path / "none.mp4", (8, 8))
    (tmp_path / "text.mp4").write_text("no video at all" * 100)
    with pytest.raises(DataError, match=r"cannot be decoded as a video \(Invalid data found when processing input\)"):
        read_video(tmp_path / "text.mp4", (8, 8))
    soundfile.write(tmp_path / "sound.wav", np.zeros(800), 8000)
    with pytest.raises(DataError, match=r"sound\.wav holds no pictures"):
        read_video(tmp_path / "sound.wav", (8, 8))
    with pytest.raises(DataError, match="trained on other frames"):
        read_video(tmp_path / "text.mp4", (60,))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install av, or give an \.npz file"):
        read_video(tmp_path / "text.mp4", (8, 8))
