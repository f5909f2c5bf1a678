"""``make demo``: the embedded comparison and its scaling curves in one report, in about four minutes on two cores."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from crossover import api
from crossover.report.live import LiveView
from crossover.report.terminal import print_summary
from crossover.study.store import Store

MODELS = ("lstm", "transformer")
SCALED = ("lstm", "mingru", "transformer")
AXIS = "length=64..2048"
SEEDS = 3
SCALED_WIDTH = 64
"""Half of what ``crossover scale`` takes, so that two cores get to the end of the axis."""
SCALE_SECONDS = 25.0


def demo(folder: Path, lang: str | None = None) -> Path:
    """Compare `MODELS` on the embedded tasks, scale `SCALED`, and write both into one report; returns its path."""
    with LiveView(lang) as view:
        study = api.compare(
            models=MODELS,
            seeds=SEEDS,
            out=folder,
            tell=view.tell,
            on_progress=view,
            command=f"crossover compare --seeds {SEEDS}",
        )
        view.tell(f"scaling {', '.join(SCALED)} over {AXIS}")
        scaled = api.scale(
            SCALED, AXIS, width=SCALED_WIDTH, out=folder / "scale", time_limit=SCALE_SECONDS, tell=view.tell
        )
    document = {**study.document, "scale": scaled.document["scale"]}
    Store(folder).save(document)
    whole = api.Study(folder, document)
    report = whole.report(lang=lang)
    print_summary(document, folder, Console(), lang)
    return report


if __name__ == "__main__":
    demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
