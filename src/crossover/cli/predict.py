"""``crossover predict`` and ``crossover export``: use what was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_piece, print_text, tell
from crossover.cli.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.inference.predictor import Predictor


def predict(
    run: Path,
    text: str | None = None,
    /,
    *,
    file: list[Path] | None = None,
    out: Path | None = None,
    task: str | None = None,
    device: str = "cpu",
    tokens: int = 200,
    temperature: float = 0.8,
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
        What to predict from.
    file
        File to predict from: a text a line, or what the task reads. Recordings may be several, or a folder.
    out
        File for the predictions, one JSON object a line.
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
    from crossover.inference.decode import Beam
    from crossover.inference.predictor import load

    predictor = load(run, task=task, device=device)
    if (text is None) == (not file):
        raise ConfigError("give either a text or --file FILE to predict from")
    if stream and (beam or not file):
        raise ConfigError(
            "--stream hears --file FILE and writes the likeliest symbols: leave out the text and --beam"
        )
    if stream:
        predictions = _stream(predictor, file or [], chunk, aloud=out is None and not common.json)
    elif text is not None and predictor.generates:
        predictions = [{"text": predictor.generate(text, tokens=tokens, temperature=temperature, seed=seed)}]
    else:
        search = Beam(size=beam) if beam else None
        if text is not None:
            predictions = predictor.predict([text], beam=search, best=best)
        else:
            predictions = predictor.predict_files(file or [], beam=search, best=best)
    if out is not None:
        from crossover.files import write_file

        write_file(out, "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions))
        tell(f"{len(predictions)} predictions written to {out}")
    if common.json:
        print_document({"predictions": predictions})
    elif out is None and not stream:
        plain = predictor.generates or (best == 1 and (predictor.translates or predictor.transcribes))
        for prediction in predictions:
            named = f"{prediction['file']}: " if "file" in prediction else ""
            print_text(named + prediction["text"] if plain else json.dumps(prediction, ensure_ascii=False))
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
