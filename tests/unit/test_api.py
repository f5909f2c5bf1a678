from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossover import api
from crossover.errors import FolderError
from crossover.train.settings import TrainSettings

MODEL = "lstm[width=8,layers=1]"
SETTINGS = TrainSettings(budget="2steps")


def test_a_report_goes_where_it_is_told_as_text_or_path(tmp_path: Path) -> None:
    study = api.compare(["parity"], [MODEL], out=tmp_path / "study", train=SETTINGS, seeds=1, memory=False)
    for folder in (None, tmp_path / "one", str(tmp_path / "two")):
        path = study.report(folder)
        assert path == Path(folder or study.folder) / "report.html" and path.is_file()


def test_a_finished_run_is_read_back_only_by_its_own_request(tmp_path: Path) -> None:
    first = api.train("parity", MODEL, out=tmp_path, settings=SETTINGS, precision="fp32")
    again = {"out": tmp_path, "resume": True, "settings": replace(SETTINGS, checkpoint_seconds=1.0)}
    assert api.train("parity", MODEL, **again).to_json() == first.to_json()
    assert api.train("parity", "lstm[layers=1,width=8]", **again).to_json() == first.to_json(), "the same model"
    other = {
        r"train\.budget='2steps', not '3steps'": {"settings": replace(SETTINGS, budget="3steps")},
        r"train\.learning_rate=.*, not 0\.5": {"settings": replace(SETTINGS, learning_rate=0.5)},
        r"train\.seed=0, not 1": {"settings": replace(SETTINGS, seed=1)},
        r"model\.dropout=.*, not 0\.25": {"model_changes": {"dropout": 0.25}},
        r"numerics\.precision='fp32', not 'bf16'": {"precision": "bf16"},
    }
    for sentence, change in other.items():
        with pytest.raises(FolderError, match=f"holds a finished run with {sentence}: repeat its command"):
            api.train("parity", MODEL, **{**again, **change})
    with pytest.raises(FolderError, match="task='parity', not 'copy'"):
        api.train("copy", MODEL, **again)


def test_a_place_for_no_run_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    with pytest.raises(FolderError, match="choose another --out"):
        api.train("parity", MODEL, out=tmp_path / "file" / "x", settings=SETTINGS, tell=told.append)
    assert told == []
