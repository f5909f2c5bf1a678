"""Files of MSRAction3D, written small in the same form."""

from __future__ import annotations

import numpy as np
import pytest

from clip_files import archive, text
from crossover.data.skeletons import JOINTS, parse_joints, read_recordings
from crossover.errors import DataError


def drawn(frames, seed=0):
    return np.random.default_rng(seed).uniform(1, 200, (frames, JOINTS, 3))


def test_recordings_come_by_name_without_blank_frames(tmp_path):
    joints = drawn(4)
    joints[1] = 0
    files = {
        "a02_s03_e01": text(drawn(3)),
        "a01_s10_e02": text(joints),
        "a13_s09_e02": text(np.zeros((5, JOINTS, 3))),
    }
    archive(tmp_path / "all.tar.xz", files)
    found, blank = read_recordings(tmp_path / "all.tar")
    assert [(r.name, r.action, r.subject, len(r.joints_TJD)) for r in found] == [
        ("a01_s10_e02", 1, 10, 3),
        ("a02_s03_e01", 2, 3, 3),
    ]
    assert blank == ["a13_s09_e02"]
    np.testing.assert_allclose(found[0].joints_TJD, joints[[0, 2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"1 2 3\n", "lines of 3 numbers"), (b"1 2 3 4\n" * 19, "has 19 lines"), (b"a b c d\n", "is no skeleton file")],
)
def test_other_text_is_refused(content, sentence):
    with pytest.raises(DataError, match=sentence):
        parse_joints(content, "here.txt")


def test_damaged_and_other_archives_are_refused(tmp_path):
    path = archive(tmp_path / "all.tar.xz", {"a01_s01_e01": text(drawn(40))})
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_recordings(tmp_path / "all.tar")
    archive(tmp_path / "other.tar.xz", {})
    with pytest.raises(DataError, match="holds no file named aAA_sSS_eEE"):
        read_recordings(tmp_path / "other.tar")


def test_a_joint_above_the_picture_is_put_on_its_edge():
    joints = drawn(2)
    joints[1, 12, 1] = 2147480064
    found = parse_joints(text(joints), "here.txt")
    assert found[1, 12, 1] == 0 and found[1, 12, 0] == pytest.approx(joints[1, 12, 0])
