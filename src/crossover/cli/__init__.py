"""The command line. Commands are thin: they read flags, call `crossover.api` and print."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

_COMMANDS = {
    "compare": ("compare:compare", "Train models on tasks under the same budget and say which is better where."),
    "scale": ("scale:scale", "Measure time, memory and FLOPs along an axis, fit exponents, find crossings."),
    "train": ("train:train", "Train one model on one task and keep it."),
    "predict": ("predict:predict", "Predict with a run, or with the run that a study recommends."),
    "export": ("export:export", "Export a run as safetensors or ONNX."),
    "audit": ("audit:audit", "Settle common claims about RNNs and Transformers by measurement."),
    "verify": (
        "verify:verify",
        "Settle a claim of an audit again on this machine: confirmed or refuted.",
    ),
    "tasks": ("tasks:tasks", "List the tasks, or tell all about one."),
    "models": ("models:models", "List the models, or tell all about one."),
    "data": ("data:app", "List the data sets that can be had by name, or get one."),
    "check": ("check:check", "Run the conformance suite on a mixer or task of your own."),
    "report": ("report:report", "Write the report of a study again."),
    "plan": ("plan:plan", "Rank the layouts of a model on devices that need not be here."),
    "calibrate": ("calibrate:calibrate", "Measure this machine, so that the planner knows it."),
    "doctor": ("doctor:doctor", "Say what is installed, what will be used, and what to install."),
}
"""Command to the function behind it and its one line of help, so that the overview imports no command."""

_HELP = "Find where recurrent networks and Transformers cross: on your task, your hardware, under the same budget."


def build_app() -> App:
    """The application with every command; each is imported when it is called or its help is shown."""
    from cyclopts import App

    from crossover import __version__

    app = App(
        name="crossover",
        help=_HELP,
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, (target, summary) in _COMMANDS.items():
        app.command(f"crossover.cli.{target}", name=name, help=summary)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 the work failed, 2 the request was wrong.

    As a shell has it, 130 after Ctrl-C and 141 where nobody reads the output any more (``| head``).
    """
    from crossover.cli.failures import INTERRUPTED, INTERRUPTION, UNREAD, explain
    from crossover.cli.output import print_nowhere, tell, typed_as

    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if _follows():
        from crossover.parallel.launch import follow

        return follow()
    try:
        with typed_as(tokens):
            code = build_app()(tokens or ["--help"], exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        tell(INTERRUPTION)
        return INTERRUPTED
    except BrokenPipeError:
        print_nowhere()
        return UNREAD
    except Exception as error:
        code, sentence = explain(error)
        if sentence is None:
            raise
        if "--debug" in tokens:
            traceback.print_exc()
        tell(f"crossover: {sentence}")
        return code


def _follows() -> bool:
    """Whether torchrun or Slurm started this process as another rank than the first, which reads the command."""
    names = ("RANK", "SLURM_PROCID")
    if "MASTER_ADDR" not in os.environ or not any(name in os.environ for name in names):
        return False
    return next(os.environ[name] for name in names if name in os.environ) != "0"
