"""Parts of the documentation that the registries know: written at build time, so that no page restates them.

A line ``<!-- generated: NAME -->`` in a page stands for what the function of that name in `PARTS` returns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

AUDIT = Path(__file__).parents[1] / "benchmarks" / "results" / "audit" / "study.json"
"""The audit that is kept."""
_MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)
_CONTENTS = re.compile(r"^#+ Table of Contents\n.*?(?=^\*\*Commands\*\*)", re.MULTILINE | re.DOTALL)


def fill(page: str) -> str:
    """`page` with every mark replaced; an unknown name is a KeyError."""
    return _MARK.sub(lambda mark: PARTS[mark[1]](), page)


def tasks() -> str:
    """Every task, and where its data come from."""
    from crossover.data.catalogue import CATALOGUE
    from crossover.tasks import RESTORERS, TASKS

    def data(name: str) -> str:
        return "by name" if name in CATALOGUE else "your files" if name in RESTORERS else "embedded"

    rows = ((f"`{entry.name}`", data(entry.name), entry.summary) for entry in TASKS)
    return _table(("task", "data", "what is to be learned"), rows)


def models() -> str:
    """Every preset, with its mixers and the settings in which it differs from a model's own."""
    from dataclasses import fields

    from crossover.models.presets import PRESETS, family_of, parse_model
    from crossover.models.settings import ModelSettings

    plain = ModelSettings(name="", mixers=("",))
    rows = []
    for entry in PRESETS:
        settings = parse_model(entry.name)
        own = {
            field.name: getattr(settings, field.name)
            for field in fields(settings)
            if field.name not in ("name", "mixers") and getattr(settings, field.name) != getattr(plain, field.name)
        }
        rows.append((f"`{entry.name}`", family_of(settings), entry.summary, _settings(own)))
    return _table(("model", "family", "what it is", "own settings"), rows)


def mixers() -> str:
    """Every mixer: family, formula, cost law, source."""
    from crossover.models.mixers import MIXERS

    kinds = [(entry, MIXERS.get(entry.name)) for entry in MIXERS]
    return "\n".join(
        f"### {entry.name}\n\n{entry.summary[:1].upper()}{entry.summary[1:]}.\n\n"
        f"```text\n{kind.formula}\n```\n\n"
        f"- Family: {kind.family}\n- Cost: {kind.cost_law}\n- Solved: {kind.solvers_told}\n- Source: {kind.source}\n"
        for entry, kind in kinds
    )


def model_settings() -> str:
    """The settings of a model and their defaults."""
    from dataclasses import MISSING, fields

    from crossover.models.settings import ModelSettings

    shown = [field for field in fields(ModelSettings) if field.name not in ("name", "mixers", "mixer")]
    return _table(
        ("setting", "type", "default"),
        (
            (f"`{field.name}`", f"`{field.type}`".replace("|", "\\|"), f"`{field.default}`")
            for field in shown
            if field.default is not MISSING
        ),
    )


def datasets() -> str:
    """The data sets that can be had by name."""
    from crossover.data.catalogue import CATALOGUE

    return _table(
        ("name", "what it is", "licence", "owner"),
        (
            (f"`{name}`", dataset.summary, dataset.licence, f"<{dataset.homepage}>")
            for name, dataset in CATALOGUE.items()
        ),
    )


def commands() -> str:
    """The help of every command."""
    from crossover.cli import build_app

    text = build_app().generate_docs(output_format="markdown")
    without_title = text.partition("\n")[2]
    return _CONTENTS.sub("", without_title)


def claims() -> str:
    """The claims that come with the package."""
    from crossover.study.audit.claim import built_in_claims

    return _table(
        ("claim", "statement", "experiments", "rule"),
        ((c.id, c.statement, ", ".join(c.experiments), c.rule) for c in built_in_claims().values()),
    )


def verdicts(lang: str = "en") -> str:
    """What the audit that is kept says of every claim, in colour, each beside a link to its section of the report."""
    from html import escape

    from crossover.report.claims import overview, tally
    from crossover.report.html import anchor
    from crossover.report.messages import translate

    say, claims = translate(lang), json.loads(AUDIT.read_text(encoding="utf-8"))["claims"]
    table = overview(claims)
    lines = [say(tally(claims).text), "", '<table class="verdicts">', "<thead><tr>"]
    lines += [*(f"<th>{escape(say(column.title))}</th>" for column in table.columns), "</tr></thead>"]
    for row in table.rows:
        lines.append("<tr>")
        for cell in row.cells:
            told = f'<span class="{cell.tone}">{escape(say(cell.text))}</span>'
            if cell.section:
                told = f'<a href="audit/{lang}/report.html#{anchor(cell.section)}">{escape(say(cell.text))}</a>'
            minor = f" ({escape(say(cell.minor))})" if cell.minor else ""
            lines.append(f"<td>{told}{minor}</td>")
        lines.append("</tr>")
    return "\n".join([*lines, "</table>"])


def verdicts_in_chinese() -> str:
    """The same in Chinese."""
    return verdicts("zh")


def experiments() -> str:
    """What the audit can measure."""
    from crossover.study.audit.experiments import EXPERIMENTS

    return _table(
        ("experiment", "measures", "curves"),
        (
            (f"`{entry.name}`", entry.summary, ", ".join(EXPERIMENTS.get(entry.name).measures))
            for entry in EXPERIMENTS
        ),
    )


def rules() -> str:
    """How the audit can decide, with the parameters of each rule."""
    from dataclasses import fields

    from crossover.study.audit.rules import RULES

    return _table(
        ("rule", "decides whether", "parameters"),
        (
            (
                f"`{entry.name}`",
                entry.summary,
                ", ".join(f"`{field.name}`" for field in fields(RULES.get(entry.name).parameters)),
            )
            for entry in RULES
        ),
    )


def mixer_checks() -> str:
    """What the conformance suite holds every mixer to."""
    from crossover.testing.conformance import CAUSAL, COMMON, NOT_CAUSAL

    return _checks([*COMMON, *CAUSAL, *NOT_CAUSAL])


def task_checks() -> str:
    """What the conformance suite holds every task to."""
    from crossover.testing.task_conformance import CHECKS

    return _checks(CHECKS)


PARTS: Mapping[str, Callable[[], str]] = {
    "tasks": tasks,
    "models": models,
    "mixers": mixers,
    "model-settings": model_settings,
    "datasets": datasets,
    "commands": commands,
    "claims": claims,
    "verdicts": verdicts,
    "verdicts-in-chinese": verdicts_in_chinese,
    "experiments": experiments,
    "rules": rules,
    "mixer-checks": mixer_checks,
    "task-checks": task_checks,
}


def _checks(checks: Sequence[Any]) -> str:
    return "\n".join(f"- **{check.name}**: {' '.join((check.run.__doc__ or '').split())}" for check in checks)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in values.items())


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
