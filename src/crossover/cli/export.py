"""``crossover export``: a trained model for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_text, tell
from crossover.plugins import load_plugins


def export(
    run: Path,
    /,
    *,
    to: Literal["safetensors", "onnx"] = "safetensors",
    out: Path,
    task: str | None = None,
    common: Common = COMMON,
) -> int:
    """Export a trained run, or the run that a study recommends.

    Parameters
    ----------
    run
        Folder of a run or a study.
    to
        The format.
    out
        Where to write it.
    task
        Which task of a study.
    """
    load_plugins(common.plugin)
    from crossover.inference.export import export as write

    exported = write(run, to=to, out=out, task=task)
    if common.json:
        files = [str(path) for path in exported.files]
        print_document({"path": files[0], "files": files, "latency": exported.latency or None})
        return 0
    for path in exported.files:
        print_text(str(path))
    for kind, taken in exported.latency.items():
        tell(
            f"one {kind}, {taken['steps']} steps: {taken['onnx']['p50'] * 1e3:.2f} ms in ONNX Runtime, "
            f"{taken['pytorch']['p50'] * 1e3:.2f} ms in PyTorch (medians)"
        )
    return 0
