"""``crossover compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from crossover.cli.flags import COMMON, DATA, TRAIN, Common, DataFlags, TrainFlags
from crossover.cli.output import command_line, finish, tell
from crossover.cli.units import parse_bytes, parse_seconds
from crossover.plugins import load_plugins


def compare(
    *tasks: str,
    models: str = "lstm,transformer",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    seeds: int = 5,
    trials: int = 1,
    match: Literal["params", "flops", "step", "none"] = "params",
    resplit: bool = False,
    max_latency: str | None = None,
    max_memory: str | None = None,
    time_limit: str | None = None,
    memory: bool = True,
    out: Path | None = None,
    data: DataFlags = DATA,
    train: TrainFlags = TRAIN,
    common: Common = COMMON,
) -> int:
    """Train models on tasks under the same budget and say which is better where.

    Parameters
    ----------
    tasks
        Names of tasks (crossover tasks lists them); none: the embedded default.
    models
        Models, separated by commas (crossover models lists them).
    from_
        Trained models, separated by commas, that the models of their kinds start from, each beside a twin with new
        weights.
    seeds
        Runs of each model on each task; fewer than five have low power.
    trials
        Settings that the search tries for each model; 1: none.
    match
        What is held equal to the first model's: params, flops, step or none.
    resplit
        Draw a new split for every seed.
    max_latency
        The most that one sequence may take, such as 10ms.
    max_memory
        The most that inference may need, such as 200MB.
    time_limit
        The most that the whole command may take, such as 15m.
    memory
        Measure peak memory in processes of its own.
    out
        Folder of the study; a study that is there is gone on with.
    """
    load_plugins(common.plugin)
    from crossover import api
    from crossover.inference.origins import with_origins
    from crossover.models.presets import split_models
    from crossover.parallel.layout import Layout
    from crossover.report.live import LiveView
    from crossover.report.messages import choose_language
    from crossover.study.request import DEFAULT_TASKS

    choose_language(common.lang)
    changes = train.changes()
    folder = out or api.new_folder("compare")
    with LiveView(common.lang) as view:
        study = api.compare(
            tasks or DEFAULT_TASKS,
            with_origins(split_models(models), from_.split(",") if from_ else []),
            out=folder,
            tell=view.tell,
            on_progress=view,
            on_begin=view.begin,
            data=data.options(changes.task),
            train=train.settings(changes.train),
            model_changes=changes.model,
            seeds=seeds,
            trials=trials,
            match=match,
            resplit=resplit,
            max_latency=parse_seconds(max_latency, "--max-latency"),
            max_memory=parse_bytes(max_memory, "--max-memory"),
            time_limit=parse_seconds(time_limit, "--time-limit"),
            device=train.device,
            precision=train.precision,
            layout=Layout.parse(train.layout),
            memory=memory,
            command=command_line(),
            plugins=common.plugin,
        )
    finish(study, common)
    if any(run["status"] == "done" for run in study.document["runs"]):
        return 0
    tell("crossover: no run finished: the messages above and the report say why")
    return 1
