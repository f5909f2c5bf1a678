from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crossover.errors import CheckpointError, FolderError
from crossover.files import make_folder, unwritable, write_file


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    for content in ("one", "中文"):
        write_file(path, content, durable=True)
        assert path.read_text(encoding="utf-8") == content
    assert [found.name for found in path.parent.iterdir()] == ["file.txt"]


def test_a_place_that_cannot_be_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("kept")
    for write in (lambda path: write_file(path / "file", "x"), make_folder):
        with pytest.raises(
            FolderError, match=r"cannot write .*table\.csv/x.* \(Not a directory\): choose another --out"
        ):
            write(tmp_path / "table.csv" / "x")
    assert (tmp_path / "table.csv").read_text() == "kept"


def test_a_folder_is_made_with_those_above_it_and_must_take_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    # Root may write everywhere, and tests may run as root.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FolderError, match="Permission denied"):
        make_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_disk_that_takes_no_more_is_a_failure_of_the_work(number: int) -> None:
    error = unwritable(Path("here"), OSError(number, "reason"))
    assert type(error) is CheckpointError and "make room and repeat the command" in str(error)
