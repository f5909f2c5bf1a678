"""``crossover train``: one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from crossover.cli.flags import COMMON, DATA, TRAIN, Common, DataFlags, TrainFlags
from crossover.cli.output import print_document, print_text
from crossover.cli.plugins import load_plugins

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
    """What ``--json`` prints: the record, and the figures of its one rank per mean step.

    One device sends nothing, and nothing was predicted: `traffic` is empty and `prediction` null.
    """
    steps = max(record.steps, 1)
    rank = {
        "rank": 0,
        "step_seconds": record.step_seconds.value,
        "compute_seconds": (record.train_seconds - record.data_seconds) / steps,
        "communication_seconds": 0.0,
        "wait_seconds": 0.0,
        "bubble_seconds": 0.0,
        "data_seconds": record.data_seconds / steps,
        "peak_bytes": record.peak_bytes,
    }
    single = {"ranks": [rank], "device_seconds": record.train_seconds, "traffic": [], "prediction": None}
    return {**record.to_json(), **single}
