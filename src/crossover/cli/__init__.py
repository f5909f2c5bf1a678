"""The command line. Commands are thin: they read flags, call `crossover.api` and print."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

_COMMANDS = {
    "compare": "compare",
    "scale": "scale",
    "train": "train",
    "predict": "predict",
    "export": "predict",
    "audit": "audit",
    "tasks": "tasks",
    "models": "models",
    "data": "data",
    "check": "check",
    "report": "report",
    "doctor": "doctor",
}

_HELP = "Find where recurrent networks and Transformers cross: on your task, your hardware, under the same budget."


def build_app() -> App:
    """The application with every command; each is imported when it is called or its help is shown."""
    from cyclopts import App

    from crossover import __version__

    app = App(name="crossover", help=_HELP, version=__version__, result_action="return_value")
    for name, module in _COMMANDS.items():
        app.command(f"crossover.cli.{module}:{'app' if name == 'data' else name}", name=name)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 the work failed, 2 the request was wrong, 130 after Ctrl-C."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(tokens)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what is finished is saved; repeat the command with the same --out to go on\n")
        return 130
    except Exception as error:
        if "--debug" in tokens:
            traceback.print_exc()
        code, sentence = _explain(error)
        if sentence is None:
            raise
        sys.stderr.write(f"crossover: {sentence}\n")
        return code


def _run(tokens: list[str]) -> int:
    app = build_app()
    code = app(tokens or ["--help"], exit_on_error=False, print_error=False)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[int, str | None]:
    """The exit code and the sentence for an error; no sentence where it is the program's own fault."""
    from cyclopts import CycloptsError

    from crossover.errors import CrossoverError

    if isinstance(error, CrossoverError):
        return error.exit_code, str(error)
    if isinstance(error, CycloptsError):
        return 2, " ".join(str(error).split())
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return 1, "out of memory: take a smaller --batch or model; what is finished is saved"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 1, "the disk is full: make room or choose another --out, then repeat the command to go on"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return 1, f"{error.filename} cannot be written: choose another --out"
    return 1, None
