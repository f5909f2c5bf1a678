"""A task's section: verdict, table, charts, where the errors lie, samples, what to know of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crossover.report import curves, quantities
from crossover.report.blocks import Block, Bullets, Callout, Cell, Column, Paragraph, Row, Section, Style, Table, Tone
from crossover.report.forecasts import forecast_blocks
from crossover.report.messages import Message, Sentences, Text, _, ngettext
from crossover.report.notes import recognised
from crossover.report.palette import family_name
from crossover.report.recommendation import recommended
from crossover.report.samples import samples_section
from crossover.report.verdicts import TaskResult, is_baseline, metric_name, task_verdict

Styles = Mapping[str, Style]
Figure = Callable[[Mapping[str, Any]], tuple[Text, Text]]

OUTCOMES: dict[str, tuple[Message, Tone]] = {
    "equal": (_("equal"), "neutral"),
    "undecided": (_("undecided"), "warning"),
}
UNITS = {"tokens": _("tokens"), "steps": _("steps"), "values": _("values"), "rows": _("rows"), "frames": _("frames")}
PUBLISHED = "published"


def task_section(study: Mapping[str, Any], task: str, styles: Styles) -> Section:
    """Everything about one task."""
    result = TaskResult(study, task)
    blocks: list[Block] = [Paragraph(_introduction(result))]
    if verdict := task_verdict(result):
        blocks.append(verdict.callout())
    if answer := recommended(study, task):
        blocks.append(Paragraph(answer))
    blocks.append(results_table(result, styles))
    blocks.extend(
        chart
        for build in (
            curves.quality_against_time, curves.quality_against_parameters, curves.pareto, curves.best_against_trials,
        )
        if (chart := build(result, styles))
    )  # fmt: skip
    if result.verdicts:
        blocks.append(_comparisons(result))
    parts = [part for part in (_errors(result, styles), samples_section(result), _data_notes(result)) if part]
    return Section(f"task-{task}", task, tuple(blocks), tuple(parts))


def _introduction(result: TaskResult) -> Text:
    spec, rows = result.spec, result.spec.get("rows") or {}
    sentences: list[Text] = []
    if spec.get("description"):
        sentences.append(_("Task: {description}.", description=recognised(str(spec["description"]).rstrip("."))))
    if all(rows.get(split) is not None for split in ("train", "valid", "test")):
        sentences.append(
            _(
                "{train} rows to train on, {valid} to choose by, {test} to test on.",
                train=quantities.whole(rows["train"]), valid=quantities.whole(rows["valid"]),
                test=quantities.whole(rows["test"]),
            )
        )  # fmt: skip
    template = (
        _("The score is the {metric} on the test split; higher is better.")
        if result.higher_is_better
        else _("The score is the {metric} on the test split; lower is better.")
    )
    return Sentences((*sentences, template.filled(metric=metric_name(result.metric))))


def per_second(spec: Mapping[str, Any]) -> Text:
    """What a task's throughput is counted in."""
    unit = spec.get("unit") or "tokens"
    return _("{unit}/s", unit=UNITS.get(unit, unit))


def _columns(result: TaskResult) -> list[tuple[Column, Figure]]:
    def latency(kind: str, level: str) -> Figure:
        return lambda row: (quantities.seconds(((row.get("latency") or {}).get(kind) or {}).get(level)), "")

    def exported(kind: str) -> Figure:
        return lambda row: (quantities.seconds((row.get("onnx") or {}).get(kind)), "")

    def plain(name: str, form: Callable[[float | None], str]) -> Figure:
        return lambda row: (form(quantities.value_of(row.get(name))), "")

    def summarised(metric: str) -> Figure:
        return lambda row: (quantities.score((row.get("summary") or {}).get(metric)), "")

    return [
        (
            Column(metric_name(result.metric), note=_("on the test split, with its 95 % interval")),
            lambda row: quantities.interval(row.get("score")),
        ),
        *(
            (Column(metric_name(metric), note=_("on the test split, mean over the seeds")), summarised(metric))
            for metric in result.further_metrics
        ),
        (Column(_("validation")), plain("validation", quantities.score)),
        (Column(_("parameters")), plain("parameters", quantities.count)),
        (
            Column(_("without embedding"), note=_("parameters without embedding and output layer")),
            plain("parameters_without_embedding", quantities.count),
        ),
        (Column(_("training time")), plain("train_seconds", quantities.seconds)),
        (Column(per_second(result.spec)), plain("tokens_per_second", quantities.whole)),
        (Column(_("step time")), plain("step_seconds", quantities.seconds)),
        (Column(_("latency p50"), note=_("of one whole sequence")), latency("sequence", "p50")),
        (Column(_("latency p99"), note=_("of one whole sequence")), latency("sequence", "p99")),
        (Column(_("per step p50"), note=_("streaming, one step at a time")), latency("step", "p50")),
        (Column(_("per step p99"), note=_("streaming, one step at a time")), latency("step", "p99")),
        (Column("ONNX Runtime p50", note=_("of one whole sequence")), exported("sequence")),
        (Column("ONNX Runtime step p50", note=_("streaming, one step at a time")), exported("step")),
        (Column(_("peak memory"), note=_("in training")), plain("peak_bytes", quantities.size)),
        (
            Column(_("state"), note=_("what is carried from step to step, one sequence")),
            plain("state_bytes", quantities.size),
        ),
        (
            Column(_("forward"), note=_("floating-point operations of a training step")),
            plain("flops_forward", quantities.operations),
        ),
        (
            Column(_("backward"), note=_("floating-point operations of a training step")),
            plain("flops_backward", quantities.operations),
        ),
        (
            Column(_("utilisation"), note=_("share of the fastest matrix product here")),
            plain("utilisation", quantities.share),
        ),
        (Column(_("learning rate")), plain("learning_rate", quantities.plain)),
        (Column(_("seeds")), plain("seeds", quantities.whole)),
    ]


