"""Tasks on sound: spoken digits in their official split, and a user's own folder with what may be wrong in it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossover.data import audio
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks import TASKS
from crossover.tasks.speech.baselines import LoudWords, loud_parts
from crossover.tasks.speech.sources import DIGITS, dialled, read_digits
from crossover.tasks.speech.task import SpokenLabels, Transcription
from crossover.testing import check_task
from spoken import write_digits, write_folder

DATA = os.environ.get("CROSSOVER_DATA")
"""One test reads the real recordings where they are, else small ones of the same form that these tests write."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with recordings that these tests write."""
    folder = tmp_path_factory.mktemp("data")
    write_digits(folder / "speech" / "fsdd" / "fsdd_wav.tar.xz")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    write_folder(place)
    return place


def own(folder: Path, **options: object) -> Transcription | SpokenLabels:
    settings = {"rate": 8000, "mels": 20, **options.pop("settings", {})}  # type: ignore[dict-item]
    return TASKS.get("speech")(DataOptions(data=str(folder), settings=settings, **options))  # type: ignore[arg-type]


def test_single_digits_have_the_official_test_split(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_DATA", DATA or str(small))
    task = TASKS.get("speech/fsdd-digits")(DataOptions(settings={"mels": 20}))
    sizes = {split: task.size(split) for split in ("train", "valid", "test")}
    assert sizes == {"train": 2400 if DATA else 120, "valid": 300, "test": 300}
    assert set(task.spec.labels) == set(DIGITS) and not task.spec.causal
    majority, ridge = task.baselines("test")
    assert majority.score == pytest.approx(0.1) and ridge.score > 0.9


def test_the_speaker_who_is_held_out_is_the_test(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_DATA", str(small))
    labels = TASKS.get("speech/fsdd-digits")(DataOptions(settings={"speaker": "theo"}))
    assert labels.size("test") == 120
    assert "Test is the speaker theo, whom neither train nor valid has." in labels.spec.notes
    task = TASKS.get("speech/fsdd")(DataOptions(settings={"speaker": "jackson", "mels": 12}))
    assert (task.spec.metric, task.spec.higher_is_better) == ("wer", False)
    said = {word for split in ("valid", "test") for text in task.data.held[split].texts for word in text.split()}
    assert said == set(DIGITS)
    assert set(task.data.train(0, 0).frames.voices.recordings.voices) == {
        "george",
        "lucas",
        "nicolas",
        "theo",
        "yweweler",
    }


def test_an_archive_without_recordings_is_named(tmp_path: Path) -> None:
    write_digits(tmp_path / "some.tar.xz", numbers=0)
    with pytest.raises(DataError, match=r"holds no recording named digit_speaker_number\.wav"):
        read_digits(tmp_path / "some.tar")
    (tmp_path / "none.tar").write_bytes(b"no archive")
    with pytest.raises(DataError, match="is no tar file of recordings"):
        read_digits(tmp_path / "none.tar")


def test_dialled_digits_are_their_two_tones() -> None:
    recordings = dialled(0)
    place = next(i for i, key in enumerate(zip(recordings.words, recordings.voices, strict=True)) if key[0] == "5")
    spectrum = np.abs(np.fft.rfft(recordings.samples[place], 8000))
    loudest = sorted(int(band[np.argmax(spectrum[band])]) for band in (np.arange(600, 1000), np.arange(1100, 1600)))
    assert loudest == pytest.approx([770, 1336], rel=0.02)


def test_the_embedded_task_says_which_packages_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "find_spec", lambda package: None)
    with pytest.raises(DataError, match="pip install soundfile kaldi-native-fbank"):
        TASKS.get("speech/tones")(DataOptions())


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_own_recordings_conform(folder: Path, streaming: str) -> None:
    task = own(folder, settings={"streaming": streaming})
    assert isinstance(task, Transcription) and task.spec.causal == (streaming == "true")
    assert [task.size(split) for split in ("train", "valid", "test")] == [48, 6, 6]
    assert [result for result in check_task(task) if not result.passed] == []


def test_own_labels_conform(folder: Path) -> None:
    task = own(folder, label="kind")
    assert isinstance(task, SpokenLabels) and task.spec.labels == ("high", "low", "mid")
    assert [result for result in check_task(task) if not result.passed] == []


def test_a_speaker_stays_on_one_side(folder: Path) -> None:
    task = own(folder, split="group=speaker", settings={"units": "words"})
    assert sum(task.size(split) for split in ("train", "valid", "test")) == 60
    assert task.size("test") == 12


def test_folders_of_a_given_split(tmp_path: Path) -> None:
    for part, count in (("train", 12), ("valid", 3), ("test", 4)):
        write_folder(tmp_path / part, count)
    places = {part: tmp_path / part for part in ("train", "valid", "test")}
    task = TASKS.get("speech")(DataOptions(**places, settings={"rate": 8000}))
    assert [task.size(split) for split in ("train", "valid", "test")] == [12, 3, 4]
    frames_FM = np.concatenate(task.data.train(0, 0).frames)
    np.testing.assert_allclose(task.front.mean_M, frames_FM.mean(0), rtol=1e-4)
    np.testing.assert_allclose(task.front.deviation_M, frames_FM.std(0), rtol=1e-4)


def test_recordings_and_transcripts_without_each_other_are_refused_or_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path, 30)
    (tmp_path / "3.wav").rename(tmp_path / "other.wav")
    wanted = (
        r"1 recordings have no transcript \(other\.wav\) and 1 transcripts have no recording \(3\.wav\): "
        "complete them, or add --set task.missing=drop"
    )
    with pytest.raises(DataError, match=wanted):
        own(tmp_path)
    task = own(tmp_path, settings={"missing": "drop"})
    assert "Left out: 1 recordings without a transcript, 1 transcripts without a recording." in task.spec.notes
    assert sum(task.size(split) for split in ("train", "valid", "test")) == 29


