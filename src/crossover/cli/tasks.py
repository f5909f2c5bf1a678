"""``crossover tasks``: what can be learned."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_columns, print_document, print_fields
from crossover.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.tasks import Reference

_SPLIT_FLAGS = [
    "--data FILE: one file, to be split",
    "--train FILE --test FILE, and --valid FILE: the files of a given split (without --valid, a part of train)",
]

_OWN: dict[str, dict[str, Any]] = {
    "forecasting": {
        "class": "crossover.tasks.forecasting.task:Forecasting",
        "data": "a table of numbers with a row for each step (CSV, TSV, JSON lines, Parquet), split by time",
        "flags": [
            *_SPLIT_FLAGS,
            "--target COLUMN[,COLUMN]: what to forecast (every numeric column if not given)",
            "--time COLUMN: the timestamps; --id COLUMN: which series of a panel a row is of",
            "--past COLUMNS, --future COLUMNS, --static COLUMNS: covariates known up to now, ahead, and always",
            "--calendar: hour, weekday, day of month and month, from the timestamps, as covariates known ahead",
            "--quantiles 0.1,0.5,0.9: quantiles instead of one value; --backtest N: rolling origins",
            "--set task.head=direct, autoregressive or seq2seq (an encoder-decoder)",
            "--window N --horizon N: how many steps to forecast from, and how many to forecast",
            "--patch N: steps that the model reads as one",
            "--fill-gaps: fill gaps by interpolation",
        ],
        "metric": "mse",
        "example": "forecasting --data load.csv --target load --time day",
    },
    "classification": {
        "class": "crossover.tasks.series.classification:SequenceClassification",
        "data": "labelled series in UEA/UCR .ts files, of unequal length too",
        "flags": [
            *_SPLIT_FLAGS,
            "--split-seed N: another random split",
            "--rare drop or --rare keep: what to do with labels that too few series have",
        ],
        "metric": "accuracy",
        "example": "classification --train gestures_TRAIN.ts --test gestures_TEST.ts",
    },
    "video": {
        "class": "crossover.tasks.video.own:ClipClassification",
        "data": "an .npz file of clips [N, T, H, W] or [N, T, H, W, C] and labels [N] (of unequal length: all frames "
        "in a row, and lengths [N]), a folder with a subfolder of videos for each label, or a table of files and "
        "labels",
        "flags": [
            *_SPLIT_FLAGS,
            "--label COLUMN: the labels of a table (label if not given)",
            "--split-seed N: another random split",
            "--rare drop or --rare keep: what to do with labels that too few clips have",
            "--set task.stride=K: every k-th frame; task.frames=N: at most so many of these",
            "--set task.size=N: the side that videos are scaled to; task.colours=grey or rgb",
        ],
        "metric": "accuracy",
        "example": "video --data clips.npz",
    },
    "text-classification": {
        "class": "crossover.tasks.text.classification:TextClassification",
        "data": "a table of texts and labels (CSV, TSV, JSON lines, Parquet, or hf://OWNER/NAME); a numeric label of "
        "many values is a regression, scored by mse",
        "flags": [
            *_SPLIT_FLAGS,
            "--text COLUMN --label COLUMN: the columns (those with a usual name if not given)",
            "--split random, time or group=COLUMN; --split-seed N; --time COLUMN: how one file is split",
            "--deduplicate: remove test texts that stand in train",
            "--rare drop or --rare keep: what to do with labels that too few texts have",
            "--units words, subwords or characters; --tags: part-of-speech tags as a second input",
        ],
        "metric": "accuracy",
        "example": "text-classification --data reviews.csv --text text --label label",
    },
    "translation": {
        "class": "crossover.tasks.translation.task:Translation",
        "data": "pairs of texts: a table (TSV, CSV, JSON lines, Parquet), or two files with a line for each",
        "flags": [
            *_SPLIT_FLAGS,
            "--source COLUMN --target COLUMN: the columns (those with a usual name if not given)",
            "--aligned FILE: the translations, line by line, of the texts in --data FILE",
            "--split-seed N: another random split",
            "--set task.source_units=subwords, words or characters; task.target_units likewise",
            "--set task.vocabulary=N: ids of each side; task.shared=true: one vocabulary for both",
            "--set task.longest=N: leave longer pairs out of train, and cut longer sources elsewhere",
        ],
        "metric": "bleu",
        "example": "translation --data pairs.tsv --source english --target chinese",
    },
    "qa": {
        "class": "crossover.tasks.questions.spans:SpanQuestions",
        "data": "contexts, questions and answers in the JSON of SQuAD 1 or 2; an answer is a span of its context",
        "flags": [
            *_SPLIT_FLAGS,
            "--split-seed N: another random split",
            "--set task.longest=N: units of question and context that are read",
            "--set task.long=cut: cut longer contexts, which are refused otherwise",
            "--set task.longest_answer=N: units of an answer",
            "--set task.vocabulary=N and task.minimum_count=N: which units are known",
        ],
        "metric": "f1",
        "example": "qa --train train.json --test dev.json",
    },
    "speech": {
        "class": "crossover.tasks.speech.task:Transcription",
        "data": "a folder of WAV or FLAC files and a table transcripts.csv (.tsv, .jsonl, .parquet) of file and text",
        "flags": [
            "--data FOLDER: one folder, to be split",
            "--train FOLDER --valid FOLDER --test FOLDER: the folders of a given split, each with its table",
            "--text COLUMN: what is said (text, transcript or sentence if not given)",
            "--label COLUMN: classify the recordings instead, scored by accuracy",
            "--split random or group=COLUMN (the speaker, say); --split-seed N: how one folder is split",
            "--units characters or words: what the model writes one by one",
            "--set task.missing=drop: leave out recordings without a transcript, and transcripts without one",
            "--set task.rate=N: samples a second that recordings are resampled to",
            "--set task.streaming=true: the model sees only the past, and can write while it hears",
        ],
        "metric": "wer",
        "example": "speech --data recordings --text text",
    },
    "masked-language-modeling": {
        "class": "crossover.tasks.language.masked:MaskedLanguageModeling",
        "data": "texts without labels: a text file with a text a line, or a table (CSV, TSV, JSON lines, Parquet)",
        "flags": [
            *_SPLIT_FLAGS,
            "--text COLUMN: the column of a table (one with a usual name if not given)",
            "--split-seed N: another random split",
            "--units words, subwords or characters: what is hidden one by one",
        ],
        "metric": "loss",
        "example": "masked-language-modeling --data news.txt",
    },
    "language-modeling": {
        "class": "crossover.tasks.language.modeling:LanguageModeling",
        "data": "any text file, cut into train, valid and test in its order",
        "flags": [*_SPLIT_FLAGS, "--units characters or subwords: what the model predicts one by one"],
        "metric": "bits_per_character",
        "example": "language-modeling --data book.txt",
    },
}
"""What is known of the tasks on the user's own files before there are any."""


