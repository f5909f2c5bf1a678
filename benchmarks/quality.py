"""Quality on real data: runs the comparisons of `quality.toml` and keeps their reports under benchmarks/results.

    CROSSOVER_DATA=… python benchmarks/quality.py [NAME …]

Each comparison is one `crossover compare` command, after the `crossover train` commands that it needs; what they are
told beyond defaults stands in the TOML file, nowhere else. Studies go to crossover-runs/benchmark-NAME and are gone
on with if interrupted; report.md and study.json are copied to benchmarks/results/NAME, and results/quality.md is the
table of all that is kept there.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUNS = Path("crossover-runs")
FURTHER = ("macro_f1", "cer", "mae", "nats_per_character", "accuracy@160")
HEADINGS = (
    "task",
    "model",
    "test score (95 %)",
    "further scores",
    "minus the best strong baseline",
    "a run",
    "steps",
)


def run(name: str, given: str | list[str]) -> int:
    """Run one comparison, after what it needs, and keep its report; returns the exit code of what failed, or 0."""
    folder = RUNS / f"benchmark-{name}"
    *earlier, comparison = commands(given)
    for command in earlier:
        words = shlex.split(command)
        finished = Path(words[words.index("--out") + 1]) / "record.json"
        if not finished.is_file() and (code := crossover(name, words)):
            return code
    code = crossover(name, [*shlex.split(comparison), "--out", str(folder)])
    if code == 0:
        kept = HERE / "results" / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("report.md", "study.json"):
            shutil.copyfile(folder / file, kept / file)
    return code


def commands(given: str | list[str]) -> list[str]:
    """What is run for a comparison, itself last."""
    return [given] if isinstance(given, str) else given


def crossover(name: str, words: list[str]) -> int:
    """Run one command; returns its exit code."""
    print(f"{name}: crossover {shlex.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", "crossover", *words], check=False).returncode


def bounds(interval: dict[str, float]) -> str:
    """A value with its interval."""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def against_baseline(study: dict[str, Any], row: dict[str, Any]) -> str:
    """The differences of a model from the best strong baseline of its task, for every metric compared."""
    task = study["tasks"][row["task"]]
    strong = [baseline for baseline in task["baselines"] if baseline["kind"] == "strong"]
    if not strong or row["family"] == "baseline":
        return ""
    sign = 1 if task["higher_is_better"] else -1
    best = max(strong, key=lambda baseline: sign * baseline["score"])["name"]
    found = [v for v in study["verdicts"] if (v["task"], v["a"], v["b"]) == (row["task"], row["model"], best)]
    words = {"a": "better", "b": "worse"}
    told = [f"{v['metric']} {bounds(v['difference'])}: {words.get(v['verdict'], v['verdict'])}" for v in found]
    return f"{best}: " + "; ".join(told) if told else ""


def rows(study: dict[str, Any]) -> Iterator[str]:
    """The lines of one study's table."""
    for row in study["table"]:
        further = "; ".join(f"{name} {row['summary'][name]:.3f}" for name in FURTHER if name in row["summary"])
        score = row["score"]
        told = bounds(score) if score["low"] is not None else f"{score['value']:.3f}"
        steps = f"{row['steps']:,}" if row["steps"] else ""
        cells = (row["task"], row["model"], f"{row['metric']} {told}", further, against_baseline(study, row))
        yield "| " + " | ".join((*cells, f"{row['train_seconds']:.1f} s", steps)) + " |"


def summarise() -> None:
    """Write the table of every study that is kept."""
    lines = [
        "# Quality on real data",
        "",
        "Five seeds unless the command says otherwise; the test split is read once.",
    ]
    known = tomllib.loads((HERE / "quality.toml").read_text(encoding="utf-8"))
    for name in known:
        path = HERE / "results" / name / "study.json"
        if not path.is_file():
            continue
        study = json.loads(path.read_text(encoding="utf-8"))
        machine = study["machine"]
        lines += [
            "",
            f"## [{name}]({name}/report.md)",
            "",
            *(line for command in commands(known[name]) for line in (f"`crossover {command}`", "")),
            f"{study['created'][:10]}, {machine['processor']} {machine.get('instructions', '')}, "
            f"{machine['cores']} cores, {study['numerics']['precision']}, commit {machine['commit'][:10]}",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|" + "---|" * len(HEADINGS),
            *rows(study),
        ]
    (HERE / "results" / "quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Run the named comparisons, or all."""
    known: dict[str, str | list[str]] = tomllib.loads((HERE / "quality.toml").read_text(encoding="utf-8"))
    chosen = sys.argv[1:] or list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        print(f"unknown {', '.join(unknown)}: use {', '.join(known)}", file=sys.stderr)
        return 2
    code = max(run(name, known[name]) for name in chosen)
    summarise()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
