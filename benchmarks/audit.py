"""The audit that is kept: settles claims and gathers their cards, those of level full before those of quick.

    CROSSOVER_DATA=… python benchmarks/audit.py [--level full] [CLAIM …]

Claims may be settled on different days and machines, each by one `crossover audit`: a card says on which. They lie in
results/audit/cards, and what all of them say is in results/audit as a study (study.json) and a report. The study goes
to crossover-runs/audit-LEVEL and is gone on with if interrupted. `python benchmarks/readme_table.py
benchmarks/results/audit` writes the overview into both READMEs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossover.files import write_file, write_json
from crossover.report.markdown import render_markdown
from crossover.report.messages import translate
from crossover.report.model import build_report
from crossover.study.audit.card import told_on
from crossover.study.audit.claim import LEVELS, built_in_claims

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / "results" / "audit"


def settle(level: str, claims: list[str]) -> None:
    """Run the audit, and keep the cards that tell more than those that are there."""
    folder = Path("crossover-runs") / f"audit-{level}"
    command = ["audit", *claims, "--level", level, "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "crossover", *command], check=True)
    (KEPT / "cards").mkdir(parents=True, exist_ok=True)
    for claim in read(folder / "study.json")["claims"]:
        kept = KEPT / "cards" / f"{claim['id']}.json"
        if not kept.is_file() or LEVELS.index(read(kept)["level"]) <= LEVELS.index(level):
            shutil.copyfile(claim["card"], kept)


def read(file: Path) -> dict[str, Any]:
    """A card or a study as it is written."""
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return value


def gather() -> None:
    """Write what all cards say as one study; of their machines it tells what is the same on all."""
    paths = [KEPT / "cards" / f"{name}.json" for name in built_in_claims()]
    claims = [told_on(read(path), path.relative_to(ROOT)) for path in paths if path.is_file()]
    first, *others = (claim["machine"] for claim in claims)
    study = {
        "version": 1,
        "kind": "audit",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python benchmarks/audit.py",
        "machine": {key: value for key, value in first.items() if all(other.get(key) == value for other in others)},
        "settings": {"claims": [claim["id"] for claim in claims]},
        "claims": claims,
    }
    write_json(KEPT / "study.json", study)
    write_file(KEPT / "report.md", render_markdown(build_report(study), translate("en")))


def main() -> None:
    """Settle what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM")
    parser.add_argument("--level", choices=LEVELS, default="quick")
    given = parser.parse_args()
    settle(given.level, given.claims)
    gather()


if __name__ == "__main__":
    main()
