"""A comparison from Python: two models on one small task, and what the finished study says.

    python examples/compare_in_python.py [FOLDER]

The budget is far too small for a verdict that means something: it shows the calls.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import crossover


def main(folder: Path) -> None:
    """Compare, print the table and the verdicts, predict with a run, find a crossing."""
    study = crossover.compare(
        ["sentiment/headlines"],
        ["lstm", "transformer"],
        out=folder / "compare",
        seeds=2,
        train=crossover.TrainSettings(budget="20steps", batch=16),
        memory=False,
        tell=print,
    )
    print(study.table().select("task", "model", "metric", "score_value", "parameters"))
    for verdict in study.document["verdicts"]:
        print(f"{verdict['a']} against {verdict['b']}: {verdict['verdict']}")
    print("report:", study.report())

    predictor = crossover.load(study.document["runs"][0]["folder"])
    print(predictor.predict(["Profit rose to 12 million euros from 9 million", "利润从12亿元降至9亿元"]))

    scaled = crossover.scale(
        ["lstm", "transformer"], "length=16..64", out=folder / "scale", width=32, memory=False, time_limit=5.0
    )
    for crossing in scaled.crossings():
        print(f"{crossing['a']} and {crossing['b']} cross in {crossing['measure']} at {crossing['at']}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
