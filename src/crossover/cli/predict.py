"""``crossover predict`` and ``crossover export``: use what was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_text, tell
from crossover.cli.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.inference.predictor import Predictor


def predict(
    run: Path,
    text: str | None = None,
    /,
    *,
    file: Path | None = None,
    future_values: Path | None = None,
    out: Path | None = None,
    task: str | None = None,
    device: str = "cpu",
    tokens: int = 200,
    temperature: float = 0.8,
    seed: int = 0,
    beam: int = 0,
    best: int = 1,
    common: Common = COMMON,
) -> int:
    """Predict with a trained run, or with the run that a study recommends.

    Parameters
    ----------
    run
        Folder of a run or a study.
    text
        What to predict from.
    file
        File to predict from: a text a line, or what the task reads. A forecast needs none: it goes on from the last
        rows that training saw.
    future_values
        File of what a forecast knows of the steps ahead: the columns of --future, with those of --id and --time.
    out
        File for the predictions, one JSON object a line; for forecasts a CSV, predicted frames also as FILE.npz.
    task
        Which task of a study.
    device
        cpu, cuda or mps.
    tokens
        How many tokens a language model adds.
    temperature
        How freely a language model chooses them.
    seed
        Seed of that choice.
    beam
        Hypotheses that a translation model follows at once; 0: the likeliest token at every step.
    best
        How many of them to tell.
    """
    load_plugins(common.plugin)
    from crossover.errors import ConfigError
    from crossover.inference.decode import Beam
    from crossover.inference.predictor import load

    predictor = load(run, task=task, device=device)
    if predictor.forecasts:
        if text is not None:
            raise ConfigError(
                "a forecast takes no text: give the series with --file, or nothing to go on from training"
            )
        return _forecast(predictor, file, future_values, out, common)
    if future_values is not None:
        raise ConfigError("--future-values belongs to forecasts: leave it out")
    if (text is None) == (file is None):
        raise ConfigError("give either a text or --file FILE to predict from")
    if text is not None and predictor.generates:
        predictions: list[dict[str, Any]] = [
            {"text": predictor.generate(text, tokens=tokens, temperature=temperature, seed=seed)}
        ]
    else:
        search = Beam(size=beam) if beam else None
        if text is not None:
            predictions = predictor.predict([text], beam=search, best=best)
        else:
            predictions = predictor.predict_file(Path(str(file)), beam=search, best=best)
    if out is not None:
        from crossover.files import write_file

        write_file(out, _frames(predictions, out) if out.suffix.lower() == ".npz" else _lines(predictions))
        tell(f"{len(predictions)} predictions written to {out}")
    if common.json:
        print_document({"predictions": predictions})
    elif out is None:
        for prediction in predictions:
            plain = predictor.generates or (predictor.translates and best == 1)
            print_text(prediction["text"] if plain else json.dumps(prediction, ensure_ascii=False))
    return 0


def _forecast(
    predictor: Predictor, file: Path | None, future_values: Path | None, out: Path | None, common: Common
) -> int:
    """Forecasts to a CSV file or stdout."""
    from crossover.files import write_file
    from crossover.inference.forecast_table import forecast_csv

    forecasts = predictor.forecast(file, future_values=future_values)
    table = forecast_csv(forecasts)
    if out is not None:
        write_file(out, table)
        tell(f"{table.count(chr(10)) - 1} rows written to {out}")
    if common.json:
        print_document({"predictions": forecasts})
    elif out is None:
        print_text(table.rstrip())
    return 0


def _lines(predictions: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predictions)


def _frames(predictions: list[dict[str, Any]], out: Path) -> bytes:
    """Predicted frames as an ``.npz`` file of clips [N, T, H, W]."""
    from io import BytesIO

    import numpy as np

    from crossover.errors import ConfigError

    if not all("frames" in prediction for prediction in predictions):
        raise ConfigError(f"the predictions are no frames, which {out} would hold: give --out FILE.jsonl")
    content = BytesIO()
    np.savez_compressed(content, clips=np.array([p["frames"] for p in predictions], dtype=np.float32))
    return content.getvalue()


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
