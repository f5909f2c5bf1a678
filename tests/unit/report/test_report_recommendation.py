from __future__ import annotations

import pytest

from crossover.report.messages import translate
from crossover.report.recommendation import recommended

ENTRY = {"task": "parity", "model": "linear", "run": None, "meets": {"latency": None, "memory": None}}


def said(lang: str = "en", **changes: object) -> str:
    text = recommended({"recommendation": [{**ENTRY, **changes}]}, "parity")
    assert text is not None
    return translate(lang)(text)


def test_without_limits_all_rows_stand_for_choice() -> None:
    assert said() == ("Recommended: linear, which has the best validation score of all rows, baselines included.")


def test_a_row_that_nothing_was_measured_of_is_not_said_to_meet_a_limit() -> None:
    assert said(unmeasured=["latency", "memory"], ruled_out=["lstm", "gru"]) == (
        "Recommended: linear, which has the best validation score of the rows that no limit rules out. "
        "Whether it meets the latency limit was not measured. Whether it meets the memory limit was not measured. "
        "Ruled out by the limits: lstm and gru."
    )


def test_limits_that_are_met_are_named() -> None:
    sentence = said(model="lstm", meets={"latency": True, "memory": True}, unmeasured=[], ruled_out=["gru"])
    assert "that meet the latency limit and the memory limit" in sentence
    assert sentence.endswith("Ruled out by the limits: gru.")


@pytest.mark.parametrize("changes", [{"model": None}, {"ruled_out": ["lstm"], "unmeasured": ["memory"]}])
def test_every_answer_is_told_in_chinese(changes: dict[str, object]) -> None:
    assert not any(word in said("zh", **changes) for word in ("Recommended", "limit", "measured"))


def test_a_task_without_an_answer_has_none() -> None:
    assert recommended({"recommendation": [ENTRY]}, "recall") is None
    assert recommended({"recommendation": None}, "recall") is None
