"""Questions answered with trained models of both kinds, from text and from files, without the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossover.cli import main
from crossover.errors import DataError
from crossover.inference.predictor import Predictor, load
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.tasks.questions.answers import StoryAnswers
from crossover.tasks.questions.spans import SPAN_SETTINGS, SpanQuestions
from crossover.tasks.questions.squad import SpanQuestion
from crossover.tasks.questions.stories import Question
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
PEOPLE = ("Ann", "Ben", "小明")
ROOMS = ("garden", "kitchen", "厨房", "office")
CONTEXTS = [(f"{who} is in the {room}.", f"Where is {who}?", room) for who in PEOPLE for room in ROOMS]
MODELS = ["lstm", "transformer", "mingru"]


def settings() -> TrainSettings:
    return TrainSettings(budget="150steps", learning_rate=0.02, batch=12)


@pytest.fixture(scope="module", params=MODELS)
def classes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that answers by class."""
    folder = tmp_path_factory.mktemp("classes")
    rows = [Question((context,), question, answer, "where") for context, question, answer in CONTEXTS]
    task = StoryAnswers(
        "qa/small",
        dict.fromkeys(("train", "valid", "test"), rows),
        {"question": "both", "sentences": 5},
        kinds=("where",),
        penalties=(1.0,),
    )
    train(task, parse_model(f"{request.param}[width=16,layers=1]"), settings(), numerics=NUMERICS, folder=folder)
    return folder


@pytest.fixture(scope="module", params=MODELS)
def spans(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that answers by span."""
    folder = tmp_path_factory.mktemp("spans")
    rows = [SpanQuestion(c, c, q, ((answer, c.index(answer)),), c) for c, q, answer in CONTEXTS]
    given = {key: setting.default for key, setting in SPAN_SETTINGS.items()}
    task = SpanQuestions("qa", dict.fromkeys(("train", "valid", "test"), rows), given)
    train(task, parse_model(f"{request.param}[width=16,layers=1]"), settings(), numerics=NUMERICS, folder=folder)
    return folder


def answers(predictor: Predictor) -> list[str]:
    return [
        row["answer"] for row in predictor.predict([f"{context} {question}" for context, question, _ in CONTEXTS])
    ]


def test_questions_are_answered_by_class(classes: Path) -> None:
    assert answers(load(classes)) == [answer for *_, answer in CONTEXTS]


def test_questions_are_answered_by_span_with_its_place(spans: Path) -> None:
    predictor = load(spans)
    assert answers(predictor) == [answer for *_, answer in CONTEXTS]
    text = "  Ann is in   the kitchen. Where is Ann?"
    (found,) = predictor.predict([text])
    assert (found["answer"], found["start"]) == ("kitchen", text.index("kitchen"))
    assert 0.5 < found["probability"] <= 1


def test_batches_and_padding_change_nothing(spans: Path) -> None:
    predictor = load(spans)
    texts = ["Ann is in the kitchen. Where is Ann?", "Ben was away. Ben is in the garden. Where is Ben?"]
    together, alone = predictor.predict(texts), predictor.predict(texts, batch_rows=1)
    for a, b in zip(together, alone, strict=True):
        assert a["answer"] == b["answer"]
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-5)


def test_the_command_answers_text_and_files(spans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(spans), "Ben is in the office. Where is Ben?"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "office"
    path = tmp_path / "asked.jsonl"
    lines = [json.dumps({"context": context, "question": question}) for context, question, _ in CONTEXTS]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main(["predict", str(spans), "--file", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["answer"] for row in found] == [answer for *_, answer in CONTEXTS]
    assert main(["predict", str(spans), "Ben is in the office."]) == 2
    assert "has no question" in capsys.readouterr().err


def test_a_text_without_a_question_is_refused(classes: Path) -> None:
    with pytest.raises(DataError, match="has no question"):
        load(classes).predict(["Ann is in the garden."])
