"""From a folder of recordings to text on the command line: trained, read whole, by beam, and while they are heard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossover.cli import main
from spoken import said, write_folder

QUICK = ("--budget", "60steps", "--batch", "8", "--lr", "0.02", "--set", "task.rate=8000", "--set", "task.mels=20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("speech")
    write_folder(place / "recordings")
    (place / "asked").mkdir()
    for name, words in (("a.wav", ["low", "high"]), ("b.wav", ["mid", "mid", "low"])):
        soundfile.write(place / "asked" / name, said(words, np.random.default_rng(4)), 8000)
    model = "gru[width=32,layers=1,dropout=0]"
    own = ("--data", str(place / "recordings"), "--units", "words", "--set", "task.streaming=true")
    assert main(["train", "speech", model, *own, *QUICK, "--out", str(place / "run")]) == 0
    return place


def ask(folder: Path, *flags: str) -> list[str]:
    return [
        "predict",
        str(folder / "run"),
        *(part for flag in flags for part in ("--file", str(folder / "asked" / flag))),
    ]


def test_recordings_are_transcribed_one_several_or_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask(folder, "a.wav")) == 0
    assert capsys.readouterr().out == "low high\n"
    for asked in (ask(folder, "a.wav", "b.wav"), ask(folder, "")):
        assert main(asked) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.rpartition("/")[2] for line in lines] == ["a.wav: low high", "b.wav: mid mid low"]


def test_a_beam_tells_the_next_best_texts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ask(folder, "a.wav"), "--beam", "5", "--best", "2", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert found["text"] == "low high" and len(found["alternatives"]) == 1
    assert found["alternatives"][0]["score"] < found["score"]


def test_a_recording_is_transcribed_while_it_is_heard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ask(folder, "b.wav"), "--stream", "--chunk", "40"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "mid mid low\n"
    assert "in chunks of 40 ms" in printed.err and "real-time factor" in printed.err
    assert main([*ask(folder, ""), "--stream", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["text"] for row in found] == ["low high", "mid mid low"]
    assert set(found[0]) == {"file", "text", "audio_seconds", "chunk_seconds", "latency", "real_time_factor"}


def test_wrong_requests_are_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ask(folder, "a.wav"), "--stream", "--beam", "3"]) == 2
    assert "--stream hears --file FILE and writes the likeliest symbols" in capsys.readouterr().err
    assert main(["predict", str(folder / "run"), "hello"]) == 2
    assert "takes no text: give WAV or FLAC files, or a folder, with --file" in capsys.readouterr().err
    assert main(ask(folder, "c.wav")) == 2
    assert "c.wav does not exist" in capsys.readouterr().err
