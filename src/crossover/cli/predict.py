"""``crossover predict``: use what was trained."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_piece, print_text, tell
from crossover.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.inference.decode import Writing
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
    layout: str = "",
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
    layout
        How the model, or the rows, are spread over devices, such as tensor=2.
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
    from crossover.files import write_file
    from crossover.inference.decode import Sampling
    from crossover.inference.predictor import load
    from crossover.inference.ranks import ask
    from crossover.parallel.layout import Layout

    predictor, files = load(run, task=task, device=device), file or []
    writing = _writing(beam=beam, best=best, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    predictor.check(writing)
    _check_input(predictor, text, files, future_values)
    if stream and (writing is not None or not files):
        raise ConfigError(
            "--stream hears --file FILE and writes the likeliest symbols: give nothing else to write by"
        )
    spread = Layout.parse(layout)
    if stream and spread.devices > 1:
        raise ConfigError(f"--stream hears on one device, and --layout {spread} is of {spread.devices}: leave it out")
    asked = partial(ask, predictor, spread)
    if text == "-":
        text = sys.stdin.read() if predictor.generates else sys.stdin.read().strip()
    predictions: list[dict[str, Any]]
    if stream:
        predictions = _stream(predictor, files, chunk, aloud=out is None and not common.json)
    elif predictor.forecasts:
        predictions = asked("forecast", files[0] if files else None, future_values=future_values)
    elif text is None:
        predictions = asked("predict_files", files, writing=writing)
    elif predictor.generates:
        sampling = writing if isinstance(writing, Sampling) else Sampling(temperature=_TEMPERATURE, seed=seed)
        predictions = [{"text": asked("generate", text, tokens=tokens, sampling=sampling)}]
    else:
        predictions = asked("predict", [text], writing=writing)
    if out is not None:
        content, what = _file_content(predictor, predictions, out)
        write_file(out, content)
        tell(f"{what} written to {out}")
    if common.json:
        print_document({"predictions": predictions})
    elif out is None and not stream:
        for line in _lines(predictor, predictions, plain=predictor.writes and best == 1):
            print_text(line)
    return 0


def _writing(*, beam: int, best: int, temperature: float | None, top_k: int, top_p: float, seed: int) -> Writing:
    """How text is to be written; ConfigError for flags that ask for two ways, or for what no way gives."""
    from crossover.errors import ConfigError
    from crossover.inference.decode import Beam, Sampling

    drawn = temperature is not None or top_k != 0 or top_p != 1
    if beam and drawn:
        raise ConfigError("a beam follows the likeliest texts and draws none: give either a beam or a temperature")
    if best != 1 and not beam:
        raise ConfigError(f"the best {best} texts need a beam of as many: give a larger --beam")
    if drawn:
        heat = _TEMPERATURE if temperature is None else temperature
        return Sampling(temperature=heat, top_k=top_k, top_p=top_p, seed=seed)
    return Beam(size=beam, best=best) if beam else None


def _check_input(predictor: Predictor, text: str | None, files: list[Path], future_values: Path | None) -> None:
    """ConfigError for an input that the model does not take."""
    from crossover.errors import ConfigError

    if predictor.forecasts:
        if text is not None or len(files) > 1:
            raise ConfigError(
                "a forecast takes no text: give one file of series with --file, or nothing to go on from training"
            )
        return
    if future_values is not None:
        raise ConfigError("--future-values belongs to forecasts: leave it out")
    if (text is None) == (not files):
        raise ConfigError("give either a text or --file FILE to predict from")
    if files and predictor.generates:
        raise ConfigError("a language model goes on with a text: give one, or - to read it from standard input")
    if text is not None and text.startswith("--"):
        raise ConfigError(f"{text} is no option of predict (--help shows them): give a text, or - to read one")


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


def _lines(predictor: Predictor, predictions: list[dict[str, Any]], *, plain: bool) -> list[str]:
    """What is printed: a table of forecasts, and of other predictions a JSON object each, or the text alone."""
    if predictor.forecasts:
        from crossover.inference.forecast_table import forecast_csv

        return forecast_csv(predictions).rstrip().split("\n")
    if not plain:
        return [json.dumps(prediction, ensure_ascii=False) for prediction in predictions]
    named = (f"{prediction['file']}: " if "file" in prediction else "" for prediction in predictions)
    return [name + prediction["text"] for name, prediction in zip(named, predictions, strict=True)]


def _file_content(predictor: Predictor, predictions: list[dict[str, Any]], out: Path) -> tuple[str | bytes, str]:
    """What a file of predictions holds, and how many there are in words."""
    lines = _lines(predictor, predictions, plain=False)
    if predictor.forecasts:
        return "".join(f"{line}\n" for line in lines), f"{len(lines) - 1} rows"
    content = _frames(predictions, out) if out.suffix.lower() == ".npz" else "".join(f"{line}\n" for line in lines)
    return content, f"{len(predictions)} predictions"


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
