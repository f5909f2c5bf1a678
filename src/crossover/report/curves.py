"""The charts of one task: quality against time, size, latency and trials, and where the errors lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossover.report import quantities
from crossover.report.blocks import Axis, Chart, Heatmap, Series, Style
from crossover.report.messages import Listing, Message, Sentences, Text, _, ngettext
from crossover.report.verdicts import TaskResult, metric_name

Styles = Mapping[str, Style]
_GRID_POINTS = 48
_SMALLEST_MARKER, _LARGEST_MARKER = 10.0, 34.0


def quality_axis(result: TaskResult) -> Axis:
    """The task's metric, and which end of it is good."""
    template = _("{metric}, higher is better") if result.higher_is_better else _("{metric}, lower is better")
    return Axis(template.filled(metric=metric_name(result.metric)))


def quality_against_time(result: TaskResult, styles: Styles) -> Chart | None:
    """Validation score against seconds of training: the median over seeds, with the range as a band."""
    series = []
    for row in result.learned:
        curves = [
            [point for point in run["curve"] if point.get("validation") is not None]
            for run in result.study["runs"]
            if run["task"] == result.task and run["model"] == row["model"] and run.get("curve")
        ]  # fmt: skip
        if curves := [curve for curve in curves if curve]:
            x, middle, low, high = median_curve(curves)
            banded = len(curves) > 1
            series.append(
                Series(
                    row["model"],
                    styles[row["model"]],
                    x,
                    middle,
                    low=low if banded else (),
                    high=high if banded else (),
                )
            )
    if not series:
        return None
    return Chart(
        f"time-{result.task}",
        _("Quality against time spent"),
        _("Validation score against seconds of training; the line is the median over seeds, the band their range."),
        Axis(_("seconds of training"), unit=" s"),
        quality_axis(result),
        (*series, *_level_of_baselines(result, styles, [x for s in series for x in s.x])),
    )


