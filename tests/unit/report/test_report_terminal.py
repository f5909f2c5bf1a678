import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from crossover.data.options import DataOptions
from crossover.report.terminal import next_commands, print_summary
from crossover.tasks import TASKS
from unit.report.example_costs import all_passes, audit_study, scale_study
from unit.report.example_study import HEADLINES, RECALL, compare_study, row


def printed(study: dict, lang: str = "en", width: int = 200, *, terminal: bool = True) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    print_summary(study, Path("out dir"), console, lang)
    return stream.getvalue().replace("\u00a0", " ")


def one_task() -> dict:
    study = compare_study()
    study["tasks"] = {HEADLINES: study["tasks"][HEADLINES]}
    study["table"] = [r for r in study["table"] if r["task"] == HEADLINES]
    return study


def many_models(*tasks: str) -> dict:
    study = compare_study()
    study["tasks"] = {task: study["tasks"][task] for task in tasks or study["tasks"]}
    further = ("mingru", "gru", "minlstm", "mamba[layers=2]")
    study["table"] += [row(task, model, "recurrent", 0.321) for task in study["tasks"] for model in further]
    study["table"] = [r for r in study["table"] if r["task"] in study["tasks"]]
    return study


def table_of(study: dict, width: int, lang: str = "en") -> list[str]:
    """The lines of the table: what stands before the second empty line."""
    return printed(study, lang, width)[1:].split("\n\n")[0].splitlines()


def words(lines: list[str]) -> list[str]:
    return " ".join(lines).replace("─", " ").split()


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
    assert "lstm         0.912 (0.900–0.924)" in text
    assert "linear       0.874" in text


def test_verdicts_scope_report_and_three_commands_follow() -> None:
    text = printed(compare_study())
    assert "recall: transformer is better than lstm" in text
    assert "Scope: 4,000 training rows" in text
    assert "Recommended: lstm, which has the best validation score of the rows that meet the latency limit" in text
    assert "low power: With 3 seeds" in text
    assert "Report: out dir/report.html" in text
    assert text.count("\n  crossover ") == 3


def test_commands_fit_the_study() -> None:
    assert next_commands(compare_study(), Path("out dir")) == [
        "crossover compare sentiment/headlines classification/digits recall parity forecasting/etth1 --budget 60s "
        "--max-latency 10ms --seeds 7 --out 'out dir'",
        "crossover predict 'out dir' \"…\" --task sentiment/headlines",
        "crossover export 'out dir' --task sentiment/headlines --to onnx --out model.onnx",
    ]
    assert next_commands(scale_study(), Path("s"))[0].startswith("crossover scale --models lstm,mingru,transformer")


def test_what_an_audit_left_open_is_measured_in_full_and_a_verdict_settled_again() -> None:
    assert next_commands(audit_study(), Path("out dir")) == [
        "crossover audit C10 --level full",
        "crossover verify 'out dir/cards/C4.json'",
        "crossover report 'out dir'",
    ]
    full = audit_study()
    full["claims"] = [{**claim, "level": "full", "verdict": "not decided"} for claim in full["claims"]]
    assert next_commands(full, Path("s")) == ["crossover report s"]


@pytest.mark.parametrize("given", ["--seeds 3 --out 'a b'", "--out=ab --seeds=3"])
def test_a_study_is_gone_on_with_by_its_own_command_and_data(given: str) -> None:
    study = {**one_task(), "command": f"crossover compare text-classification --data my.csv {given} --plugin m.py"}
    study["recommendation"], study["settings"] = [], {**study["settings"], "plugins": ["m.py"]}
    assert (
        "crossover compare text-classification --data my.csv --plugin m.py --seeds"
        in next_commands(study, Path("f"))[0]
    )
    assert next_commands(study, Path("f"))[0].endswith(" --out f")


def test_a_form_is_named_that_can_be_written_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossover.report.terminal.find_spec", lambda name: None)
    assert any(c.endswith("--to safetensors --out model") for c in next_commands(compare_study(), Path("s")))


@pytest.mark.parametrize(
    ("family", "asked"),
    [("forecasting", ""), ("speech", " --file recording.wav"), ("qa", ' "… …?"'), ("text-classification", ' "…"')],
)
def test_a_trained_model_is_asked_as_its_family_is(family: str, asked: str) -> None:
    study = compare_study()
    study["tasks"][HEADLINES]["family"] = family
    assert f"crossover predict s{asked} --task {HEADLINES}" in next_commands(study, Path("s"))


