from __future__ import annotations

import json
import shutil
from functools import partial
from io import StringIO
from pathlib import Path

import polars
import pytest
import torch
from tiny_language import TinyLanguage

from crossover.data.options import DataOptions
from crossover.errors import CheckpointError, ConfigError, DataError, FolderError
from crossover.inference.decode import Sampling
from crossover.inference.predictor import Predictor, load
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
LIKELIEST = Sampling(temperature=0)
TEXTS = ["good day", "a bad week", "bad", "what a good and long day it was"]


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a small file of texts that are positive where they say good."""
    folder = tmp_path_factory.mktemp("text")
    words = ["day", "week", "year", "sale", "price", "share"]
    rows = [f"a {mood} {a} and {b},{label}" for a in words for b in words for mood, label in _MOODS]
    (folder / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    task = TASKS.get("text-classification")(DataOptions(data=str(folder / "texts.csv"), text="text", label="label"))
    settings = TrainSettings(budget="40steps", learning_rate=0.02, batch=16)
    train(task, parse_model("lstm[width=16,layers=1]"), settings, numerics=NUMERICS, folder=folder / "run")
    return folder / "run"


_MOODS = (("good", "positive"), ("bad", "negative"))


@pytest.fixture(scope="module", params=["lstm", "gpt", "lstm+attention", "transformer-xl"])
def language_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    model = parse_model(f"{request.param}[width=16,dropout=0.0,max_length=40]")
    settings = TrainSettings(learning_rate=0.02)
    train(TinyLanguage(), model, settings, numerics=NUMERICS, folder=folder)
    return folder


def test_texts_are_predicted_in_order_without_the_data(text_run: Path) -> None:
    (text_run.parent / "texts.csv").rename(text_run.parent / "moved.csv")
    found = load(text_run).predict(TEXTS)
    assert [row["label"] for row in found] == ["positive", "negative", "negative", "positive"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in found)


def test_batches_and_padding_change_nothing(text_run: Path) -> None:
    predictor = load(text_run)
    together = predictor.predict(TEXTS)
    for apart in (predictor.predict(TEXTS, batch_rows=1), predictor.predict(TEXTS, batch_rows=3)):
        for a, b in zip(together, apart, strict=True):
            assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-6)
    assert predictor.predict([]) == []


def test_each_line_of_a_file_is_predicted(text_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("good day\n\nbad\fweek\u2028long\r\n", encoding="utf-8")
    assert [row["label"] for row in load(text_run).predict_file(path)] == ["positive", "negative"]
    with pytest.raises(DataError, match="does not exist"):
        load(text_run).predict_file(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe\x00caf\xe9")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        load(text_run).predict_file(path)


TABLE = "mark,text,label\n" + "".join(f'{i},"{"bad" if i % 3 else ""}, day",x\n' for i in range(80)) + "80,,\n"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_each_row_of_a_table_is_predicted_from_the_column_of_training(
    text_run: Path, tmp_path: Path, kind: str
) -> None:
    frame, path = polars.read_csv(StringIO(TABLE)), tmp_path / f"table.{kind}"
    write = {"csv": frame.write_csv, "tsv": partial(frame.write_csv, separator="\t"), "jsonl": frame.write_ndjson}
    write.get(kind, frame.write_parquet)(path)
    predictor = load(text_run)
    texts = [text or "" for text in frame["text"]]
    assert len(texts) == 81 and predictor.predict_file(path) == predictor.predict(texts)


def test_a_table_without_the_column_of_training_is_refused(text_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.replace("text", "texts"))
    with pytest.raises(DataError, match=r"unknown column 'text': did you mean 'texts'\? \(the model was trained on"):
        load(text_run).predict_file(path)
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="line 3 of"):
        load(text_run).predict_file(path)


def test_a_run_that_knows_no_column_reads_lines(text_run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(text_run, old)
    saved = json.loads((old / "artifacts.json").read_text())
    assert saved["artifacts"].pop("column") == "text"
    (old / "artifacts.json").write_text(json.dumps(saved))
    (tmp_path / "lines.csv").write_text("good day\nbad, week\n")
    assert len(load(old).predict_file(tmp_path / "lines.csv")) == 2


def test_advice_on_a_series_is_of_use_where_nothing_is_trained(tmp_path: Path) -> None:
    series = tmp_path / "series.csv"
    series.write_text("x\n" + "".join(f"{i % 7}\n" for i in range(80)))
    task = TASKS.get("forecasting")(DataOptions(data=str(series), target="x", window=8, horizon=2))
    model, settings = parse_model("lstm[width=8,layers=1]"), TrainSettings(budget="1steps")
    train(task, model, settings, numerics=NUMERICS, folder=tmp_path / "run")
    for cell, part in (("NaN", "1 gaps (line 81 of 'x'): fill them in the file"), ("z", "write one in the file")):
        (tmp_path / "new.csv").write_text(series.read_text()[:-2] + f"{cell}\n")
        with pytest.raises(DataError) as caught:
            load(tmp_path / "run").predict_file(tmp_path / "new.csv")
        assert part in str(caught.value)


Entry = tuple[str, str | None, str | None]


def _study(folder: Path, *recommended: Entry, runs: tuple[tuple[str, str, float | None], ...] = ()) -> Path:
    """A study that recommends (task, model, run), of runs (task, folder, validation)."""
    keys = ("task", "model", "run")
    document = {
        "tasks": {task: {"higher_is_better": True} for task, _, _ in recommended},
        "settings": {"data": {}},
        "runs": [dict(zip(("task", "folder", "validation"), run, strict=True), seed=0) for run in runs],
        "recommendation": [dict(zip(keys, entry, strict=True)) for entry in recommended],
    }
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(document))
    return folder


def test_a_study_stands_for_its_recommended_run_also_when_it_was_moved(text_run: Path, tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("text-classification", "lstm", "/elsewhere/study/runs/text/lstm/seed0"))
    shutil.copytree(text_run, study / "runs" / "text" / "lstm" / "seed0")
    for task in (None, "text-classification"):
        assert load(study, task=task).predict(["good day"])[0]["label"] == "positive"
    with pytest.raises(ConfigError, match="did you mean 'text-classification'"):
        load(study, task="text-clasification")


def test_a_study_without_a_model_to_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="the baseline 'majority', which is no saved model: it has no finished run"):
        load(_study(tmp_path / "baseline", ("a", "majority", None)))
    with pytest.raises(FolderError, match="recommends no model: it has no finished run"):
        load(_study(tmp_path / "limits", ("a", None, None), runs=(("a", "runs/a/lstm/seed0", None),)))
    with pytest.raises(CheckpointError, match="which is not there"):
        load(_study(tmp_path / "gone", ("a", "b", "runs/a/b/seed0")))
    (tmp_path / "gone" / "study.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "gone")


def test_a_study_that_recommends_a_baseline_names_its_best_run(text_run: Path, tmp_path: Path) -> None:
    scores = {"one": 0.6, "two": 0.8, "three": 0.7, "gone": 0.9, "failed": None}
    runs = (("b", "/old/runs/b/x", 1.0), *(("a", f"/old/runs/a/{name}", score) for name, score in scores.items()))
    study = _study(tmp_path / "study", ("a", "majority", None), ("b", "majority", None), runs=runs)
    for name in ("one", "two", "three"):
        shutil.copytree(text_run, study / "runs" / "a" / name)
    with pytest.raises(FolderError) as caught:
        load(study, task="a")
    assert str(caught.value).endswith(f"give its best run, {study / 'runs' / 'a' / 'two'}")
    assert load(str(caught.value).rpartition(", ")[2]).predict(["good day"])


def test_which_of_several_tasks_must_be_told(text_run: Path, tmp_path: Path) -> None:
    two = _study(tmp_path / "two", ("a", "lstm", "runs/a"), ("b", "lstm", "runs/b"), ("c", "majority", None))
    none = _study(tmp_path / "none", ("a", "majority", None), ("b", "majority", None))
    for study, names in ((two, "a, b or c"), (none, "a or b")):
        with pytest.raises(ConfigError, match=f"has several tasks: choose one with --task {names}"):
            load(study)
    one = _study(tmp_path / "one", ("a", "majority", None), ("b", "lstm", "runs/b"))
    shutil.copytree(text_run, one / "runs" / "b")
    assert load(one).folder == one / "runs" / "b"


def test_an_unknown_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no finished run and no study"):
        load(tmp_path / "nothing")


def _uncached(predictor: Predictor, ids: list[int], tokens: int) -> list[int]:
    """The likeliest continuation by running the whole row anew for every token."""
    ids = list(ids)
    for _ in range(tokens):
        with torch.inference_mode():
            outputs_BTV, _ = predictor.model(torch.tensor([ids]))
        logits_V = outputs_BTV[0, -1].clone()
        logits_V[:3] = -torch.inf
        ids.append(int(logits_V.argmax()))
    return ids[-tokens:]


def test_text_goes_on_as_it_was_learnt_with_the_state_carried(language_run: Path) -> None:
    predictor = load(language_run)
    assert predictor.generate("ab", tokens=9, sampling=LIKELIEST) == "ab" + "cab" * 3
    ids = [4, 5, 6, 4]
    assert list(predictor.continue_ids(ids, tokens=8, sampling=Sampling(temperature=0))) == _uncached(
        predictor, ids, 8
    )


def test_a_seed_draws_the_same_text_again(language_run: Path) -> None:
    predictor = load(language_run)
    first, again, other = (
        predictor.generate("a", tokens=20, sampling=Sampling(temperature=8.0, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert predictor.generate("", tokens=3)


def test_of_the_likeliest_token_alone_nothing_else_is_drawn(language_run: Path) -> None:
    predictor = load(language_run)
    hot = [Sampling(temperature=9.0, top_k=1), Sampling(temperature=9.0, top_p=1e-6)]
    assert {predictor.generate("a", tokens=12, sampling=sampling) for sampling in hot} == {"a" + "bca" * 4}


def test_a_translation_is_drawn_the_same_again_and_not_from_a_model_that_writes_none(
    text_run: Path, tmp_path: Path
) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    pairs = [f"{a} {b}\t{a[::-1]} {b[::-1]}" for a in words for b in words]
    (tmp_path / "pairs.tsv").write_text("source\ttarget\n" + "\n".join(pairs), encoding="utf-8")
    task = TASKS.get("translation")(DataOptions(data=str(tmp_path / "pairs.tsv"), source="source", target="target"))
    settings = TrainSettings(budget="1steps", batch=4, evaluations=1)
    train(task, parse_model("gru[width=16,layers=1]"), settings, numerics=NUMERICS, folder=tmp_path / "run")
    predictor, texts = load(tmp_path / "run"), ["three two", "six", "three two"]
    sampling = Sampling(temperature=1.0, top_k=9, seed=4)
    drawn = predictor.predict(texts, writing=sampling)
    assert drawn == predictor.predict(texts, writing=sampling, batch_rows=2) and drawn[0] != drawn[2]
    assert predictor.predict(texts, writing=Sampling(top_k=1)) == predictor.predict(texts)
    with pytest.raises(ConfigError, match=r"writes no text for a text, so leave out drawing tokens"):
        load(text_run).predict(TEXTS, writing=sampling)


def test_impossible_requests_for_text_are_refused(language_run: Path, text_run: Path) -> None:
    predictor = load(language_run)
    for tokens, temperature in ((0, 1.0), (3, -1.0), (3, float("nan"))):
        with pytest.raises(ConfigError, match=r"cannot draw|temperature is"):
            predictor.generate("a", tokens=tokens, sampling=Sampling(temperature=temperature))
    if predictor.saved.settings.positions == "learned":
        with pytest.raises(ConfigError, match="longer than the model's maximum of 40"):
            predictor.generate("a", tokens=40)
    else:
        assert len(predictor.generate("a", tokens=60, sampling=LIKELIEST)) == 61
    with pytest.raises(ConfigError, match="only language models write"):
        load(text_run).generate("a", tokens=3)
    with pytest.raises(DataError, match="'tiny/language' cannot read new input"):
        predictor.predict(["abc"])
