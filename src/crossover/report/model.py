"""From a study's JSON to the report that every format is made from, in no language yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report import claims
from crossover.report.background import commands_section, failures_section, machine_section, scope_paragraph
from crossover.report.blocks import Block, Bullets, Callout, Report, Section, Style
from crossover.report.compare import low_power_callout, task_section
from crossover.report.devices import devices_section
from crossover.report.foresight import foresight_section
from crossover.report.messages import Text, _, ngettext
from crossover.report.palette import palette
from crossover.report.scaling import crossing_sentence, scaling_section
from crossover.report.solving import solving_section
from crossover.report.verdicts import TaskResult, is_baseline, low_power, task_verdict

TITLES = {
    "compare": _("Recurrent networks and Transformers, compared"),
    "scale": _("What recurrent networks and Transformers cost, and where the costs cross"),
    "audit": _("What is said of recurrent networks and Transformers, and what was measured"),
}
_MOST_CROSSINGS = 8
"""Pairs that are all told of; of more, only those that cross."""
_LISTS = ("table", "runs", "verdicts", "recommendation", "trials", "details", "samples")


def build_report(study: Mapping[str, Any]) -> Report:
    """The report of a study as `study.json` holds it; sections without data are left out."""
    study = with_defaults(study)
    styles = palette(study)
    sections = [
        *_task_sections(study, styles),
        devices_section(study),
        foresight_section(study),
        solving_section(study),
        scaling_section(study, styles),
        *(claims.claim_section(claim) for claim in study.get("claims") or []),
        failures_section(study),
        commands_section(study),
        machine_section(study),
    ]
    return Report(
        TITLES.get(study["kind"], TITLES["compare"]),
        _facts(study),
        tuple(_summary(study)),
        tuple(section for section in sections if section),
    )


def with_defaults(study: Mapping[str, Any]) -> dict[str, Any]:
    """The study with every key there: what it lacks or holds as null is empty."""
    return {
        "tasks": {}, "machine": {}, "settings": {}, "numerics": {}, "scale": None, **{key: [] for key in _LISTS},
        **{key: value for key, value in study.items() if value is not None},
    }  # fmt: skip


def _task_sections(study: Mapping[str, Any], styles: Mapping[str, Style]) -> list[Section]:
    present = {row["task"] for row in study["table"]}
    return [task_section(study, task, styles) for task in study["tasks"] if task in present]


def _facts(study: Mapping[str, Any]) -> tuple[Text, ...]:
    created = str(study.get("created") or "")[:16].replace("T", " ")
    return tuple(fact for fact in (created, study["machine"].get("platform")) if fact)


def _summary(study: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [scope_paragraph(study), *warnings(study)]
    blocks += verdict_callouts(study)
    if study.get("claims"):
        blocks += [claims.tally(study["claims"]), claims.overview(study["claims"])]
        if told := claims.chance(study["claims"]):
            blocks.append(told)
    if crossings := crossing_sentences(study):
        blocks.append(Bullets(crossings))
    return blocks


def warnings(study: Mapping[str, Any]) -> list[Callout]:
    """What limits every figure of the study: few seeds, an unsteady machine, runs left out."""
    found = []
    if low_power(study):
        found.append(low_power_callout(max(row.get("seeds") or 1 for row in study["table"] if not is_baseline(row))))
    if study["machine"].get("steady") is False:
        found.append(
            Callout(
                _(
                    "Two equal measurements differed by more than 10 %: times are shown, but there is no "
                    "verdict on time."
                ),
                "warning",
                _("unsteady machine"),
            )
        )
    if unfinished := int((study.get("settings") or {}).get("unfinished") or 0):
        left = ngettext(
            "{count} run was left out when the time limit was reached.",
            "{count} runs were left out when the time limit was reached.",
            unfinished,
        )
        found.append(Callout(left, "warning", _("time limit")))
    return found


def verdict_callouts(study: Mapping[str, Any]) -> list[Callout]:
    """One verdict per task."""
    found = []
    for task in study["tasks"]:
        if verdict := task_verdict(TaskResult(study, task)):
            found.append(verdict.callout(heading=task))
    return found


def crossing_sentences(study: Mapping[str, Any]) -> tuple[Text, ...]:
    """Where the costs cross, in time first; none on time from an unsteady machine. Of many pairs, those that do."""
    scale = study.get("scale")
    if not scale:
        return ()
    unsteady = study["machine"].get("steady") is False
    found = [c for c in scale["crossings"] if not (unsteady and c["measure"] == "time")]
    told = found if len(found) <= _MOST_CROSSINGS else [c for c in found if c["at"] is not None]
    sentences: list[Text] = [
        crossing_sentence(
            c, c.get("axis", scale["axis"]), [k for k in scale["curves"] if k["axis"] == c.get("axis", scale["axis"])]
        )
        for c in told
    ]
    if left := len(found) - len(told):
        sentences.append(
            ngettext("{count} other pair does not cross there.", "{count} other pairs do not cross there.", left)
        )
    return tuple(sentences)
