"""Who is better on a task, as sentences with their scope: from the study's paired comparisons, baselines included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crossover.report import quantities
from crossover.report.blocks import Callout, Tone
from crossover.report.messages import Listing, Message, Sentences, Text, _, ngettext

Outcome = Literal["better", "worse", "equal", "undecided"]
LOW_POWER_SEEDS = 3

METRICS: dict[str, Message] = {
    "accuracy": _("accuracy"),
    "macro_f1": _("macro-F1"),
    "f1": _("F1"),
    "mse": _("mean squared error"),
    "mae": _("mean absolute error"),
    "pinball": _("pinball loss"),
    "coverage": _("coverage"),
    "ssim": _("structural similarity"),
    "rollout_mse": _("mean squared error of frames from own ones"),
    "loss": _("loss"),
    "nats": _("nats per token"),
    "nats_per_character": _("nats per character"),
    "bits_per_character": _("bits per character"),
    "perplexity": _("perplexity"),
    "perplexity_per_word": _("perplexity per word"),
    "bleu": _("BLEU"),
    "chrf": _("chrF"),
    "exact_match": _("exact match"),
    "wer": _("word error rate"),
    "cer": _("character error rate"),
}


def metric_name(metric: str) -> Text:
    """The word for a metric; one that is not known keeps its name."""
    return METRICS.get(metric, metric.replace("_", " "))


def is_baseline(row: Mapping[str, Any]) -> bool:
    """Whether a row of the table is a baseline."""
    return row.get("family") == "baseline"


@dataclass(frozen=True)
class Comparison:
    """One model against another, seen from the first: `difference` is positive where the first is better."""

    outcome: Outcome
    difference: Mapping[str, float] | None
    margin: float | None
    seeds_needed: int | None


@dataclass(frozen=True)
class TaskVerdict:
    """What stands on a task: a word or two for the badge, the sentence, and its scope."""

    task: str
    badge: Text
    tone: Tone
    sentence: Text
    scope: Text

    def callout(self, *, heading: Text = "") -> Callout:
        """The verdict as a block, its scope below it."""
        return Callout(self.sentence, self.tone, self.badge, heading=heading, detail=self.scope)


class TaskResult:
    """One task's rows and comparisons, as the sentences need them."""

    def __init__(self, study: Mapping[str, Any], task: str) -> None:
        self.task = task
        self.study = study
        self.spec: Mapping[str, Any] = study["tasks"].get(task, {})
        rows = [row for row in study["table"] if row["task"] == task]
        self.metric: str = self.spec.get("metric") or (rows[0]["metric"] if rows else "")
        self.higher_is_better = bool(self.spec.get("higher_is_better", True))
        self.rows = sorted(rows, key=self.rank)
        compared = [v for v in study["verdicts"] if v["task"] == task]
        self.verdicts = [v for v in compared if v["metric"] == self.metric]
        self.further = [v for v in compared if v["metric"] != self.metric]

    @property
    def further_metrics(self) -> list[str]:
        """What models were compared by, or published results are given in, besides the task's own metric."""
        named = [*self.further, *(self.spec.get("references") or [])]
        return list(dict.fromkeys(entry["metric"] for entry in named if entry["metric"] != self.metric))

    def rank(self, row: Mapping[str, Any]) -> tuple[bool, float]:
        """What rows are sorted by: the best score first, those without one last."""
        value = quantities.value_of(row.get("score"))
        return value is None, 0.0 if value is None else -value if self.higher_is_better else value

    @property
    def learned(self) -> list[Mapping[str, Any]]:
        """The rows of trained models, the best score first."""
        return [row for row in self.rows if not is_baseline(row) and row.get("score") is not None]

    @property
    def baselines(self) -> list[Mapping[str, Any]]:
        """The rows of baselines, the best score first."""
        return [row for row in self.rows if is_baseline(row) and row.get("score") is not None]

    def compare(self, first: str, second: str) -> Comparison | None:
        """How `first` fares against `second`; None if the two were not compared."""
        for v in self.verdicts:
            if {v["a"], v["b"]} == {first, second} and first != second:
                winner = {"a": v["a"], "b": v["b"]}.get(v["verdict"])
                outcome: Outcome = v["verdict"] if winner is None else "better" if winner == first else "worse"
                return Comparison(outcome, self._oriented(v, first), v.get("margin"), v.get("seeds_needed"))
        return None

    def _oriented(self, v: Mapping[str, Any], first: str) -> Mapping[str, float] | None:
        difference = v.get("corrected") or v.get("difference")
        if difference is None or (v["a"] == first) == self.higher_is_better:
            return difference
        return {"value": -difference["value"], "low": -difference["high"], "high": -difference["low"]}


