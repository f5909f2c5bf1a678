"""Write the table of a study into both READMEs, between the demo-table marks.

python benchmarks/readme_table.py STUDY_DIR
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

MARKS = re.compile(r"<!-- demo-table -->\n.*?<!-- /demo-table -->", re.DOTALL)
HEADINGS = {
    "README.md": ("task", "model", "score", "95 % interval", "step", "peak memory"),
    "README.zh-CN.md": ("任务", "模型", "得分", "95 % 区间", "每步", "峰值内存"),
}


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


def main() -> None:
    """Rewrite both READMEs."""
    study = json.loads((Path(sys.argv[1]) / "study.json").read_text(encoding="utf-8"))
    machine = study["machine"]
    for name, headings in HEADINGS.items():
        lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in study["table"]]
        lines += [
            "",
            f"{study['created'][:10]}, {machine['processor']}, {machine['cores']} cores, torch {machine['torch']}",
        ]
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        found = MARKS.search(text)
        start, end = found.span() if found else (len(text), len(text))
        block = "<!-- demo-table -->\n" + "\n".join(lines) + "\n<!-- /demo-table -->"
        path.write_text(text[:start] + block + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
