"""Nothing finished is lost: folders that hold something are kept, and a study goes on after a full disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crossover.cli import main
from full_disk import files_up_to

MODEL = "lstm[width=8,layers=1]"
QUICK = ("--budget", "2steps", "--precision", "fp32")
Refused = Callable[..., str]


STUDY = ("compare", "text-classification", "--data", "good.csv", "--models", MODEL, "--no-memory", *QUICK)


def test_a_folder_that_holds_another_study_is_refused_and_kept(here: Path, refused: Refused) -> None:
    assert main([*STUDY, "--seeds", "1", "--out", "study"]) == 0
    sentence = refused("compare", "parity", "--models", MODEL, "--no-memory", *QUICK, "--out", "study")
    assert "another study" in sentence and "give another --out" in sentence and "parity" in sentence
    assert "a compare, not a scale" in refused("scale", "--models", MODEL, "--out", "study")


def test_a_run_that_is_there_is_not_overwritten(here: Path, refused: Refused) -> None:
    run = ("train", "text-classification", MODEL, "--data", "good.csv", *QUICK)
    assert main([*run, "--out", "run"]) == 0
    sentence = refused(*run, "--out", "run")
    assert "holds a run already" in sentence and "--resume" in sentence
    assert main([*run, "--resume", "run"]) == 0, "a finished run is read back"
    sentence = refused(*run, "--resume", "run", "--seed", "1")
    assert "train.seed=0, not 1" in sentence and "train anew with --out" in sentence


def test_a_full_disk_is_one_sentence_and_the_study_goes_on_when_there_is_room(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = (*STUDY, "--seeds", "2", "--out", "study", "--json")
    with files_up_to(6_000):
        assert main(list(study)) == 1
    printed = capsys.readouterr()
    last = printed.err.splitlines()[-1]
    assert printed.out == "" and "Traceback" not in printed.err
    assert "cannot write" in last and "File too large" in last and "repeat the command" in last
    assert json.loads((here / "study" / "study.json").read_text(encoding="utf-8"))["kind"] == "compare"
    assert not list((here / "study").rglob(".*")), "nothing half-written is left"
    assert main(list(study)) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2
