"""Write the table of a study into both READMEs, between its marks: of the demo, or of the audit that is kept.

python benchmarks/readme_table.py STUDY_DIR
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossover.report.claims import overview, tally
from crossover.report.markdown import render_table
from crossover.report.messages import Translator, translate

READMES = {"en": Path("README.md"), "zh": Path("README.zh-CN.md")}
HEADINGS = {
    "en": ("task", "model", "score", "95 % interval", "step", "peak memory"),
    "zh": ("任务", "模型", "得分", "95 % 区间", "每步", "峰值内存"),
}
UNFOLD = {"en": "Every claim and its verdict", "zh": "每条论断及其判定"}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of the study's table as text."""
    score, step, peak = row["score"], row["step_seconds"], row["peak_bytes"]
    bounds = f"{score['low']:.3f} – {score['high']:.3f}" if score["low"] is not None else "n/a"
    return (
        row["task"],
        row["model"],
        f"{row['metric']} {score['value']:.3f}",
        bounds,
        f"{step['value'] * 1e3:.1f} ms" if step else "n/a",
        f"{peak / 1e6:.0f} MB" if peak else "n/a",
    )


def demo_table(study: dict[str, Any], say: Translator) -> str:
    """Scores, steps and memory of every model on every task, and on which machine."""
    headings = HEADINGS[say.lang]
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in study["table"]]
    return "\n".join([*lines, "", f"{study['created'][:10]}, {told(study['machine'])}"])


def told(machine: dict[str, Any]) -> str:
    """A machine in a few words."""
    return f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"


def audit_table(study: dict[str, Any], say: Translator) -> str:
    """How many claims got which verdict; folded up, each with its own; and how many were settled where."""
    whole = overview(study["claims"])
    rows = tuple(replace(row, cells=row.cells[:3]) for row in whole.rows)
    table = render_table(replace(whole, columns=whole.columns[:3], rows=rows), say)
    settled = Counter(f"--level {claim['level']}, {told(claim['machine'])}" for claim in study["claims"])
    where = "; ".join(f"{count} × {place}" for place, count in settled.items())
    counted = say(tally(study["claims"]).text)
    return f"{counted}\n\n<details><summary>{UNFOLD[say.lang]}</summary>\n\n{table}\n\n</details>\n\n{where}"


TABLES: dict[str, tuple[str, Callable[[dict[str, Any], Translator], str]]] = {
    "compare": ("demo-table", demo_table),
    "audit": ("audit-table", audit_table),
}


def main() -> None:
    """Rewrite both READMEs."""
    study = json.loads((Path(sys.argv[1]) / "study.json").read_text(encoding="utf-8"))
    name, table = TABLES[study["kind"]]
    for lang, path in READMES.items():
        text = path.read_text(encoding="utf-8")
        found = re.search(rf"<!-- {name} -->\n.*?<!-- /{name} -->", text, re.DOTALL)
        start, end = found.span() if found else (len(text), len(text))
        block = f"<!-- {name} -->\n{table(study, translate(lang))}\n<!-- /{name} -->"
        path.write_text(text[:start] + block + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