def task_verdict(result: TaskResult) -> TaskVerdict | None:
    """The verdict on one task, or None where nothing was trained."""
    if not result.learned:
        return None
    badge, tone, sentences = _neither(result) or _between_models(result)
    return TaskVerdict(result.task, badge, tone, Sentences(tuple(sentences)), scope(result))


def _neither(result: TaskResult) -> tuple[Text, Tone, list[Text]] | None:
    leader = result.learned[0]
    for outcome, template in (
        ("better", _("Neither: the {baseline} baseline is better than {model} ({metric} {its} against "
                     "{score}; difference {bounds}).")),
        ("equal", _("Neither: the {baseline} baseline is as good as {model} ({metric} {its} against {score}; "
                    "the difference, {bounds}, lies within {margin}).")),
    ):  # fmt: skip
        for row in result.baselines:
            found = result.compare(row["model"], leader["model"])
            if found and found.outcome == outcome:
                values: dict[str, Text] = {
                    "baseline": row["model"], "model": leader["model"], "metric": metric_name(result.metric),
                    "its": _score(row), "score": _score(leader), "bounds": _bounds(found),
                    "margin": quantities.score(found.margin),
                }  # fmt: skip
                return _("neither: {baseline}", baseline=row["model"]), "neutral", [template.filled(**values)]
    return None


def _between_models(result: TaskResult) -> tuple[Text, Tone, list[Text]]:
    leader, *others = result.learned
    groups: dict[Outcome, list[tuple[Mapping[str, Any], Comparison]]] = {}
    for row in others:
        found = result.compare(leader["model"], row["model"]) or Comparison("undecided", None, None, None)
        groups.setdefault("undecided" if found.outcome == "worse" else found.outcome, []).append((row, found))
    sentences = [
        *_better(result, leader, groups.get("better", [])),
        *_equal(result, leader, groups.get("equal", [])),
        *_undecided(result, leader, groups.get("undecided", [])),
        *_against_baseline(result, leader),
    ]
    if others:
        badge, tone = _badge(leader, others, {row["model"] for row, _found in groups.get("better", [])}, groups)
    else:
        badge, tone = _badge_alone(result, leader)
    return badge, tone, sentences


def _badge_alone(result: TaskResult, leader: Mapping[str, Any]) -> tuple[Text, Tone]:
    """The only model, if it is better than every baseline."""
    against = [result.compare(leader["model"], row["model"]) for row in result.baselines]
    if all(found is None or found.outcome == "better" for found in against):
        return leader["model"], "good"
    return _("undecided"), "warning"


def _badge(
    leader: Mapping[str, Any], others: Sequence[Mapping[str, Any]], beaten: set[str], groups: Mapping[Outcome, Any]
) -> tuple[Text, Tone]:
    """The leader, with those of its family that it does not beat, if every other family is beaten."""
    rivals = [row for row in others if row["family"] != leader["family"]] or list(others)
    if all(row["model"] in beaten for row in rivals):
        level = [row["model"] for row in others if row["model"] not in beaten]
        return Listing((leader["model"], *level)), "good"
    return (_("equal"), "neutral") if not groups.get("undecided") else (_("undecided"), "warning")


def _better(result: TaskResult, leader: Mapping[str, Any], beaten: list[Any]) -> list[Text]:
    if not beaten:
        return []
    found = beaten[0][1]
    if len(beaten) == 1:
        template = _("{model} is better than {other}: {metric} {score} against {its}, ahead by {bounds}.")
    else:
        template = _(
            "{model} is better than {others}: {metric} {score} against {its} of {other}, the next of them, "
            "ahead by {bounds}."
        )
    return [template.filled(**_against(result, leader, beaten), bounds=_bounds(found))]


def _equal(result: TaskResult, leader: Mapping[str, Any], level: list[Any]) -> list[Text]:
    if not level:
        return []
    found = level[0][1]
    template = (
        _(
            "{model} and {other} are equal: {metric} {score} against {its}, and the difference, {bounds}, "
            "lies within {margin}."
        )
        if len(level) == 1
        else _("{model} is equal to {others}: {metric} {score} against {range}, differences within {margin}.")
    )
    margin = quantities.score(found.margin)
    return [template.filled(**_against(result, leader, level), bounds=_bounds(found), margin=margin)]


