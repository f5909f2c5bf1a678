"""The tasks on sound: generated tones, spoken digits by name, and a user's own folder of recordings."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.audio import read_recording, require_packages
from crossover.data.catalogue import locate
from crossover.data.encoding import read_bytes
from crossover.data.filterbank import FilterBank
from crossover.data.options import DataOptions
from crossover.errors import DataError
from crossover.tasks.base import Split
from crossover.tasks.options import Choice, Setting, read_settings, refuse_unread
from crossover.tasks.speech.baselines import LoudWords
from crossover.tasks.speech.strings import LONGEST, MOST_WORDS, DrawnStrings, Recordings, Voices, fixed_strings
from crossover.tasks.speech.task import HELD, SETTINGS, SpeechData, SpokenLabels, Transcription, Utterances

RATE = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_STRINGS: dict[Split, int] = {"train": 1000, "valid": 200, "test": 500}
"""Strings of an epoch, and of the splits that stay."""
_RECIPES: dict[str, dict[str, float]] = {
    "*": {"lr": 2e-3},
    "lstm": {"lr": 5e-3},
    "gru": {"lr": 5e-3},
}
"""Chosen on validation strings of speech/fsdd, as were batches of 16 rows: of 32, a run of a minute sees too few."""
_SIMPLE_STRINGS = 100
_NUMBERS: dict[Split, range] = {"test": range(5), "valid": range(5, 10), "train": range(10, 50)}
_HELD_OUT_NUMBERS: dict[Split, range] = {"valid": range(5), "train": range(5, 50)}
"""Recordings of a speaker and a digit by number; in the second, test is the speaker who is held out."""
_NAME = re.compile(r"(?:.*/)?(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<number>\d+)\.wav")

_LINES = 8
_LINE_NUMBERS: dict[Split, range] = {"test": range(2), "valid": range(2, 4), "train": range(4, 12)}
_LOW_TONES = (697.0, 770.0, 852.0, 941.0)
_HIGH_TONES = (1209.0, 1336.0, 1477.0)
_KEYS = "123456789*0#"


def tones(options: DataOptions) -> Transcription:
    """Digits dialled on a telephone (dual-tone multi-frequency, ITU-T Q.23), 1 to 6 of them, in noise.

    Each digit is two tones at once, of drawn length, loudness and deviation from their frequencies, on one of eight
    lines, whose noise lies 10 dB below the tones to 8 dB above them.
    """
    name = "speech/tones"
    refuse_unread(name, options, reads=("split_seed",))
    settings = read_settings(name, options.settings, SETTINGS)
    require_packages()
    recordings = dialled(options.split_seed)
    parts = {split: _numbered(recordings, numbers) for split, numbers in _LINE_NUMBERS.items()}
    return _strings(
        name,
        parts,
        settings,
        options.split_seed,
        notes=(
            f"Generated: strings of 1 to {MOST_WORDS} digits on one of {_LINES} lines, drawn anew in every epoch.",
        ),
        description="digits dialled in noise, tone by tone",
        embedded=True,
        budget="30s",
    )


def digit_strings(options: DataOptions) -> Transcription:
    """Strings of spoken digits, joined from recordings of one speaker with noise between them."""
    name = "speech/fsdd"
    settings, parts, notes = _spoken(name, options)
    told = (
        f"Strings of 1 to {MOST_WORDS} digits of one speaker are joined from recordings; train's are drawn anew in "
        "every epoch."
    )
    return _strings(
        name,
        parts,
        settings,
        options.split_seed,
        notes=(told, *notes),
        description="strings of spoken digits",
        budget="90s",
    )


def digits(options: DataOptions) -> SpokenLabels:
    """Which digit is said, in single recordings."""
    name = "speech/fsdd-digits"
    settings, parts, notes = _spoken(name, options)
    bank = FilterBank(RATE, settings["mels"])
    said = {
        split: Utterances.of([bank.frames(samples) for samples in part.samples], part.words)
        for split, part in parts.items()
    }
    data = SpeechData(
        bank=bank,
        train=lambda seed, epoch: said["train"],
        held={split: said[split] for split in HELD},
        longest=max(int(part.counts_N.max()) for part in said.values()),
        notes=notes,
    )
    return SpokenLabels(name, data, settings, description="single spoken digits", budget="45s")


def _spoken(name: str, options: DataOptions) -> tuple[dict[str, Any], dict[Split, Recordings], tuple[str, ...]]:
    """Settings, the recordings of each split, and notes of a task on the spoken digits."""
    refuse_unread(name, options, reads=("split_seed",))
    known: dict[str, Setting] = {**SETTINGS, "speaker": Choice(("none", *SPEAKERS), "none")}
    settings = read_settings(name, options.settings, known)
    recordings = read_digits(locate("speech/fsdd"))
    held_out = settings["speaker"]
    if held_out == "none":
        parts = {split: _numbered(recordings, numbers) for split, numbers in _NUMBERS.items()}
    else:
        others = recordings.take([i for i, voice in enumerate(recordings.voices) if voice != held_out])
        theirs = recordings.take([i for i, voice in enumerate(recordings.voices) if voice == held_out])
        parts = {split: _numbered(others, numbers) for split, numbers in _HELD_OUT_NUMBERS.items()}
        parts["test"] = theirs
    train, valid, test = (len(parts[split]) for split in ("train", "valid", "test"))
    notes = [f"Recordings of single digits: {train} train, {valid} valid, {test} test."]
    if held_out != "none":
        notes.append(f"Test is the speaker {held_out}, whom neither train nor valid has.")
    return settings, parts, tuple(notes)


def read_digits(path: Path) -> Recordings:
    """The recordings ``{digit}_{speaker}_{number}.wav`` of a tar file, read in memory, in the order of their names.

    Raises DataError where it is no tar file, or holds no such recording, or one at another rate.
    """
    found: dict[tuple[str, str, int], np.ndarray] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(path))) as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isfile() else None
                matched = _NAME.fullmatch(member.name)
                if content is None or matched is None:
                    continue
                recording = read_recording(content.read(), member.name)
                if recording.rate != RATE:
                    raise DataError(f"{member.name} in {path.name} has {recording.rate} Hz: {RATE} Hz are expected")
                word = DIGITS[int(matched["digit"])]
                found[word, matched["speaker"], int(matched["number"])] = recording.samples
    except tarfile.TarError as error:
        raise DataError(f"{path} is no tar file of recordings ({error}): get it again") from error
    if not found:
        raise DataError(f"{path} holds no recording named digit_speaker_number.wav: get it again")
    order = sorted(found)
    words, voices, numbers = zip(*order, strict=True)
    return Recordings(words, voices, numbers, tuple(found[key] for key in order))


def _unpacked(path: Path) -> bytes:
    """The tar file's content; it may lie packed beside its name."""
    packed = (path.with_name(path.name + suffix) for suffix in ("", ".xz", ".gz"))
    return read_bytes(next((place for place in packed if place.is_file()), path))


