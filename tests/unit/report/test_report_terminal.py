import io
from pathlib import Path

import pytest
from rich.console import Console

from crossover.report.terminal import next_commands, print_summary
from unit.report.example_costs import audit_study, scale_study
from unit.report.example_study import HEADLINES, compare_study


def printed(study: dict, lang: str = "en", width: int = 200) -> str:
    stream = io.StringIO()
    print_summary(study, Path("out dir"), Console(file=stream, width=width), lang)
    return stream.getvalue().replace("\u00a0", " ")


def one_task() -> dict:
    study = compare_study()
    study["tasks"] = {HEADLINES: study["tasks"][HEADLINES]}
    study["table"] = [r for r in study["table"] if r["task"] == HEADLINES]
    return study


def test_several_tasks_are_a_line_each() -> None:
    lines = printed(compare_study()).splitlines()
    rows = [line.split() for line in lines if line.startswith((HEADLINES, "recall  "))]
    assert rows[0] == [HEADLINES, "accuracy", "0.912", "0.887", "0.874", "lstm"]
    assert rows[1] == ["recall", "accuracy", "0.431", "0.996", "0.126", "transformer"]


def test_in_a_narrow_terminal_no_figure_is_cut() -> None:
    text = printed(compare_study(), width=80)
    for figure in ("0.912", "0.887", "0.874", "0.376", "0.388"):
        assert figure in text[: text.index("low power")]


def test_one_task_is_a_line_per_model() -> None:
    text = printed(one_task())
    assert "lstm          0.912 (0.900–0.924)" in text
    assert "linear        0.874" in text


def test_verdicts_scope_report_and_three_commands_follow() -> None:
    text = printed(compare_study())
    assert "recall: transformer is better than lstm" in text
    assert "Scope: 4,000 training rows" in text
    assert "low power: With 3 seeds" in text
    assert "Report: out dir/report.html" in text
    assert text.count("\n  crossover ") == 3


def test_commands_fit_the_study() -> None:
    assert next_commands(compare_study(), Path("out dir")) == [
        "crossover compare sentiment/headlines --seeds 7",
        "crossover predict 'out dir' \"…\" --task sentiment/headlines",
        "crossover export 'out dir' --task sentiment/headlines --to onnx --out model.onnx",
    ]
    assert next_commands(scale_study(), Path("s"))[0].startswith("crossover scale --models lstm,mingru,transformer")


def test_no_command_uses_a_recommended_baseline() -> None:
    study = compare_study()
    for entry in study["recommendation"]:
        entry["run"] = None
    assert not [c for c in next_commands(study, Path("s")) if "predict" in c or "export" in c]


@pytest.mark.parametrize("study", [compare_study, scale_study, audit_study, one_task])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_kind_prints_in_every_language(study, lang: str) -> None:
    text = printed(study(), lang)
    assert ("Report: " if lang == "en" else "报告：") in text


def test_brackets_in_a_model_are_no_markup() -> None:
    study = one_task()
    study["table"][0]["model"] = "lstm[layers=2]"
    study["verdicts"] = []
    assert "lstm[layers=2]" in printed(study)