def median_curve(
    curves: Sequence[Sequence[Mapping[str, Any]]],
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Seconds, and over the seeds the median, lowest and highest validation score at them.

    Between its validations a run's score is interpolated; one that stopped early keeps its last.
    """
    times = [[point["seconds"] for point in curve] for curve in curves]
    scores = [[point["validation"] for point in curve] for curve in curves]
    first = max(t[0] for t in times)
    grid = sorted({t for run in times for t in run if t >= first})
    if len(grid) > _GRID_POINTS:
        grid = list(np.linspace(grid[0], grid[-1], _GRID_POINTS))
    at = np.stack([np.interp(grid, t, s) for t, s in zip(times, scores, strict=True)])
    return [float(t) for t in grid], *(list(map(float, f(at, axis=0))) for f in (np.median, np.min, np.max))  # type: ignore[return-value]


def _level_of_baselines(result: TaskResult, styles: Styles, x: Sequence[Any]) -> list[Series]:
    """The best baseline as a level line: it has no curve."""
    return [
        Series(row["model"], styles[row["model"]], [min(x), max(x)], [_validation(row)] * 2, kind="level")
        for row in result.baselines[:1]
        if _validation(row) is not None
    ]


def quality_against_parameters(result: TaskResult, styles: Styles) -> Chart | None:
    """Test score against parameters without embedding and head, baselines that have any among them."""
    series = []
    for row in result.rows:
        count = row.get("parameters_without_embedding") or row.get("parameters")
        if count and row.get("score"):
            series.append(_point(row, styles, count, [quantities.count(count)]))
    if not series:
        return None
    return Chart(
        f"parameters-{result.task}",
        _("Quality against parameters"),
        _("Test score with its 95 % interval against the number of parameters without embedding and output layer."),
        Axis(_("parameters"), log=True),
        quality_axis(result),
        tuple(series),
    )


def pareto(result: TaskResult, styles: Styles) -> Chart | None:
    """Test score against latency, marker area by memory; models off the front of all three are hollow."""
    rows = [row for row in result.learned if _latency(row) and row.get("peak_bytes")]
    if len(rows) < 2:
        return None
    front = pareto_front(rows, result.higher_is_better)
    largest = max(row["peak_bytes"] for row in rows)
    series = []
    for row in rows:
        share = (row["peak_bytes"] / largest) ** 0.5
        note = f"{quantities.seconds(_latency(row))} · {quantities.size(row['peak_bytes'])}"
        series.append(
            _point(
                row,
                styles,
                _latency(row) or 0.0,
                [note],
                sizes=(max(_SMALLEST_MARKER, _LARGEST_MARKER * share),),
                hollow=row["model"] not in front,
                labelled=True,
            )
        )
    return Chart(
        f"pareto-{result.task}",
        _("Quality, latency and memory"),
        _("Test score against the median latency of one sequence; the marker's area is the peak memory in training. "
          "Filled: no other model is better in all three."),
        Axis(_("latency of one sequence"), log=True, unit="s"),
        quality_axis(result),
        tuple(series),
    )  # fmt: skip


def pareto_front(rows: Sequence[Mapping[str, Any]], higher_is_better: bool) -> set[str]:
    """The models that no other one equals or betters in quality, latency and memory alike."""
    sign = -1.0 if higher_is_better else 1.0
    points = {
        row["model"]: (sign * (quantities.value_of(row["score"]) or 0.0), _latency(row) or 0.0, row["peak_bytes"])
        for row in rows
    }

    def dominated(point: tuple[float, float, float]) -> bool:
        return any(
            other != point and all(o <= p for o, p in zip(other, point, strict=True)) for other in points.values()
        )

    return {model for model, point in points.items() if not dominated(point)}


def best_against_trials(result: TaskResult, styles: Styles) -> Chart | None:
    """Expected best validation score against the number of trials of the search."""
    series = []
    for entry in result.study["trials"]:
        steps = entry.get("expected_best") or []
        if entry["task"] == result.task and len(steps) > 1:
            series.append(
                Series(
                    entry["model"], styles[entry["model"]], [s["trials"] for s in steps], [s["value"] for s in steps],
                    low=[s["low"] for s in steps], high=[s["high"] for s in steps],
                )
            )  # fmt: skip
    if not series:
        return None
    trials = tuple(float(n) for n in sorted({n for s in series for n in s.x}))
    return Chart(
        f"trials-{result.task}",
        _("Expected best against trials"),
        _("Expected best validation score after so many trials of the search: where the lines cross, the "
          "verdict hangs "
          "on how much was tuned."),
        Axis(_("trials"), ticks=trials if len(trials) <= 12 else ()),
        quality_axis(result),
        tuple(series),
    )  # fmt: skip


def best_runs(entries: Sequence[Mapping[str, Any]]) -> Text:
    """Which runs the `details` of a study are from: a model's best by validation, its seed where the entry has it."""
    seeds: list[Text] = [
        _("{model} seed {seed}", model=entry["model"], seed=str(entry["seed"]))
        for entry in entries
        if entry.get("seed") is not None
    ]
    if not seeds:
        return ngettext(
            "From the run with the best validation score only.",
            "From each model's run with the best validation score only.",
            len(entries),
        )
    return ngettext(
        "From the run with the best validation score only: {seeds}.",
        "From each model's run with the best validation score only: {seeds}.",
        len(entries),
        seeds=Listing(tuple(seeds)),
    )


def score_by_length(result: TaskResult, styles: Styles) -> Chart | None:
    """Test score over buckets of sequence length."""
    entries = _details(result, "by_length")
    if not entries:
        return None
    return Chart(
        f"length-{result.task}",
        _("Score by length"),
        Sentences((_("Test score of the rows whose length lies in each range."), best_runs(entries))),
        Axis(_("length")),
        quality_axis(result),
        tuple(_bars(e, styles, e["by_length"], _ranges(e["by_length"])) for e in entries),
    )


def loss_by_position(result: TaskResult, styles: Styles) -> Chart | None:
    """Loss of a language model against the position of the token in its block of text."""
    entries = _details(result, "by_position")
    if not entries:
        return None
    says = _("Loss on the test split of the tokens at each range of positions in a block of text.")
    return Chart(
        f"positions-{result.task}",
        _("Loss by position"),
        Sentences((says, best_runs(entries))),
        Axis(_("position in the block")),
        Axis(_("nats per token, lower is better")),
        tuple(_loss_bars(entry, styles) for entry in entries),
    )


def _ranges(buckets: Sequence[Mapping[str, Any]]) -> list[str]:
    return [quantities.between(quantities.plain(b["from"]), quantities.plain(b["to"])) for b in buckets]


def _details(result: TaskResult, key: str) -> list[Mapping[str, Any]]:
    """The task's `details` in which `key` has two values or more: one says nothing."""
    return [e for e in result.study["details"] if e["task"] == result.task and len(e.get(key) or []) > 1]


def _bars(entry: Mapping[str, Any], styles: Styles, buckets: Sequence[Mapping[str, Any]], names: list[str]) -> Series:
    """The scores of a model's buckets, with how many rows each holds."""
    notes = [ngettext("{count} row", "{count} rows", int(b["count"])) for b in buckets]
    scores = [b["score"] for b in buckets]
    return Series(entry["model"], styles[entry["model"]], names, scores, kind="bars", notes=notes)


def _loss_bars(entry: Mapping[str, Any], styles: Styles) -> Series:
    """The losses of a model at ranges of positions, with how many tokens each holds."""
    buckets = entry["by_position"]
    notes = [ngettext("{count} token", "{count} tokens", int(b["count"])) for b in buckets]
    losses = [b["loss"] for b in buckets]
    return Series(entry["model"], styles[entry["model"]], _ranges(buckets), losses, kind="bars", notes=notes)


def score_by_kind(result: TaskResult, styles: Styles) -> Chart | None:
    """Test score of each kind of question."""
    entries = _details(result, "by_kind")
    if not entries:
        return None
    return Chart(
        f"kinds-{result.task}",
        _("Score by kind of question"),
        Sentences((_("Test score of each kind of question; the task's score is their mean."), best_runs(entries))),
        Axis(_("kind of question")),
        quality_axis(result),
        tuple(_bars(e, styles, e["by_kind"], [str(b["kind"]) for b in e["by_kind"]]) for e in entries),
    )


def error_by_step(result: TaskResult, styles: Styles) -> Chart | None:
    """The error that was trained on against the step of the forecast."""
    entries = _details(result, "by_step")
    metric = metric_name("pinball" if result.metric == "pinball" else "mse")
    if not entries:
        return None
    return Chart(
        f"steps-{result.task}",
        _("Error by step of the forecast"),
        Sentences((_("The {metric} on the test split at each step ahead.", metric=metric), best_runs(entries))),
        Axis(_("steps ahead")),
        Axis(_("{metric}, lower is better", metric=metric)),
        tuple(Series(e["model"], styles[e["model"]], range(1, len(e["by_step"]) + 1), e["by_step"]) for e in entries),
    )


def confusion(task: str, entry: Mapping[str, Any]) -> Heatmap | None:
    """How often each true label was given each predicted one."""
    if not entry.get("confusion"):
        return None
    labels = tuple(str(label) for label in entry["labels"])
    return Heatmap(
        f"confusion-{task}-{entry['model']}",
        _("Confusion matrix of {model}", model=entry["model"]),
        Sentences(
            (
                _("Rows are true labels, columns predicted ones; the shade is the share of the row."),
                best_runs([entry]),
            )
        ),
        _("predicted"),
        _("true"),
        labels,
        labels,
        tuple(tuple(n / max(1, sum(counts)) for n in counts) for counts in entry["confusion"]),
        tuple(tuple(str(int(n)) for n in counts) for counts in entry["confusion"]),
    )


def _point(row: Mapping[str, Any], styles: Styles, x: float, notes: Sequence[Text | Message], **look: Any) -> Series:
    score = row["score"]
    low, high = (score.get("low"), score.get("high")) if isinstance(score, Mapping) else (None, None)
    return Series(
        row["model"], styles[row["model"]], [x], [quantities.value_of(score)], kind="points",
        low=[low] if low is not None else (), high=[high] if high is not None else (), notes=notes, **look,
    )  # fmt: skip


def _latency(row: Mapping[str, Any]) -> float | None:
    latency = (row.get("latency") or {}).get("sequence") or {}
    return latency.get("p50")


def _validation(row: Mapping[str, Any]) -> float | None:
    return row.get("validation") if row.get("validation") is not None else quantities.value_of(row.get("score"))
