"""``crossover train``: one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from crossover.cli.flags import COMMON, DATA, TRAIN, Common, DataFlags, TrainFlags
from crossover.cli.output import print_document, print_text
from crossover.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.train.record import RunRecord


def train(
    task: str,
    model: str,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
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
    from_
        Trained model to start from: the folder of a run, or bert:PATH or gpt2:PATH.
    resume
        Folder of a run to go on with.
    out
        Folder of the run.
    """
    load_plugins(common.plugin)
    from crossover import api
    from crossover.models.presets import with_setting
    from crossover.parallel.layout import Layout
    from crossover.report.live import LiveView

    changes = train.changes()
    with LiveView(common.lang) as view:
        record = api.train(
            task,
            with_setting(model, "from", from_) if from_ else model,
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
        print_document(document(record))
    else:
        score = record.summary[record.metric]
        print_text(f"{record.task} {record.model}: {record.metric} {score:.4g} (validation {record.validation:.4g})")
        print_text(f"{record.steps} steps in {record.train_seconds:.1f} s, kept in {record.run}")
    return 0


def document(record: RunRecord) -> dict[str, Any]:
    """What ``--json`` prints: the record, and the figures of its ranks per mean step.

    One device sends nothing: `traffic`, what the first rank sends in a step, is empty.
    """
    ranks = [{key: value for key, value in rank.items() if key != "traffic"} for rank in record.ranks]
    seconds = record.train_seconds * max(len(ranks), 1)
    traffic = record.ranks[0]["traffic"] if record.ranks else []
    return {**record.to_json(), "ranks": ranks, "device_seconds": seconds, "traffic": traffic}