def dialled(seed: int) -> Recordings:
    """Each digit on each line twelve times, in the line's noise, 10 ms of which stand before and after the tones."""
    words, voices, numbers, samples = [], [], [], []
    last = max(number for given in _LINE_NUMBERS.values() for number in given)
    for line in range(_LINES):
        ratio = 10.0 - 18.0 * line / (_LINES - 1)
        for digit in range(10):
            for number in range(last + 1):
                rng = np.random.default_rng([seed, line, digit, number])
                words.append(str(digit))
                voices.append(f"line {line + 1}")
                numbers.append(number)
                samples.append(_dial(rng, str(digit), ratio))
    return Recordings(tuple(words), tuple(voices), tuple(numbers), tuple(samples))


def _dial(rng: np.random.Generator, key: str, ratio: float) -> np.ndarray:
    """One key's tones in noise; `ratio` of their power to the noise's in decibel, at most 2 dB louder or quieter."""
    row, column = divmod(_KEYS.index(key), 3)
    size, margin = int(rng.integers(50, 151)) * RATE // 1000, RATE // 100
    time_N = np.arange(size) / RATE
    tone_N = np.zeros(size)
    for frequency in (_LOW_TONES[row], _HIGH_TONES[column]):
        off = 1 + rng.uniform(-0.015, 0.015)
        loudness = 10 ** (rng.uniform(-2, 2) / 20)
        tone_N += loudness * np.sin(2 * np.pi * (frequency * off * time_N + rng.uniform()))
    noise_N = 10 ** (-ratio / 20) * rng.standard_normal(size + 2 * margin)
    noise_N[margin : margin + size] += tone_N
    return (0.1 * noise_N).astype(np.float32)


def _numbered(recordings: Recordings, numbers: range) -> Recordings:
    return recordings.take([place for place, number in enumerate(recordings.numbers) if number in numbers])


def _strings(
    name: str, parts: Mapping[Split, Recordings], settings: Mapping[str, Any], seed: int, **fields: Any
) -> Transcription:
    """The task of reading strings that are joined from the recordings of each split."""
    bank = FilterBank(RATE, settings["mels"])
    voices = {split: Voices(part, bank) for split, part in parts.items()}
    train = voices["train"]

    def drawn(seed: int, epoch: int) -> Utterances:
        strings = DrawnStrings(train, _STRINGS["train"], seed=seed, epoch=epoch)
        return Utterances(strings, strings.texts, strings.counts_N)

    def simple() -> LoudWords:
        first = drawn(0, 0)
        strings = [first.frames[row] for row in range(_SIMPLE_STRINGS)]
        return LoudWords(train.recording_frames(), strings, first.texts[:_SIMPLE_STRINGS])

    held = {
        split: Utterances.of(*fixed_strings(voices[split], _STRINGS[split], seed + place))
        for place, split in enumerate(HELD)
    }
    data = SpeechData(
        bank=bank,
        train=drawn,
        held=held,
        longest=LONGEST,
        notes=fields.pop("notes"),
    )
    return Transcription(
        name,
        data,
        settings,
        units="words",
        said=train.recordings.words,
        simple=("loud parts + ridge", simple),
        batch_rows=16,
        recipes=_RECIPES,
        **fields,
    )