def _undecided(result: TaskResult, leader: Mapping[str, Any], open_: list[Any]) -> list[Text]:
    if not open_:
        return []
    found = open_[0][1]
    template = (
        _open_question(found)
        if len(open_) == 1
        else _("Between {model} and each of {others} it is undecided: {metric} {score} against {range}.")
    )
    sentences: list[Text] = [template.filled(**_against(result, leader, open_), bounds=_bounds(found))]
    if needed := [found.seeds_needed for _row, found in open_ if found.seeds_needed]:
        sentences.append(
            ngettext(
                "About {count} seed for each model would settle it.",
                "About {count} seeds for each model would settle it.",
                max(needed),
            )
        )
    return sentences


def _against(result: TaskResult, leader: Mapping[str, Any], rivals: list[Any]) -> dict[str, Text]:
    """What a sentence about the leader and its rivals, the best of them first, may tell of both."""
    rows = [row for row, _found in rivals]
    return {
        "model": leader["model"],
        "other": rows[0]["model"],
        "others": Listing(tuple(row["model"] for row in rows)),
        "metric": metric_name(result.metric),
        "score": _score(leader),
        "its": _score(rows[0]),
        "range": quantities.between(_score(rows[-1]), _score(rows[0])),
    }


def _open_question(found: Comparison) -> Message:
    if found.difference is None:
        return _("{model} and {other} could not be compared: {metric} {score} against {its}.")
    if found.difference["low"] > 0:
        return _(
            "{model} is ahead of {other}, {metric} {score} against {its}, difference {bounds}, "
            "but too few seeds leave it undecided."
        )
    return _("Between {model} and {other} it is undecided: {metric} {score} against {its}, difference {bounds}.")


def _against_baseline(result: TaskResult, leader: Mapping[str, Any]) -> list[Text]:
    for row in result.baselines:
        found = result.compare(leader["model"], row["model"])
        if found is not None:
            values: dict[str, Text] = {"model": leader["model"], "baseline": row["model"], "its": _score(row)}
            if found.outcome == "better":
                return [_("{model} is better than the {baseline} baseline ({its}).", **values)]
            if result.rank(row) < result.rank(leader):
                return [_("The {baseline} baseline scores better ({its}), though that is not settled.", **values)]
            return [_("That {model} is better than the {baseline} baseline ({its}) is not shown.", **values)]
    return []


def scope(result: TaskResult) -> Text:
    """Under which data, sizes, budget and device the task's figures hold."""
    study = result.study
    seeds = max((row.get("seeds") or 1 for row in result.learned), default=1)
    parts: list[Text] = []
    rows = result.spec.get("rows") or {}
    if rows.get("train"):
        parts.append(_("{rows} training rows", rows=quantities.whole(rows["train"])))
    if sizes := [
        row["parameters_without_embedding"] for row in result.learned if row.get("parameters_without_embedding")
    ]:
        parts.append(_("{parameters} parameters without embedding", parameters=_span(sizes)))
    if budget := (study.get("settings") or {}).get("budget") or _own_budget(result):
        parts.append(_("{budget} a run", budget=quantities.budget(str(budget))))
    parts.append(ngettext("{count} seed", "{count} seeds", seeds))
    parts.append(device_name(study["machine"]))
    return _("Scope: {scope}.", scope=Listing(tuple(parts)))


def _own_budget(result: TaskResult) -> str | None:
    """The task's budget, where the study sets none for all."""
    return next((row["budget"] for row in result.learned if row.get("budget")), None)


def device_name(machine: Mapping[str, Any]) -> Text:
    """The device, with its cores where it is a CPU."""
    device, cores = str(machine.get("device")), machine.get("cores")
    if device == "cpu" and cores:
        return ngettext("a CPU with {count} core", "a CPU with {count} cores", cores)
    return "CPU" if device == "cpu" else device


def low_power(study: Mapping[str, Any]) -> bool:
    """Whether the study has too few seeds for small differences to show."""
    return any(v.get("low_power") for v in study["verdicts"])


def _score(row: Mapping[str, Any]) -> str:
    return quantities.score(quantities.value_of(row["score"]))


def _bounds(found: Comparison) -> str:
    return quantities.with_bounds(found.difference)


def _span(values: Sequence[float]) -> str:
    low, high = quantities.count(min(values)), quantities.count(max(values))
    return low if low == high else quantities.between(low, high)
