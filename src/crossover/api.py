"""The program as functions: what the command line calls, and what a notebook can."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossover.data.options import DataOptions
from crossover.files import make_folder
from crossover.measure.numerics import check_device, choose
from crossover.parallel.launch import Team, devices_for, starts_again
from crossover.parallel.layout import Layout
from crossover.study.contest import origin_note, prepare_model, task_data
from crossover.study.request import DEFAULT_MODELS, DEFAULT_TASKS, CompareRequest
from crossover.study.store import load_study, with_exports
from crossover.tasks import TASKS
from crossover.train.budget import Budget
from crossover.train.record import RunRecord, is_finished, is_started
from crossover.train.settings import TrainSettings, resolve, under_layout

if TYPE_CHECKING:
    import polars

    from crossover.planning.plan import Plan
    from crossover.study.audit.verify import Verification
    from crossover.train.progress import OnBegin, OnProgress

Tell = Callable[[str], None]

RUNS = Path("crossover-runs")
"""Where studies go that were given no folder."""


@dataclass(frozen=True)
class Study:
    """A finished study: its folder and its document (docs/study-format.md)."""

    folder: Path
    document: Mapping[str, Any]

    def table(self) -> polars.DataFrame:
        """The table as a data frame, one row per task and model, intervals flattened to value, low and high."""
        from crossover.report.table import flat_table

        return flat_table(self.document)

    def crossings(self) -> list[Mapping[str, Any]]:
        """Where two models' curves cross; empty unless the study scaled something."""
        return list((self.document.get("scale") or {}).get("crossings", []))

    def report(self, folder: Path | str | None = None, *, lang: str | None = None) -> Path:
        """Write ``report.html``, ``report.md`` and ``table.parquet`` into `folder` (the study's); the HTML's path."""
        from crossover.report.html import write_report
        from crossover.report.table import write_table

        target = Path(folder) if folder is not None else self.folder
        if self.document.get("table"):
            write_table(self.document, target / "table.parquet")
        return write_report(self.document, target, lang)


def compare(
    tasks: Sequence[str] = DEFAULT_TASKS,
    models: Sequence[str] = DEFAULT_MODELS,
    *,
    out: Path | str | None = None,
    tell: Tell | None = None,
    on_progress: OnProgress | None = None,
    on_begin: OnBegin | None = None,
    **options: Any,
) -> Study:
    """Train `models` on `tasks` under the same budget and compare them.

    `options` are the fields of `crossover.study.request.CompareRequest` (seeds, trials, data, train, …). Raises
    ConfigError, DataError or LayoutError for what cannot be done, before anything starts.
    """
    from crossover.study.compare import run_comparison

    request = CompareRequest(tasks=tuple(tasks), models=tuple(models), **options)
    folder = Path(out) if out is not None else new_folder("compare")
    document = run_comparison(request, folder, tell=tell, on_progress=on_progress, on_begin=on_begin)
    return Study(folder, document)


def scale(
    models: Sequence[str] = ("lstm", "mingru", "transformer"),
    axis: str = "length=64..2048",
    *,
    out: Path | str | None = None,
    tell: Tell | None = None,
    **options: Any,
) -> Study:
    """Measure time, memory and FLOPs of `models` along `axis`, fit exponents, find crossings.

    `options` are those of `crossover.study.scale.scale`.
    """
    from crossover.study.scale import scale as run_scale

    folder = Path(out) if out is not None else new_folder("scale")
    return Study(folder, run_scale(list(models), axis, folder=folder, tell=tell, **options))


def plan(
    model: str,
    *,
    devices: int = 1,
    of_a_host: int | None = None,
    hardware: str = "h100-sxm",
    length: int = 1024,
    batch: int = 64,
    source: int | None = None,
    sizes: Mapping[str, int] | None = None,
    vocabulary: int | None = None,
    causal: bool = True,
    precision: str | None = None,
    optimizer: Literal["adamw", "sgd"] = "adamw",
    kind: Literal["train", "encode", "decode"] = "train",
    memory_bytes: float | None = None,
    bandwidths: Mapping[str, float] | None = None,
    layout: Layout | None = None,
    versus: Sequence[str] = (),
    sweep: Sequence[int] = (),
    around: bool = False,
) -> Plan:
    """Rank the layouts of `model` on `devices` devices of `hardware` by predicted step time; nothing is built or run.

    `model` is a preset's name, or the path of a ``config.json``; `sizes` override its own. `layout` pins the fields
    that it gives. Models in `versus` have as many parameters, and `sweep` goes through numbers of devices for all.
    """
    from crossover.planning.machine import load_machine
    from crossover.planning.plan import equal_job, make_plan, on_network, planned_model, text_job

    machine = on_network(load_machine(hardware), of_a_host=of_a_host, bandwidths=dict(bandwidths or {}))
    settings, tokens = planned_model(model, sizes or {}, vocabulary)
    job = text_job(
        settings,
        tokens,
        rows=batch,
        time=length,
        source=source,
        causal=causal,
        precision=precision or next((name for name in ("bf16", "fp16") if name in machine.rates), "fp32"),
        optimizer=optimizer,
        kind=kind,
        name=model,
    )
    return make_plan(
        job,
        machine,
        devices,
        fixed=layout,
        memory_bytes=memory_bytes,
        sweep=sweep,
        versus=[equal_job(job, name) for name in versus],
        around=around,
    )


