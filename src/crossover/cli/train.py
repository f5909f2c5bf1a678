"""``crossover train``: one run."""

from __future__ import annotations

from pathlib import Path

from crossover.cli.flags import COMMON, DATA, TRAIN, Common, DataFlags, TrainFlags
from crossover.cli.output import print_document, print_text
from crossover.cli.plugins import load_plugins


def train(
    task: str,
    model: str,
    /,
    *,
    resume: Path | None = None,
    out: Path | None = None,
    data: DataFlags = DATA,
    train: TrainFlags = TRAIN,
    common: Common = COMMON,
) -> int:
    """Train one model on one task and keep it.

    Parameters
    ----------
    task
        A task (crossover tasks lists them).
    model
        A model (crossover models lists them).
    resume
        Folder of a run to go on with.
    out
        Folder of the run.
    """
    load_plugins(common.plugin)
    from crossover import api
    from crossover.parallel.layout import Layout
    from crossover.report.live import LiveView

    changes = train.changes()
    with LiveView(common.lang) as view:
        record = api.train(
            task,
            model,
            out=resume or out,
            resume=resume is not None,
            data=data.options(changes.task),
            settings=train.settings(changes.train),
            model_changes=changes.model,
            device=train.device,
            precision=train.precision,
            layout=Layout.parse(train.layout),
            tell=view.tell,
            on_progress=view,
        )
    if common.json:
        print_document(record.to_json())
    else:
        score = record.summary[record.metric]
        print_text(f"{record.task} {record.model}: {record.metric} {score:.4g} (validation {record.validation:.4g})")
        print_text(f"{record.steps} steps in {record.train_seconds:.1f} s, kept in {record.run}")
    return 0
