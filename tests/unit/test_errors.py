from __future__ import annotations

import pytest

from crossover import errors
from crossover.errors import CrossoverError, is_out_of_memory, listing, unknown


def test_exit_codes_tell_a_wrong_request_from_work_that_failed() -> None:
    classes = {name: cls for name, cls in vars(errors).items() if name.endswith("Error")}
    codes = {name: cls.exit_code for name, cls in classes.items()}
    wrong = {"ConfigError", "DataError", "LayoutError", "FolderError"}
    failed = {"CrossoverError", "MeasurementError", "TrainingError", "CheckpointError"}
    assert {name for name, code in codes.items() if code == 2} == wrong
    assert {name for name, code in codes.items() if code == 1} == failed
    assert all(issubclass(getattr(errors, name), CrossoverError) for name in codes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError("out of memory"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("names", "text"),
    [([], "nothing"), (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c"), ([1, 2], "1 or 2")],
)
def test_a_listing_reads_as_a_sentence(names: list[object], text: str) -> None:
    assert listing(names) == text


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all() -> None:
    assert unknown("task", "recal", ["parity", "recall"]) == "unknown task 'recal': did you mean 'recall'?"
    assert unknown("task", "RECALL", ["parity", "recall"]) == "unknown task 'RECALL': did you mean 'recall'?"
    assert unknown("column", "lable", ["Label", "Text"]) == "unknown column 'lable': did you mean 'Label'?"
    assert unknown("task", "xyz", ["recall", "copy"]) == "unknown task 'xyz': use one of copy or recall"
    assert unknown("task", "xyz", []) == "unknown task 'xyz': use one of nothing"
