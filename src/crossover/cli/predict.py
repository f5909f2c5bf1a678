"""``crossover predict`` and ``crossover export``: use what was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_piece, print_text, tell
from crossover.cli.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.inference.predictor import Predictor

_TEMPERATURE = 0.8
"""Of a language model, where none is given."""


def predict(
    run: Path,
    text: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    file: list[Path] | None = None,
    future_values: Path | None = None,
    out: Path | None = None,
    task: str | None = None,
    device: str = "cpu",
    tokens: int = 200,
    temperature: float | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    beam: int = 0,
    best: int = 1,
    stream: bool = False,
    chunk: int = 100,
    common: Common = COMMON,
) -> int:
    """Predict with a trained run, or with the run that a study recommends.

    Parameters
    ----------
    run
        Folder of a run or a study.
    text
        What to predict from; - reads it from standard input.
    file
        File to predict from: a text a line, or what the task reads. Recordings may be several, or a folder. A
        forecast needs none: it goes on from the last rows that training saw.
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
        How freely tokens are drawn; 0: the likeliest. A language model takes 0.8 if none is given, a translation
        model then draws nothing.
    top_k
        Draw from so many of the likeliest tokens only (0: all).
    top_p
        Draw from the fewest tokens only that hold this share of the probability.
    seed
        Seed of what is drawn.
    beam
        Hypotheses that a model which writes follows at once; 0: the likeliest token at every step.
    best
        How many of them to tell.
    stream
        Hear recordings chunk by chunk and write meanwhile; needs a causal model of speech.
    chunk
        Milliseconds of a chunk.
    """
    load_plugins(common.plugin)
    from crossover.errors import ConfigError
    from crossover.inference.decode import Beam, Sampling
    from crossover.inference.predictor import load

    predictor = load(run, task=task, device=device)
    if predictor.forecasts:
        if text is not None or len(file or []) > 1:
            raise ConfigError(
                "a forecast takes no text: give one file of series with --file, or nothing to go on from training"
            )
        return _forecast(predictor, file[0] if file else None, future_values, out, common)
    if future_values is not None:
        raise ConfigError("--future-values belongs to forecasts: leave it out")
    if (text is None) == (not file):
        raise ConfigError("give either a text or --file FILE to predict from")
    if text is not None and text.startswith("--"):
        raise ConfigError(f"{text} is no option of predict (--help shows them): give a text, or - to read one")
    if text == "-":
        text = sys.stdin.read() if predictor.generates else sys.stdin.read().strip()
    asked = temperature is not None or top_k != 0 or top_p != 1
    heat = _TEMPERATURE if temperature is None else temperature
    sampling = Sampling(temperature=heat, top_k=top_k, top_p=top_p, seed=seed)
    search, drawing = Beam(size=beam) if beam else None, sampling if asked else None
    if stream and (search or drawing or not file):
        raise ConfigError(
            "--stream hears --file FILE and writes the likeliest symbols: give nothing else to write by"
        )
    predictions: list[dict[str, Any]]
    if stream:
        predictions = _stream(predictor, file or [], chunk, aloud=out is None and not common.json)
    elif text is None:
        predictions = predictor.predict_files(file or [], beam=search, best=best, sampling=drawing)
    elif not predictor.generates:
        predictions = predictor.predict([text], beam=search, best=best, sampling=drawing)
    elif search is None:
        predictions = [{"text": predictor.generate(text, tokens=tokens, sampling=sampling)}]
    else:
        raise ConfigError(f"the language model in {run} draws its tokens: leave out --beam")
    if out is not None:
        from crossover.files import write_file

        write_file(out, _frames(predictions, out) if out.suffix.lower() == ".npz" else _lines(predictions))
        tell(f"{len(predictions)} predictions written to {out}")
    if common.json:
        print_document({"predictions": predictions})
    elif out is None and not stream:
        plain = predictor.generates or (best == 1 and (predictor.translates or predictor.transcribes))
        for prediction in predictions:
            named = f"{prediction['file']}: " if "file" in prediction else ""
            print_text(named + prediction["text"] if plain else json.dumps(prediction, ensure_ascii=False))
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


def _stream(predictor: Predictor, files: list[Path], chunk: int, *, aloud: bool) -> list[dict[str, Any]]:
    """Transcribe files in chunks; the text goes to stdout as it comes, what it took to stderr."""
    from crossover.inference.stream import stream_file

    found = []
    for file in predictor.files(files):
        streamed = stream_file(predictor, file, chunk_ms=chunk, told=print_piece if aloud else None)
        if aloud:
            print_piece("\n")
        told = streamed.to_json()
        p50, p99 = (1000 * told["latency"][name] for name in ("p50", "p99"))
        tell(
            f"{file}: {streamed.audio_seconds:.2f} s in chunks of {chunk} ms, each worked on for {p50:.1f} ms "
            f"(median; 99 %: {p99:.1f} ms); real-time factor {streamed.real_time_factor:.3f}"
        )
        found.append(told)
    return found


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
