"""``crossover scale``: cost curves, exponents, crossings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import command_line, finish, tell
from crossover.cli.units import parse_seconds
from crossover.plugins import load_plugins


def scale(
    *,
    models: str = "lstm,mingru,transformer",
    axis: str = "length=64..2048",
    passes: Annotated[Literal["train", "encode", "decode", "all"], Parameter(name="--pass")] = "train",
    batch: int | None = None,
    width: int | None = None,
    layers: int | None = None,
    solvers: Literal["auto", "all"] = "auto",
    memory: bool = True,
    time_limit: str = "60s",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    layout: str = "",
    out: Path | None = None,
    common: Common = COMMON,
) -> int:
    """Measure time, memory and FLOPs along an axis, fit exponents, and find where the curves cross.

    Parameters
    ----------
    models
        Models, separated by commas.
    axis
        length, width, batch or depth with its values: length=64..4096 (doubling) or width=64,128,256.
    passes
        A training step, the encoding of whole sequences, one step of decoding, or all of them.
    batch
        Rows of a batch.
    width
        Width of the first model; the others are matched to its parameters.
    layers
        Number of blocks.
    solvers
        auto solves recurrences the way that was measured to be the fastest; all measures every way.
    memory
        Measure peak memory.
    time_limit
        The most that the whole command may take.
    device
        auto, cpu, cuda or mps.
    precision
        auto (measured), fp32 or bf16.
    layout
        How a run is spread over devices.
    out
        Folder of the study.
    """
    load_plugins(common.plugin)
    from crossover import api
    from crossover.models.presets import split_models
    from crossover.parallel.layout import Layout
    from crossover.report.messages import choose_language

    choose_language(common.lang)
    study = api.scale(
        split_models(models),
        axis,
        passes=("train", "encode", "decode") if passes == "all" else (passes,),
        batch=batch,
        width=width,
        layers=layers,
        solvers=solvers,
        memory=memory,
        time_limit=parse_seconds(time_limit, "--time-limit") or 60.0,
        device=device,
        precision=precision,
        layout=Layout.parse(layout),
        out=out,
        tell=tell,
        command=command_line(),
    )
    finish(study, common)
    return 0