@pytest.mark.parametrize(
    "name",
    [
        "sentiment/headlines", "translation/names", "language-modeling/python-docs",
        "masked-language-modeling/python-docs", "qa/stories", "forecasting/co2", "classification/digits",
        "speech/tones", "video/moving-digits-qa", "recall",
    ],
)  # fmt: skip
def test_what_a_family_is_asked_by_is_what_its_tasks_read(name: str) -> None:
    task = TASKS.get(name)(DataOptions(settings={"clips": 60} if "moving" in name else {}))
    study = compare_study()
    study["tasks"][HEADLINES]["family"] = task.spec.family
    asked = [command for command in next_commands(study, Path("s")) if command.startswith("crossover predict")]
    reads_files, goes_on = hasattr(task, "encode_file"), hasattr(task, "encode_ahead")
    assert bool(asked) == (name != "recall")
    assert any(" --file " in command for command in asked) == reads_files
    assert any("…" in command for command in asked) == (bool(asked) and not reads_files and not goes_on)


def test_what_a_plugin_made_is_used_with_the_plugin() -> None:
    study = compare_study()
    study["settings"] = {**study["settings"], "plugins": ["my mixer.py"]}
    using = [command for command in next_commands(study, Path("s")) if "predict" in command or "export" in command]
    assert using and all("--plugin 'my mixer.py'" in command for command in using)


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


@pytest.mark.parametrize("study", [compare_study, one_task, many_models, scale_study, all_passes, audit_study])
@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_at_any_width_no_word_is_cut_and_none_is_lost(study, width: int) -> None:
    lines = table_of(study(), width)
    assert max(cell_len(line) for line in lines) <= width
    # In a list the first column is not named.
    assert set(words(table_of(study(), 400))) - set(words(lines)) <= {"task", "model"}
    assert set(words(lines)) <= set(words(table_of(study(), 400)))


def test_a_table_that_is_too_wide_is_turned() -> None:
    lines = [line.split() for line in table_of(many_models(HEADLINES, RECALL), 80)]
    assert lines[0] == ["task", HEADLINES, RECALL]
    assert ["mamba[layers=2]", "0.321", "0.321"] in lines
    assert ["baseline", "0.874", "0.126"] in lines
    assert lines[-1][0] == "verdict"


def test_a_table_that_fits_neither_way_is_a_list_per_task() -> None:
    lines = [line.rstrip() for line in table_of(many_models(), 80)]
    start = lines.index(RECALL)
    assert lines[start + 1] == "  metric           accuracy"
    assert lines[start + 8 : start + 10] == ["  baseline         0.126", "  verdict          undecided"]


def test_headings_break_between_words_before_a_table_is_turned() -> None:
    lines = table_of(one_task(), 80)
    assert lines[1].split()[:3] == ["model", "accuracy", "parameters"]
    assert "latency" in lines[0] and "p50" in lines[1]


def test_a_claim_is_told_in_full() -> None:
    assert "RNNs lose distant inputs, self-attention keeps them" in " ".join(words(table_of(audit_study(), 46)))
    assert "自注意力能保留它们" in "".join(words(table_of(audit_study(), 46, "zh")))


def test_what_is_piped_is_not_broken_at_80_columns() -> None:
    text = printed(many_models(), width=80, terminal=False)
    assert "mamba[layers=2]  baseline  verdict" in text
    assert "\nrecall: transformer is better than lstm: accuracy 0.996 against 0.431, ahead by 0.565" in text


def test_the_pass_has_a_column_where_there_are_several() -> None:
    assert "pass" not in words(table_of(scale_study(), 120))
    lines = table_of(all_passes(), 120)
    assert lines[0].split()[:2] == ["model", "pass"]
    assert [line.split()[:2] for line in lines[2:]] == [
        [model, pass_] for pass_ in ("training", "encoding", "decoding") for model in ("lstm", "transformer")
    ]


def test_the_scope_of_a_scaling_study_is_told() -> None:
    text = printed(scale_study())
    assert "Scope: training, width 128–152, 529 k parameters without embedding, 2 layers, batch 4," in text
    said = [line for line in printed(all_passes()).splitlines() if line.startswith("Time of a step")]
    assert len(said) == len(set(said)) == 3
