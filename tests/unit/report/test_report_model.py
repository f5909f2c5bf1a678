from crossover.report.blocks import Bullets, Callout, Chart, Paragraph, Report, Section, Table
from crossover.report.messages import translate
from crossover.report.model import build_report, crossing_sentences
from unit.report.example_costs import audit_study, scale_study
from unit.report.example_study import DIGITS, FORECAST, HEADLINES, compare_study

say = translate("en")


def names(report: Report) -> list[str]:
    return [section.name for section in report.sections]


def find(report: Report, name: str) -> Section:
    return next(section for section in report.sections if section.name == name)


def first_table(section: Section) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table))


def column(table: Table, title: str) -> list[str]:
    index = [say(c.title) for c in table.columns].index(title)
    return [say(row.cells[index].text) for row in table.rows]


def test_a_comparison_has_all_its_sections() -> None:
    assert names(build_report(compare_study())) == [
        "task-sentiment/headlines",
        "task-classification/digits",
        "task-recall",
        "task-parity",
        "task-forecasting/etth1",
        "scaling",
        "failures",
        "commands",
        "machine",
    ]


def test_sections_without_data_are_left_out() -> None:
    study = compare_study() | {"scale": None, "details": [], "samples": [], "trials": []}
    study["runs"] = [run for run in study["runs"] if run["status"] == "done"]
    report = build_report(study)
    assert "scaling" not in names(report)
    assert "failures" not in names(report)
    assert find(report, f"task-{DIGITS}").parts == ()


def test_null_lists_count_as_empty() -> None:
    study = compare_study() | {
        "details": None,
        "samples": None,
        "trials": None,
        "scale": None,
        "recommendation": None,
    }
    assert "task-recall" in names(build_report(study))


def test_the_summary_holds_one_verdict_per_task_after_the_warnings() -> None:
    callouts = [block for block in build_report(compare_study()).summary if isinstance(block, Callout)]
    assert [say(c.heading) for c in callouts] == ["", *compare_study()["tasks"]]
    assert say(callouts[0].label) == "low power"
    assert say(callouts[0].text).startswith("With 3 seeds a model")


def test_an_unsteady_machine_is_said_on_top() -> None:
    study = compare_study()
    study["machine"]["steady"] = False
    labels = [say(block.label) for block in build_report(study).summary if isinstance(block, Callout)]
    assert labels[:2] == ["low power", "unsteady machine"]


def test_the_table_holds_models_baselines_and_published_results_best_first() -> None:
    table = first_table(find(build_report(compare_study()), f"task-{HEADLINES}"))
    assert column(table, "model") == ["lstm", "transformer", "linear", "majority", "FinBERT"]
    assert column(table, "family") == ["recurrent", "attention", "baseline", "baseline", "published"]
    assert column(table, "accuracy") == ["0.912", "0.887", "0.874", "0.342", "0.957"]
    assert [row.muted for row in table.rows] == [False, False, True, True, True]
    assert column(table, "tokens/s")[2:] == ["n/a"] * 3
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}


def test_a_further_metric_has_a_column_that_published_results_share() -> None:
    study = compare_study()
    finbert = study["tasks"][HEADLINES]["references"][0]
    study["tasks"][HEADLINES]["references"].append({**finbert, "metric": "macro_f1", "score": 0.931})
    study["table"][0]["summary"] = {"accuracy": 0.912, "macro_f1": 0.905}
    table = first_table(find(build_report(study), f"task-{HEADLINES}"))
    assert column(table, "macro-F1") == ["0.905", "n/a", "n/a", "n/a", "0.931"]
    assert column(table, "model").count("FinBERT") == 1
    assert "FinBERT" in [say(row.cells[0].text) for row in table.rows if row.cells[0].minor]


def test_where_lower_is_better_the_lowest_stands_first() -> None:
    table = first_table(find(build_report(compare_study()), f"task-{FORECAST}"))
    assert column(table, "model") == ["lstm", "transformer", "ridge"]
    assert [row.strong for row in table.rows] == [True, False, False]


def test_a_column_without_figures_is_left_out() -> None:
    study = compare_study()
    for row in study["table"]:
        row["utilisation"] = None
    titles = [say(c.title) for c in first_table(find(build_report(study), f"task-{HEADLINES}")).columns]
    assert "utilisation" not in titles
    assert "learning rate" in titles


def test_a_failed_run_stands_with_its_reason() -> None:
    table = first_table(find(build_report(compare_study()), "failures"))
    assert column(table, "reason") == ["the loss was nan at step 212 with learning rate 0.01: take a lower rate"]


def test_every_trained_row_has_its_command() -> None:
    study = compare_study()
    table = first_table(find(build_report(study), "commands"))
    trained = [row["command"] for row in study["table"] if row["family"] != "baseline"]
    assert column(table, "command") == trained


def test_a_task_whose_runs_all_failed_keeps_its_baselines() -> None:
    study = compare_study()
    study["table"] = [r for r in study["table"] if r["task"] != DIGITS or r["family"] == "baseline"]
    section = find(build_report(study), f"task-{DIGITS}")
    assert column(first_table(section), "model") == ["linear"]


def test_no_recommendation_is_said_where_nothing_meets_the_limits() -> None:
    study = compare_study()
    study["recommendation"] = [{"task": DIGITS, "model": None, "run": None, "reason": "", "meets": {}}]
    said = [
        say(b.text) for b in find(build_report(study), f"task-{DIGITS}").blocks if not isinstance(b, Table | Chart)
    ]
    assert any(text.startswith("Nothing meets the limits") for text in said)


def test_a_scaling_study_has_no_task_sections() -> None:
    assert names(build_report(scale_study())) == ["scaling", "commands", "machine"]


def test_an_audit_has_an_overview_and_a_section_per_claim() -> None:
    report = build_report(audit_study())
    assert names(report)[:4] == ["claim-C4", "claim-C5", "claim-C10", "claim-C33"]
    overview = next(block for block in report.summary if isinstance(block, Table))
    assert column(overview, "verdict") == ["holds", "does not hold", "not decided", "holds where"]
    assert [row.cells[0].section for row in overview.rows] == names(report)[:4]
    told = [say(block.text) for block in report.summary if isinstance(block, Paragraph)]
    assert "Of 4 claims: holds 1, holds where 1, does not hold 1 and not decided 1." in told
    answer = find(report, "claim-C5").blocks[0]
    assert isinstance(answer, Callout)
    assert (answer.tone, say(answer.text)) == ("bad", "It does not hold for transformer.")
    figures = [block for block in find(report, "claim-C5").blocks if isinstance(block, Bullets)]
    assert say(figures[0].items[0]) == "transformer: FLOPs are T·H² + T²·H."
    drawn = {section.name for section in report.sections if any(isinstance(b, Chart) for b in section.blocks)}
    assert drawn == {"claim-C4", "claim-C5"}


def test_a_study_made_from_python_has_no_command_of_its_own() -> None:
    study = {**compare_study(), "command": None}
    assert "commands" in names(build_report(study))
    assert "commands" not in names(build_report({**scale_study(), "command": None}))


def test_of_many_pairs_those_that_cross_are_told_and_the_rest_counted() -> None:
    study = scale_study()
    told = [say(sentence) for sentence in crossing_sentences(study)]
    assert len(told) == 3 and "do not cross" in told[-1]
    study["scale"]["crossings"] += [{**study["scale"]["crossings"][-1], "measure": "flops"}] * 7
    told = [say(sentence) for sentence in crossing_sentences(study)]
    assert len(told) == 3 and told[-1] == "8 other pairs do not cross there."