def audit(
    claims: Sequence[str] = (),
    *,
    level: Literal["quick", "full"] = "quick",
    out: Path | str | None = None,
    tell: Tell | None = None,
    **options: Any,
) -> Study:
    """Settle common claims about RNNs and Transformers: ids, TOML files of your own, or all built-in ones.

    `options` are those of `crossover.study.audit.run.run_audit`.
    """
    from crossover.study.audit.run import run_audit

    folder = Path(out) if out is not None else new_folder("audit")
    return Study(folder, run_audit(claims, folder, level=level, tell=tell, **options))


def verify(
    card: Path | str, *, out: Path | str | None = None, tell: Tell | None = None, command: str | None = None
) -> Verification:
    """Settle the claim of an audit's card again on this machine; see `crossover.study.audit.verify.verify_card`."""
    from crossover.study.audit.verify import verify_card

    folder = Path(out) if out is not None else new_folder("verify")
    return verify_card(Path(card), folder, command=command, tell=tell)


def train(
    task: str,
    model: str,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    data: DataOptions | None = None,
    settings: TrainSettings | None = None,
    model_changes: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    layout: Layout | None = None,
    tell: Tell | None = None,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Train one model on one task in the folder `out`, and return its record.

    `resume` goes on with the run in that folder, or reads it back if it is finished; so does the same command where
    torchrun starts it again. Raises FolderError for a folder
    that holds something else (a run with other settings, too) and what `crossover.train.loop.train` raises.
    """
    from crossover.train.checkpoint import check_finished
    from crossover.train.loop import train as run_training
    from crossover.train.ranks import Order, train_together
    from crossover.train.results import check_folder

    folder = Path(out) if out is not None else new_folder("train")
    resume = resume or (starts_again(os.environ) and is_started(folder))
    check_folder(folder, resume=resume)
    data, layout = task_data(data or DataOptions(), (model,)), layout or Layout()
    built = TASKS.get(task)(data)
    prepared = prepare_model(model, built.spec, model_changes)
    device = check_device(device)
    layout.check(devices_for(layout, device), prepared, built.spec)
    settings = under_layout(resolve(settings or TrainSettings(), built.spec, prepared), layout)
    Budget.parse(settings.budget or built.spec.budget)
    if is_finished(folder):
        given = {} if precision == "auto" else {"precision": precision}
        config = {"task": built.spec.name, "train": settings.to_json(), "model": asdict(prepared), "numerics": given}
        check_finished(folder, config)
    make_folder(folder)
    numerics = choose(precision, device)
    if tell is not None:
        tell(f"run in {folder}: the same command with --resume {folder} goes on with it")
        tell(numerics.describe())
        if (note := origin_note(prepared, built.spec)) is not None:
            tell(note)
    if layout.devices == 1:
        result = run_training(
            built,
            prepared,
            settings,
            numerics=numerics,
            folder=folder,
            resume=resume,
            on_progress=on_progress,
            layout=layout,
        )
        return result.record
    order = Order(
        task=task,
        data=data,
        model=prepared,
        settings=settings,
        numerics=numerics,
        folder=folder,
        resume=resume,
        layout=layout,
    )
    with Team(layout.devices) as team:
        return train_together(team, order, task=built, on_progress=on_progress).record


def open_study(folder: Path | str) -> Study:
    """The study in `folder`; CheckpointError where there is none."""
    return Study(Path(folder), with_exports(load_study(Path(folder)), Path(folder)))


def new_folder(kind: str) -> Path:
    """A folder under `RUNS` that no earlier study has."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = RUNS / f"{kind}-{stamp}"
    while folder.exists():
        time.sleep(0.1)
        folder = RUNS / f"{kind}-{stamp}-{time.time_ns() % 1000:03d}"
    return folder
