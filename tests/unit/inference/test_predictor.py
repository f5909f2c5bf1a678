from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny_language import TinyLanguage

from crossover.data.options import DataOptions
from crossover.errors import CheckpointError, ConfigError, DataError
from crossover.inference.predictor import Predictor, load
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
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


@pytest.fixture(scope="module", params=["lstm", "gpt", "lstm+attention"])
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
    path.write_text("good day\n\nbad week\n")
    assert [row["label"] for row in load(text_run).predict_file(path)] == ["positive", "negative"]
    with pytest.raises(DataError, match="does not exist"):
        load(text_run).predict_file(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe\x00caf\xe9")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        load(text_run).predict_file(path)


def _study(folder: Path, run: str | None, model: str = "lstm") -> Path:
    folder.mkdir()
    entry = {"task": "text-classification", "model": model, "run": run, "reason": "", "meets": {}}
    (folder / "study.json").write_text(json.dumps({"recommendation": [entry]}))
    return folder


def test_a_study_stands_for_its_recommended_run_also_when_it_was_moved(text_run: Path, tmp_path: Path) -> None:
    study = _study(tmp_path / "study", "/elsewhere/study/runs/text/lstm/seed0")
    shutil.copytree(text_run, study / "runs" / "text" / "lstm" / "seed0")
    for task in (None, "text-classification"):
        assert load(study, task=task).predict(["good day"])[0]["label"] == "positive"
    with pytest.raises(ConfigError, match="did you mean 'text-classification'"):
        load(study, task="text-clasification")


def test_a_study_without_a_model_to_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the baseline 'majority', which is no saved model"):
        load(_study(tmp_path / "baseline", None, "majority"))
    with pytest.raises(CheckpointError, match="which is not there"):
        load(_study(tmp_path / "gone", "runs/a/b/seed0"))
    (tmp_path / "gone" / "study.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "gone")


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
    assert predictor.generate("ab", tokens=9, temperature=0) == "ab" + "cab" * 3
    ids = [4, 5, 6, 4]
    assert list(predictor.continue_ids(ids, tokens=8, temperature=0)) == _uncached(predictor, ids, 8)


def test_a_seed_draws_the_same_text_again(language_run: Path) -> None:
    predictor = load(language_run)
    first, again, other = (predictor.generate("a", tokens=20, temperature=8.0, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert predictor.generate("", tokens=3)


def test_impossible_requests_for_text_are_refused(language_run: Path, text_run: Path) -> None:
    predictor = load(language_run)
    for tokens, temperature in ((0, 1.0), (3, -1.0), (3, float("nan"))):
        with pytest.raises(ConfigError, match="cannot draw"):
            predictor.generate("a", tokens=tokens, temperature=temperature)
    if predictor.saved.settings.positions == "learned":
        with pytest.raises(ConfigError, match="longer than the model's maximum of 40"):
            predictor.generate("a", tokens=40)
    else:
        assert len(predictor.generate("a", tokens=60, temperature=0)) == 61
    with pytest.raises(ConfigError, match="only language models write"):
        load(text_run).generate("a", tokens=3)
    with pytest.raises(DataError, match="'tiny/language' cannot read new input"):
        predictor.predict(["abc"])
