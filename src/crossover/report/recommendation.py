"""The answer: which row to take under the limits that were given, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report.messages import Listing, Message, Sentences, Text, _

LIMITS = {"latency": _("the latency limit"), "memory": _("the memory limit")}


def recommended(study: Mapping[str, Any], task: str) -> Text | None:
    """What the study recommends for `task`, what was not measured of it, and what the limits ruled out."""
    entry = next((entry for entry in study["recommendation"] or () if entry["task"] == task), None)
    if entry is None:
        return None
    if not entry.get("model"):
        return _("Nothing meets the limits that were given: no model is recommended.")
    sentences: list[Text] = [_answer(entry)]
    sentences += [_("Whether it meets {limit} was not measured.", limit=LIMITS[name]) for name in _unmeasured(entry)]
    if ruled_out := entry.get("ruled_out"):
        sentences.append(_("Ruled out by the limits: {models}.", models=Listing(tuple(ruled_out))))
    return Sentences(tuple(sentences))


def _answer(entry: Mapping[str, Any]) -> Message:
    met = [LIMITS[limit] for limit, met in (entry.get("meets") or {}).items() if met and limit in LIMITS]
    template = {
        0: _("Recommended: {model}, which has the best validation score of the rows that no limit rules out.")
        if entry.get("ruled_out")
        else _("Recommended: {model}, which has the best validation score of all rows, baselines included."),
        1: _("Recommended: {model}, which has the best validation score of the rows that meet {limit}, "
             "baselines included."),
        2: _("Recommended: {model}, which has the best validation score of the rows that meet {limit} and "
             "{other}, baselines included."),
    }[len(met)]  # fmt: skip
    return template.filled(model=entry["model"], **dict(zip(("limit", "other"), met, strict=False)))


def _unmeasured(entry: Mapping[str, Any]) -> list[str]:
    return [name for name in entry.get("unmeasured") or () if name in LIMITS]
