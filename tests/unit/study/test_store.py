from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossover.errors import CheckpointError, FolderError
from crossover.study.store import Store, load_study, with_exports

IDENTITY = {"tasks": ["parity"], "models": ["lstm", "gru"], "match": "params", "train": {"clip": 1.0, "budget": "2s"}}


def test_a_new_folder_is_made_and_opened_again_by_the_same_request(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "study"
    store = Store.open(folder, "compare", IDENTITY)
    assert store.load() is None
    store.save({"version": 1, "kind": "compare"})
    again = Store.open(folder, "compare", dict(IDENTITY))
    assert again.load() == load_study(folder) == {"version": 1, "kind": "compare"}


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    Store.open(tmp_path, "compare", IDENTITY)
    assert (tmp_path / "request.json").is_file()


@pytest.mark.parametrize(
    ("kind", "identity", "difference"),
    [
        ("scale", IDENTITY, "a compare, not a scale"),
        ("compare", {**IDENTITY, "models": ["lstm"]}, r'its models: \["lstm", "gru"\], not \["lstm"\]'),
        ("compare", {**IDENTITY, "match": "flops"}, 'its match: "params", not "flops"'),
        ("compare", {**IDENTITY, "train": {"clip": 1.0, "budget": "3s"}}, 'its train.budget: "2s", not "3s"'),
        ("compare", {**IDENTITY, "extra": 1}, "its extra: null, not 1"),
        ("compare", {"tasks": ["parity"]}, "made by another version"),
    ],
)
def test_another_request_is_refused_with_what_differs(
    kind: str, identity: dict, difference: str, tmp_path: Path
) -> None:
    Store.open(tmp_path, "compare", IDENTITY)
    before = (tmp_path / "request.json").read_text(encoding="utf-8")
    with pytest.raises(FolderError, match=f"holds another study .{difference}.*: give another --out"):
        Store.open(tmp_path, kind, identity)
    assert (tmp_path / "request.json").read_text(encoding="utf-8") == before


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    Store.open(tmp_path, "compare", {"models": ["x" * 500]})
    with pytest.raises(FolderError) as caught:
        Store.open(tmp_path, "compare", {"models": ["y" * 500]})
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


def test_a_folder_of_other_files_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FolderError, match="is not empty and holds no study"):
        Store.open(tmp_path, "compare", IDENTITY)
    with pytest.raises(FolderError, match="is a file: give a folder"):
        Store.open(tmp_path / "thesis.txt", "compare", IDENTITY)


def test_a_damaged_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="holds no study"):
        load_study(tmp_path)
    for content in ("{", "[]", json.dumps({"version": 99})):
        (tmp_path / "study.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"study\.json (cannot be read|is no study of this version)"):
            load_study(tmp_path)


def test_names_become_folders(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.run_folder("sentiment/headlines", "lstm[layers=2,width=64]", 3)
    assert folder == tmp_path / "runs" / "sentiment_headlines" / "lstm_layers-2_width-64" / "seed3"
    assert store.run_folder("parity", "lstm+attention").name == "lstm+attention"
    assert store.task_folder("../..") == tmp_path / "runs" / ".._.."
    assert store.run_folder("中文", "!").parts[-2:] == ("中文", "unnamed")


def test_models_of_different_settings_have_different_folders(tmp_path: Path) -> None:
    names = ["lstm", "lstm[layers=2]", "lstm[layers=3]", "lstm[width=2]", "lstm+gru", "gru+lstm", "lstm[dropout=0.2]"]
    assert len({Store(tmp_path).run_folder("t", name) for name in names}) == len(names)


def test_rows_tell_what_their_exported_models_took(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "parity" / "lstm" / "seed0"
    run.mkdir(parents=True)
    (run / "artifacts.json").write_text("{}")
    (run / "onnx.json").write_text('{"step": {"steps": 9, "onnx": {"p50": 0.5, "p99": 0.7}}}')
    table = [{"model": "lstm", "run": "elsewhere/runs/parity/lstm/seed0"}, {"model": "ridge", "run": None}]
    told = with_exports({"kind": "compare", "table": table}, tmp_path)
    assert told["table"] == [{**table[0], "onnx": {"step": 0.5}}, table[1]]
    for damaged in (
        "not JSON",
        "[1]",
        "7",
        '{"step": 3}',
        '{"step": {"onnx": {}}}',
        '{"step": {"onnx": {"p50": ""}}}',
    ):
        (run / "onnx.json").write_text(damaged)
        assert with_exports({"table": table}, tmp_path)["table"][0]["onnx"] is None