def results_table(result: TaskResult, styles: Styles) -> Table:
    """Models, baselines and published results in one table; a column that nobody has a figure for is left out."""
    figures = _columns(result)
    entries = [*result.rows, *_published(result)]
    cells = [[figure(row) for _column, figure in figures] for row in entries]
    kept = [i for i in range(len(figures)) if any(row[i][0] != quantities.NOT_MEASURED for row in cells)]
    leader = result.learned[0]["model"] if result.learned else None
    rows = []
    for row, values in zip(entries, cells, strict=True):
        published = row["family"] == PUBLISHED
        muted = published or is_baseline(row)
        color = "published-1" if published else styles[row["model"]].color
        name = Cell(row["model"], minor=row.get("origin", ""), color=color)
        figures_of_row = (Cell(*values[i]) for i in kept)
        rows.append(
            Row(
                (name, Cell(family_name(row["family"])), *figures_of_row),
                muted=muted,
                strong=not muted and row["model"] == leader,
            )
        )
    columns = (
        Column(_("model"), figure=False),
        Column(_("family"), figure=False),
        *(figures[i][0] for i in kept),
    )
    return Table(_("Results on {task}", task=result.task), columns, tuple(rows))


def _published(result: TaskResult) -> list[dict[str, Any]]:
    """One row for each published result, in the form of the study's own rows, its origin beside its name."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for reference in result.spec.get("references") or []:
        origin = " · ".join(part for part in (reference.get("source"), reference.get("note")) if part)
        found.setdefault((reference["name"], origin), {})[reference["metric"]] = reference["score"]
    return [
        {"model": name, "origin": origin, "family": PUBLISHED, "score": scores.get(result.metric), "summary": scores}
        for (name, origin), scores in found.items()
    ]


def _comparisons(result: TaskResult) -> Table:
    columns = (
        Column(_("first"), figure=False), Column(_("second"), figure=False),
        Column(_("metric"), figure=False), Column(_("difference")),
        Column(_("margin")), Column(_("verdict"), figure=False), Column(_("seeds needed")),
    )  # fmt: skip
    rows = []
    for v in (*result.verdicts, *result.further):
        if v["verdict"] in OUTCOMES:
            word, tone = OUTCOMES[v["verdict"]]
        else:
            word, tone = _("{model} is better", model=v[v["verdict"]]), "good"
        needed = str(v["seeds_needed"]) if v.get("seeds_needed") else ""
        rows.append(
            Row(
                (
                    Cell(v["a"]), Cell(v["b"]), Cell(metric_name(v["metric"])),
                    Cell(*quantities.interval(v.get("difference"))), Cell(quantities.score(v.get("margin"))),
                    Cell(word, tone=tone), Cell(needed),
                )
            )
        )  # fmt: skip
    caption = _(
        "Every pair compared: the score of the first minus that of the second, by paired bootstrap over test items "
        "and seeds. Intervals here are of each pair by itself; verdicts, and the intervals in their sentences, are "
        "corrected for several comparisons (Holm), and those on {metric} decide the task",
        metric=metric_name(result.metric),
    )
    return Table(caption, columns, tuple(rows))


_CHARTS_OF_ERRORS = (curves.score_by_kind, curves.score_by_length, curves.error_by_step, curves.loss_by_position)


def _errors(result: TaskResult, styles: Styles) -> Section | None:
    entries = [entry for entry in result.study["details"] if entry["task"] == result.task]
    blocks: list[Block] = []
    blocks.extend(c for build in _CHARTS_OF_ERRORS if (c := build(result, styles)))
    blocks.extend(forecast_blocks(result, styles))
    blocks.extend(heatmap for entry in entries if (heatmap := curves.confusion(result.task, entry)))
    blocks.extend(_per_class(entry) for entry in entries if entry.get("per_class"))
    return Section(f"errors-{result.task}", _("Where the errors lie"), tuple(blocks)) if blocks else None


def _per_class(entry: Mapping[str, Any]) -> Table:
    columns = (
        Column(_("label"), figure=False),
        Column(_("precision")),
        Column(_("recall")),
        Column(_("F1")),
        Column(_("rows")),
    )
    rows = tuple(
        Row(
            (
                Cell(str(c["label"])), *(Cell(quantities.score(c[key])) for key in ("precision", "recall", "f1")),
                Cell(quantities.whole(c["support"])),
            )
        )
        for c in entry["per_class"]
    )  # fmt: skip
    return Table(_("Per class: {model}", model=entry["model"]), columns, rows)


def _data_notes(result: TaskResult) -> Section | None:
    notes = tuple(recognised(str(note)) for note in result.spec.get("notes") or [])
    return Section(f"data-{result.task}", _("Notes on the data"), (Bullets(notes),)) if notes else None


def low_power_callout(seeds: int) -> Callout:
    """The warning for a study with few seeds."""
    return Callout(
        ngettext(
            "With {count} seed a model, only large differences can show.",
            "With {count} seeds a model, only large differences can show.",
            seeds,
        ),
        "warning",
        _("low power"),
    )
