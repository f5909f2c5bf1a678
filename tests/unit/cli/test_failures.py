from __future__ import annotations

import errno

import pytest
import torch

from crossover.cli.failures import explain
from crossover.errors import CheckpointError, ConfigError, DataError, FolderError, TrainingError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a sentence"), 2),
        (DataError("a sentence"), 2),
        (FolderError("a sentence"), 2),
        (CheckpointError("a sentence"), 1),
        (TrainingError("a sentence"), 1),
    ],
)
def test_our_own_errors_speak_for_themselves(error: Exception, code: int) -> None:
    assert explain(error) == (code, "a sentence")


def test_a_sentence_is_one_line() -> None:
    assert explain(DataError("line one\n  and two"))[1] == "line one and two"


def test_memory_that_ran_out() -> None:
    asked = 1 << 60
    with pytest.raises(RuntimeError) as caught:
        torch.empty(asked, dtype=torch.uint8)
    for error in (MemoryError(), caught.value, RuntimeError("CUDA out of memory. Tried to allocate")):
        code, sentence = explain(error)
        assert code == 1 and sentence is not None and "smaller --batch" in sentence


@pytest.mark.parametrize(
    ("number", "code", "part"),
    [
        (errno.ENOSPC, 1, "the disk is full"),
        (errno.EDQUOT, 1, "the disk is full"),
        (errno.EFBIG, 1, "the disk is full"),
        (errno.EACCES, 2, "/where cannot be read or written"),
        (errno.EROFS, 2, "/where cannot be read or written"),
        (errno.ENOTDIR, 2, "/where cannot be read or written"),
    ],
)
def test_a_disk_that_refuses(number: int, code: int, part: str) -> None:
    returned, sentence = explain(OSError(number, "reason", "/where"))
    assert returned == code and sentence is not None and part in sentence


@pytest.mark.parametrize("error", [ValueError("a slip of ours"), OSError(errno.EIO, "reason"), KeyError("x")])
def test_what_is_our_own_fault_has_no_sentence(error: Exception) -> None:
    assert explain(error) == (1, None)