def test_a_broken_recording_a_short_one_and_a_stereo_one(tmp_path: Path) -> None:
    write_folder(tmp_path, 20)
    sound, rate = soundfile.read(tmp_path / "4.wav")
    soundfile.write(tmp_path / "4.wav", np.stack([sound, sound], 1), rate)
    notes = own(tmp_path, settings={"rate": 16_000}).spec.notes
    assert "1 of 20 files have several channels, which are mixed down to one." in notes
    assert "20 of 20 files have another rate and are resampled to 16000 Hz." in notes
    soundfile.write(tmp_path / "4.wav", sound[:100], rate)
    with pytest.raises(DataError, match=r"1 recordings are shorter than 45 ms, the first .*4\.wav: leave"):
        own(tmp_path)
    (tmp_path / "4.wav").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"/4\.wav cannot be read as audio"):
        own(tmp_path)


def test_what_a_request_lacks_is_said(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="give --data FOLDER"):
        TASKS.get("speech")(DataOptions())
    with pytest.raises(ConfigError, match="only --train is given"):
        TASKS.get("speech")(DataOptions(train=folder))
    with pytest.raises(ConfigError, match="--text COLUMN to transcribe or --label COLUMN"):
        own(folder, text="text", label="kind")
    with pytest.raises(DataError, match="unknown column 'txt': did you mean 'text'"):
        own(folder, text="txt")
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 8000)
    with pytest.raises(DataError, match=r"holds no table of transcripts: put transcripts\.csv"):
        own(tmp_path)
    (tmp_path / "transcripts.csv").write_text("file,text\na.wav,one\na.wav,two\n")
    with pytest.raises(DataError, match=r"names 'a\.wav' 2 times"):
        own(tmp_path)


def test_steps_too_few_for_a_transcript_are_counted_or_refused(folder: Path) -> None:
    task = own(folder, settings={"stack": 6})
    assert any("fewer steps than their transcripts need: their loss counts as zero" in n for n in task.spec.notes)
    with pytest.raises(DataError, match="have fewer steps than their transcripts have symbols: give fewer frames"):
        own(folder, settings={"stack": 24})


def test_recordings_shorter_than_a_step_and_a_single_label_are_refused(
    folder: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSOVER_DATA", str(small))
    with pytest.raises(DataError, match=r"recordings of train are shorter than a step: .* --set task\.stack=100"):
        TASKS.get("speech/fsdd-digits")(DataOptions(settings={"stack": 100}))
    write_folder(tmp_path, 20)
    table = tmp_path / "transcripts.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join([*row, "same" if i else "only"]) for i, row in enumerate(rows)))
    with pytest.raises(DataError, match="every recording has the label 'same'"):
        own(tmp_path, label="only")


def test_what_was_found_out_about_the_table_is_noted(tmp_path: Path) -> None:
    write_folder(tmp_path, 20)
    table = tmp_path / "transcripts.csv"
    table.write_bytes(table.read_text().encode("utf-16"))
    assert any("UTF-16" in note for note in own(tmp_path).spec.notes)


def test_samples_show_errors_where_they_are(folder: Path) -> None:
    task = own(folder, settings={"units": "words"})
    batch = next(iter(task.batches("valid", seed=0, epoch=0, batch=2)))
    outputs = np.zeros((2, batch.inputs.shape[1], task.spec.outputs.size), np.float32)
    outputs[:, :, 0] = 1.0
    import torch

    sample = task.samples(torch.from_numpy(outputs), batch)[0]
    assert sample["prediction"] == " ".join(f"[-{word}-]" for word in sample["target"].split())
    assert sample["input"].endswith(" s")


def test_loud_parts_are_the_words_of_a_string() -> None:
    frames_FM = np.full((60, 4), -5.0)
    frames_FM[10:20] = frames_FM[22:25] = frames_FM[40:50] = 5.0
    assert loud_parts(frames_FM, 0.5, 3) == [slice(10, 25), slice(40, 50)]
    assert loud_parts(frames_FM, 0.5, 30) == [slice(10, 50)]


def test_loud_words_read_words_that_are_far_apart() -> None:
    rng = np.random.default_rng(0)
    levels = {"a": [9.0, 0.0], "b": [0.0, 9.0]}

    def word(name: str) -> np.ndarray:
        return np.tile(levels[name], (12, 1)) + rng.normal(0, 0.3, (12, 2))

    quiet = np.full((14, 2), -6.0)
    texts = ["a", "b a", "b b a", "a b"]
    strings = [np.concatenate([quiet, *(part for w in text.split() for part in (word(w), quiet))]) for text in texts]
    known = [(name, np.concatenate([quiet[:3], word(name), quiet[:3]])) for name in "ab" * 10]
    assert LoudWords(known, strings, texts).write(strings) == texts
