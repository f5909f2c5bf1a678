"""Times of recurrent kernels predicted by the planner's law, against DeepBench's on six devices.

    python benchmarks/predict_recurrent.py PUBLISHED

Half of each device's rows, by a hash of the row, are predicted by the law that was fitted to the other half; then all
of a device's rows by the law of another one and their data sheets alone. The law that the planner has is fitted to
all rows and written to `src/crossover/planning/hardware/recurrent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean, median

import published
from table import keep

from crossover.config import to_toml
from crossover.planning.machine import HARDWARE, load_machine, scaled_law
from crossover.planning.recurrent import Kernel, RecurrentLaw, fit_law

SOURCE = "DeepBench da81ba7820, results/train: recurrent kernels of cuDNN, {rows} rows, fitted by {script}"
SCRIPT = "benchmarks/predict_recurrent.py"
TITLE = "Recurrent kernels of six devices, predicted"


def errors(law: RecurrentLaw, kernels: Sequence[Kernel]) -> list[float]:
    """Predicted over measured seconds, less one."""
    return [law.seconds(kernel) / kernel.seconds - 1 for kernel in kernels]


def line(name: str, precision: str, how: str, found: Sequence[float], bars: str = "") -> str:
    """One line of the table."""
    absolute = [abs(error) for error in found]
    figures = f"{median(absolute):.3f} | {mean(absolute):.3f} | {mean(found):+.3f} | {max(found, key=abs):+.2f}"
    return f"| {name} | {precision} | {how} | {len(found)} | {figures} | {bars} |"


def write(laws: dict[str, dict[str, RecurrentLaw]], rows: dict[str, int]) -> None:
    """The laws by machine and number format, where the planner looks for them."""
    for name, by_format in laws.items():
        values = {precision: asdict(law) for precision, law in by_format.items()}
        source = SOURCE.format(rows=rows[name], script=SCRIPT)
        file = HARDWARE / "recurrent" / f"deepbench-{name.removesuffix('-16')}.toml"
        file.write_text(to_toml({"source": source, **_rounded(values)}), encoding="utf-8")


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    """Fit, predict, print, keep the table and the laws."""
    measured = published.kernels(published.training(published.folder()))
    lines = [
        "| device | format | predicted by | rows | median error | mean error | bias | worst | bars |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    laws: dict[str, dict[str, RecurrentLaw]] = {}
    rows: dict[str, int] = {}
    pooled: list[float] = []
    for (name, precision), pairs in measured.items():
        law = fit_law([kernel for row, kernel in pairs if not published.held_back(row)])
        found = errors(law, [kernel for row, kernel in pairs if published.held_back(row)])
        lines.append(line(name, precision, "its other half", found))
        pooled += found
        laws.setdefault(name, {})[precision] = fit_law([kernel for _, kernel in pairs])
        rows[name] = rows.get(name, 0) + len(pairs)
    lines.append(line("all", "", "their other halves", pooled, "median .12, mean .20"))
    write(laws, rows)
    for (name, precision), pairs in measured.items():
        of = "titan-xp" if name == "v100-16" else "v100-16"
        law = scaled_law(load_machine(of), "fp32", load_machine(name), precision)
        found = errors(law, [kernel for _, kernel in pairs])
        lines.append(line(name, precision, f"the data sheets and {of}", found, "none"))
    keep("predict_recurrent", TITLE, lines, measured=False)


if __name__ == "__main__":
    main()
