"""Quality on real data: runs the comparisons of `quality.toml` and keeps their reports under benchmarks/results.

    CROSSOVER_DATA=… python benchmarks/quality.py [NAME …]

Each comparison is one `crossover compare` command; what it needs beyond defaults stands in the TOML file, nowhere
else. Studies go to crossover-runs/benchmark-NAME and are gone on with if interrupted; report.md and study.json are
copied to benchmarks/results/NAME.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
RUNS = Path("crossover-runs")


def run(name: str, command: str) -> int:
    """Run one comparison and keep its report; returns the command's exit code."""
    folder = RUNS / f"benchmark-{name}"
    arguments = [sys.executable, "-m", "crossover", *shlex.split(command), "--out", str(folder)]
    print(f"{name}: crossover {command}", flush=True)
    code = subprocess.run(arguments, check=False).returncode
    if code == 0:
        kept = HERE / "results" / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("report.md", "study.json"):
            shutil.copyfile(folder / file, kept / file)
    return code


def main() -> int:
    """Run the named comparisons, or all."""
    known: dict[str, str] = tomllib.loads((HERE / "quality.toml").read_text(encoding="utf-8"))
    chosen = sys.argv[1:] or list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        print(f"unknown {', '.join(unknown)}: use {', '.join(known)}", file=sys.stderr)
        return 2
    return max(run(name, known[name]) for name in chosen)


if __name__ == "__main__":
    raise SystemExit(main())
