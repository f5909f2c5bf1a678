import pytest

from crossover.report import curves
from crossover.report.messages import translate
from crossover.report.palette import palette, styles
from crossover.report.verdicts import TaskResult
from unit.report.example_study import HEADLINES, PARITY, compare_study, details


def result(task: str = HEADLINES, study: dict | None = None) -> tuple[TaskResult, dict]:
    study = study or compare_study()
    return TaskResult(study, task), palette(study)


def points(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"seconds": s, "validation": v} for s, v in pairs]


def test_the_median_curve_interpolates_and_holds_the_last_value() -> None:
    x, middle, low, high = curves.median_curve(
        [points((1, 0.2), (3, 0.6)), points((1, 0.4), (2, 0.4)), points((1, 0.3), (3, 0.5))]
    )
    assert x == [1, 2, 3]
    assert middle == pytest.approx([0.3, 0.4, 0.5])
    assert low == pytest.approx([0.2, 0.4, 0.4])
    assert high == pytest.approx([0.4, 0.4, 0.6])


def test_long_curves_are_thinned() -> None:
    long = points(*((float(k), 0.1) for k in range(500)))
    x, *_rest = curves.median_curve([long, long])
    assert len(x) < 60
    assert (x[0], x[-1]) == (0.0, 499.0)


def test_quality_against_time_has_a_band_per_model_and_the_best_baseline_as_a_level() -> None:
    chart = curves.quality_against_time(*result())
    assert chart is not None
    assert [(s.name, s.kind, bool(s.low)) for s in chart.series] == [
        ("lstm", "line", True),
        ("transformer", "line", True),
        ("linear", "level", False),
    ]


def test_a_single_seed_has_no_band() -> None:
    study = compare_study()
    study["runs"] = [run for run in study["runs"] if run["seed"] == 0]
    chart = curves.quality_against_time(*result(study=study))
    assert chart is not None
    assert not any(series.low for series in chart.series)


def test_the_front_keeps_what_nothing_betters_in_all_three() -> None:
    def at(model: str, score: float, latency: float, memory: int) -> dict:
        return {
            "model": model,
            "score": {"value": score},
            "latency": {"sequence": {"p50": latency}},
            "peak_bytes": memory,
        }

    rows = [at("good", 0.9, 2.0, 20), at("fast", 0.8, 1.0, 20), at("small", 0.7, 2.0, 10), at("worse", 0.79, 1.5, 20)]
    assert curves.pareto_front(rows, higher_is_better=True) == {"good", "fast", "small"}
    assert curves.pareto_front(rows, higher_is_better=False) == {"small", "fast", "worse"}


def test_equal_models_are_both_on_the_front() -> None:
    row = {"score": {"value": 0.9}, "latency": {"sequence": {"p50": 1.0}}, "peak_bytes": 5}
    assert curves.pareto_front([row | {"model": "a"}, row | {"model": "b"}], True) == {"a", "b"}


def test_baselines_without_parameters_are_left_out_of_the_sizes() -> None:
    chart = curves.quality_against_parameters(*result())
    assert chart is not None
    assert [series.name for series in chart.series] == ["lstm", "transformer", "linear"]


def test_charts_without_data_are_left_out() -> None:
    study = compare_study()
    study |= {"runs": [], "trials": [], "details": []}
    for row in study["table"]:
        row |= {"latency": None, "parameters": None, "parameters_without_embedding": None}
    task, looks = result(study=study)
    builders = (
        curves.quality_against_time,
        curves.quality_against_parameters,
        curves.pareto,
        curves.best_against_trials,
        curves.score_by_length,
        curves.score_by_kind,
        curves.error_by_step,
    )
    assert [build(task, looks) for build in builders] == [None] * len(builders)


def test_one_bucket_of_length_says_nothing() -> None:
    study = compare_study()
    entry = details(PARITY, "lstm", ["0", "1"], 0.9)
    study["details"] = [entry | {"by_length": entry["by_length"][:1]}]
    assert curves.score_by_length(*result(PARITY, study)) is None


def test_the_score_of_each_kind_of_question_is_a_bar_with_its_rows() -> None:
    study = compare_study()
    kinds = [{"kind": "task-1", "count": 100, "score": 0.9}, {"kind": "task-2", "count": 1, "score": 0.0}]
    study["details"] = [{"task": PARITY, "model": "lstm", "by_kind": kinds}]
    chart = curves.score_by_kind(*result(PARITY, study))
    assert chart is not None
    (bars,) = chart.series
    assert (list(bars.x), list(bars.y)) == (["task-1", "task-2"], [0.9, 0.0])
    assert [translate("en")(note) for note in bars.notes] == ["100 rows", "1 row"]
    study["details"][0]["by_kind"] = kinds[:1]
    assert curves.score_by_kind(*result(PARITY, study)) is None


def test_the_error_of_a_forecast_is_drawn_by_step() -> None:
    study = compare_study()
    study["details"] = [{"task": PARITY, "model": "lstm", "by_step": [0.1, 0.2, 0.3]}]
    chart = curves.error_by_step(*result(PARITY, study))
    assert chart is not None
    assert list(chart.series[0].x) == [1, 2, 3]


def test_the_loss_of_a_language_model_is_drawn_by_position() -> None:
    study = compare_study()
    parts = [{"from": 1, "to": 1, "count": 9, "loss": 3.0}, {"from": 2, "to": 4, "count": 27, "loss": 2.0}]
    study["details"] = [{"task": PARITY, "model": "lstm", "by_position": parts}]
    chart = curves.loss_by_position(*result(PARITY, study))
    assert chart is not None
    assert list(chart.series[0].y) == [3.0, 2.0]
    assert [translate("en")(note) for note in chart.series[0].notes] == ["9 tokens", "27 tokens"]


def test_models_of_one_family_share_the_hue_and_differ_in_the_rest() -> None:
    looks = styles([("lstm", "recurrent"), ("gru", "recurrent"), ("gpt", "attention"), ("x", "no such family")])
    assert [style.color for style in looks.values()] == ["recurrent-1", "recurrent-2", "attention-1", "other-1"]
    assert looks["lstm"].symbol != looks["gru"].symbol
    assert looks["lstm"].dash != looks["gru"].dash


def test_what_is_drawn_of_one_run_says_of_which() -> None:
    study = compare_study()
    for entry in study["details"]:
        entry["by_step"] = [0.1, 0.2]
    task, looks = result(study=study)
    by_length, by_step = curves.score_by_length(task, looks), curves.error_by_step(task, looks)
    matrix = curves.confusion(task, study["details"][0])
    assert by_length is not None and by_step is not None and matrix is not None
    several = "From each model's run with the best validation score only."
    for drawn, said in ((by_length, several), (by_step, several), (matrix, several.replace("each model's", "the"))):
        assert translate("en")(drawn.description).endswith(f". {said}")
        assert translate("zh")(drawn.description).endswith("。仅取各模型验证得分最佳的一次运行。")


def test_the_seed_of_that_run_is_told_where_it_is_known() -> None:
    entries = [{"model": "lstm", "seed": 2}, {"model": "gpt", "seed": 0}]
    assert translate("en")(curves.best_runs(entries)) == (
        "From each model's run with the best validation score only: lstm seed 2 and gpt seed 0."
    )
    assert translate("zh")(curves.best_runs(entries[:1])) == "仅取各模型验证得分最佳的一次运行：lstm 种子 2。"