def tasks(name: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the tasks, or tell all about one.

    Parameters
    ----------
    name
        A task; none lists them all.
    """
    load_plugins(common.plugin)
    from crossover.data.catalogue import CATALOGUE
    from crossover.tasks import TASKS

    if name is None:
        entries: list[dict[str, Any]] = [
            {
                "name": entry.name,
                "family": entry.name.split("/")[0],
                "embedded": entry.name not in CATALOGUE and not _needs_files(entry.name),
                "description": entry.summary,
            }
            for entry in TASKS
        ]
        if common.json:
            print_document({"tasks": [{**entry, **_figures(entry)} for entry in entries]})
        else:
            print_columns((entry["name"], _source(entry, CATALOGUE), entry["description"]) for entry in entries)
        return 0
    described = _own(name) if TASKS.entry(name).name in _OWN else _spec(name)
    if common.json:
        print_document({"tasks": [described]})
    else:
        print_fields(described)
    return 0


def _needs_files(name: str) -> bool:
    """Families by themselves (``forecasting``) read the user's own files."""
    from crossover.tasks import TASKS

    return name in _OWN or any(other.startswith(f"{name}/") for other in TASKS.names())


def _source(entry: dict[str, Any], catalogue: Any) -> str:
    if entry["name"] in catalogue:
        return "by name"
    return "embedded" if entry["embedded"] else "your files"


def _figures(entry: dict[str, Any]) -> dict[str, Any]:
    """Metric of an embedded task; the others are known when their data, or the packages they need, are there."""
    from crossover.errors import DataError

    unknown = {"metric": None, "higher_is_better": None}
    if not entry["embedded"]:
        return unknown
    try:
        spec = _spec(entry["name"])
    except DataError:
        return unknown
    return {"metric": spec["metric"], "higher_is_better": spec["higher_is_better"]}


def _own(name: str) -> dict[str, Any]:
    """A task on the user's own files, told without them."""
    from crossover.tasks import TASKS

    entry = TASKS.entry(name)
    own = _OWN[entry.name]
    module, _, attribute = own["class"].partition(":")
    kind = getattr(import_module(module), attribute)
    return {
        "name": entry.name,
        "family": entry.name,
        "description": entry.summary,
        "definition": _first_paragraph(kind),
        "data": own["data"],
        "flags": own["flags"],
        "metric": own["metric"],
        "higher_is_better": own["metric"] in ("accuracy", "bleu", "f1"),
        "embedded": False,
        "baselines": _first_paragraph(kind.baselines),
        "example": f"crossover compare {own['example']} --models lstm,transformer",
    }


def _spec(name: str) -> dict[str, Any]:
    """A task that needs no files of the user's, built to be told."""
    from crossover.data.options import DataOptions
    from crossover.tasks import TASKS

    factory = TASKS.get(name)
    task = factory(DataOptions())
    spec = task.spec
    return {
        "name": spec.name,
        "family": spec.family,
        "description": spec.description,
        "definition": _first_paragraph(type(task) if isinstance(factory, partial) else factory),
        "metric": spec.metric,
        "higher_is_better": spec.higher_is_better,
        "objective": spec.objective,
        "embedded": spec.embedded,
        "causal": spec.causal,
        "margin": spec.margin,
        "budget": spec.budget,
        "rows": {split: task.size(split) for split in ("train", "valid", "test")},
        "notes": list(spec.notes),
        "references": [_reference(reference) for reference in spec.references],
        "baselines": _first_paragraph(task.baselines),
        "example": f"crossover compare {spec.name} --models lstm,transformer",
    }


def _first_paragraph(documented: Any) -> str:
    return " ".join((getdoc(documented) or "").split("\n\n")[0].split())


def _reference(reference: Reference) -> str:
    source = f"{reference.source}; {reference.note}" if reference.note else reference.source
    return f"{reference.name}: {reference.metric} {reference.score} ({source})"
