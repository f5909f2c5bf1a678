"""A user's folder of recordings with a table of transcripts or labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossover.data.audio import audio_files, read_at, require_packages
from crossover.data.filterbank import SHIFT_MS, WINDOW_MS, FilterBank
from crossover.data.options import DataOptions
from crossover.data.splits import random_split
from crossover.data.tables import read_table
from crossover.errors import ConfigError, DataError, listing
from crossover.tasks.base import Split
from crossover.tasks.options import read_settings, refuse_unread
from crossover.tasks.speech.baselines import NearestText
from crossover.tasks.speech.task import HELD, OWN_SETTINGS, SpeechData, SpokenLabels, Transcription, Utterances
from crossover.tasks.text.files import group_column

if TYPE_CHECKING:
    import polars

TABLES = ("transcripts.csv", "transcripts.tsv", "transcripts.jsonl", "transcripts.parquet")
FILE_COLUMNS = ("file", "filename", "path", "audio")
TEXT_COLUMNS = ("text", "transcript", "sentence")
_FRACTIONS = (0.8, 0.1, 0.1)
_SHOWN = 3


@dataclass(frozen=True)
class Folder:
    """The recordings of a folder: their paths, what each says (or its label), and its group."""

    path: Path
    files: tuple[Path, ...]
    texts: tuple[str, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...] = ()


def own(options: DataOptions) -> Transcription | SpokenLabels:
    """Your own recordings, WAV or FLAC, with a table of what each says or of its label.

    Raises ConfigError where the options name no folder or contradict each other, DataError for folders, tables and
    recordings that cannot be used.
    """
    name = "speech"
    reads = ("data", "train", "valid", "test", "split", "split_seed", "text", "label")
    refuse_unread(name, options, reads=reads)
    settings = read_settings(name, options.settings, OWN_SETTINGS)
    if options.text is not None and options.label is not None:
        raise ConfigError("task 'speech' takes --text COLUMN to transcribe or --label COLUMN to classify: give one")
    require_packages()
    folders = {part: read_folder(path, options, settings) for part, path in _places(options).items()}
    bank = FilterBank(settings["rate"], settings["mels"])
    read = {part: _utterances(folder, bank, settings["stack"]) for part, folder in folders.items()}
    said = _split(folders, {part: utterances for part, (utterances, _) in read.items()}, options)
    notes = dict.fromkeys(note for part, folder in folders.items() for note in (*folder.notes, *read[part][1]))
    data = SpeechData(
        bank=bank,
        train=lambda seed, epoch: said["train"],
        held={split: said[split] for split in HELD},
        longest=max(int(part.counts_N.max()) for part in said.values()),
        notes=tuple(notes),
    )
    if options.label is not None:
        _check_labels({text for part in said.values() for text in part.texts})
        return SpokenLabels(name, data, settings, description="your own labelled recordings")
    return Transcription(
        name,
        data,
        settings,
        units=settings["units"],
        said=said["train"].texts,
        simple=("nearest recording", lambda: NearestText(said["train"].frames, said["train"].texts)),
        description="your own recordings with transcripts",
    )


def read_folder(path: Path, options: DataOptions, settings: Mapping[str, Any]) -> Folder:
    """The recordings of a folder that its table tells of; DataError where one is without the other."""
    files = {file.relative_to(path).as_posix(): file for file in audio_files(path)}
    table = next((path / name for name in TABLES if (path / name).is_file()), None)
    if table is None:
        raise DataError(
            f"{path} holds no table of transcripts: put {listing(TABLES)} beside the recordings, with the columns "
            "file and text"
        )
    group = group_column(options.split)
    read = read_table(table, columns=[column for column in (options.text, options.label, group) if column])
    frame = read.frame
    named = _strings(frame, _usual(frame, FILE_COLUMNS, table))
    texts = _strings(frame, options.label or options.text or _usual(frame, TEXT_COLUMNS, table))
    groups = _strings(frame, group) if group else [""] * len(named)
    twice, count = Counter(named).most_common(1)[0]
    if count > 1:
        raise DataError(f"{table} names {twice!r} {count} times: give each recording one row")
    told = {file: (text, of) for file, text, of in zip(named, texts, groups, strict=True) if text}
    silent = [file for file in files if file not in told]
    absent = [file for file in told if file not in files]
    notes = _missing(path, silent, absent, settings["missing"])
    kept = [file for file in files if file in told]
    if not kept:
        raise DataError(f"{table} names none of the {len(files)} recordings in {path}: check its column of files")
    return Folder(
        path,
        tuple(files[file] for file in kept),
        tuple(told[file][0] for file in kept),
        tuple(told[file][1] for file in kept),
        (*read.notes, *notes),
    )


def _check_labels(labels: Set[str]) -> None:
    if len(labels) < 2:
        raise DataError(f"every recording has the label {min(labels)!r}: a classification needs at least two labels")


def _missing(path: Path, silent: Sequence[str], absent: Sequence[str], fate: str) -> tuple[str, ...]:
    """What is said of recordings without a transcript and transcripts without a recording."""
    if not silent and not absent:
        return ()
    if fate == "drop":
        mute, lost = len(silent), len(absent)
        return (f"Left out: {mute} recordings without a transcript, {lost} transcripts without a recording.",)
    told = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"
        for names, what in ((silent, "recordings have no transcript"), (absent, "transcripts have no recording"))
        if names
    ]
    raise DataError(f"in {path} {' and '.join(told)}: complete them, or add --set task.missing=drop")


def _places(options: DataOptions) -> dict[str, Path]:
    """The folders by part: "data", or the splits that they were given for; ConfigError as `own` says."""
    given = {"train": options.train, "valid": options.valid, "test": options.test}
    paths = {split: path for split, path in given.items() if path is not None}
    if (options.data is None) == (not paths):
        raise ConfigError(
            "task 'speech' reads your recordings: give --data FOLDER, or --train, --valid and --test FOLDER"
        )
    if options.data is not None:
        return {"data": Path(options.data).expanduser()}
    if len(paths) < len(given):
        raise ConfigError(
            f"only {listing(f'--{split}' for split in paths)} is given: give --train, --valid and --test"
        )
    if options.split is not None:
        raise ConfigError(f"--split {options.split} is given with folders of a given split: leave one of the two out")
    return paths


def _utterances(folder: Folder, bank: FilterBank, stack: int) -> tuple[Utterances, tuple[str, ...]]:
    samples, notes = read_at(folder.files, bank.rate)
    read = Utterances.of([bank.frames(samples_N) for samples_N in samples], folder.texts)
    short = [str(file) for file, frames in zip(folder.files, read.counts_N, strict=True) if frames < stack]
    if short:
        least = SHIFT_MS * (stack - 1) + WINDOW_MS
        raise DataError(f"{len(short)} recordings are shorter than {least} ms, the first {short[0]}: leave them out")
    return read, notes


def _split(
    folders: Mapping[str, Folder], read: Mapping[str, Utterances], options: DataOptions
) -> dict[Split, Utterances]:
    if "data" not in folders:
        return {"train": read["train"], "valid": read["valid"], "test": read["test"]}
    folder, whole = folders["data"], read["data"]
    if options.split == "time":
        raise ConfigError("task 'speech' does not split by time: use --split random or group=COLUMN")
    grouped = folder.groups if group_column(options.split) else None
    parts = random_split(
        len(folder.files),
        _FRACTIONS,
        options.split_seed,
        stratify=folder.texts if options.label is not None else None,
        groups=grouped,
    )
    splits: tuple[Split, ...] = ("train", *HELD)
    return {split: _taken(whole, parts[split]) for split in splits}


def _taken(whole: Utterances, rows: np.ndarray) -> Utterances:
    return Utterances.of([whole.frames[i] for i in rows], [whole.texts[i] for i in rows])


def _usual(frame: polars.DataFrame, names: Sequence[str], table: Path) -> str:
    """The first column with a usual name."""
    lowered = {name.lower(): name for name in reversed(frame.columns)}
    found = next((lowered[name] for name in names if name in lowered), None)
    if found is None:
        raise DataError(f"{table} has no column {listing(names)}: its columns are {', '.join(frame.columns)}")
    return found


def _strings(frame: polars.DataFrame, column: str) -> list[str]:
    """Values as text, white space as single spaces; a missing one is empty."""
    return ["" if value is None else " ".join(str(value).split()) for value in frame[column].to_list()]
