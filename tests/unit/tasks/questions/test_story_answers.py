from __future__ import annotations

import doctest

import pytest
import torch

from crossover.data.options import DataOptions
from crossover.data.text import train_vocabulary
from crossover.errors import ConfigError, DataError
from crossover.tasks.questions import answers as story_answers
from crossover.tasks.questions.answers import DISTANCES, PLACES, StoryAnswers, StoryReader, restore
from crossover.tasks.questions.sources import stories
from crossover.tasks.questions.stories import KINDS, Question

STORY = ("Ann went to the garden.", "Ben took the ball.", "Ann left.")
QUESTION = Question(STORY, "Where is Ann?", "garden", "where")


def small(question: str = "both", sentences: int = 50) -> StoryAnswers:
    other = Question(STORY[:2], "Who has the ball?", "Ben", "holder")
    unseen = Question(STORY, "Where is Ann?", "attic", "where")
    parts = {"train": [QUESTION, other] * 4, "valid": [QUESTION, other], "test": [QUESTION, other, unseen]}
    return StoryAnswers(
        "qa/small", parts, {"question": question, "sentences": sentences}, kinds=("where", "holder"), penalties=(1.0,)
    )


def test_the_example_of_the_docstring_holds():
    assert doctest.testmod(story_answers).attempted >= 1
    assert doctest.testmod(story_answers).failed == 0


@pytest.mark.parametrize(
    ("question", "words", "distances"),
    [
        (
            "last",
            "ann went to the garden ben took the ball ann left where is ann",
            [3] * 5 + [2] * 4 + [1] * 2 + [0] * 3,
        ),
        (
            "first",
            "where is ann ann went to the garden ben took the ball ann left",
            [0] * 3 + [3] * 5 + [2] * 4 + [1] * 2,
        ),
        (
            "both",
            "where is ann ann went to the garden ben took the ball ann left where is ann",
            [0] * 3 + [3] * 5 + [2] * 4 + [1] * 2 + [0] * 3,
        ),
    ],
)
def test_a_row_is_story_and_question_with_where_each_unit_stands(question: str, words: str, distances: list[int]):
    reader = small(question).reader
    ids, features = reader.read(STORY, "Where is Ann?")
    assert [reader.vocabulary.tokens[i] for i in ids] == words.split()
    assert features["distance"].tolist() == distances
    assert features["part"].tolist() == [min(distance, 1) for distance in distances]
    assert features["place"].tolist()[-3:] == ([0, 1, 2] if question != "first" else [3, 0, 1])


def test_the_parts_of_a_word_share_its_place():
    borrowed = train_vocabulary("characters", [*STORY, "Where is Ann?"], size=100, lowercase=True)
    ids, features = StoryReader(borrowed, "last", 50).read(STORY[2:], "Who?")
    assert borrowed.decode(ids.tolist()) == "annleftwho"
    assert features["distance"].tolist() == [1] * 7 + [0] * 3
    assert features["place"].tolist() == [0] * 3 + [1] * 4 + [0] * 3


def test_long_stories_are_read_from_their_end_and_features_stay_in_their_tables():
    reader = small(sentences=40).reader
    long = ("One two three four five six seven eight nine ten eleven twelve thirteen a b c d e f.",) * 60
    ids, features = reader.read(long, "Who?")
    assert len(ids) == 40 * 19 + 2
    assert features["distance"].max() == DISTANCES and features["place"].max() == PLACES - 1


def test_a_cut_story_and_an_unseen_answer_are_told():
    task = small(sentences=2)
    assert task.spec.notes == (
        "4 of 8 train stories are longer than 2 sentences: the last ones are read.",
        "1 of 2 valid stories are longer than 2 sentences: the last ones are read.",
        "2 of 3 test stories are longer than 2 sentences: the last ones are read.",
        "1 of 3 test answers are none of train's and count as mistakes.",
    )


def test_samples_show_the_story_then_the_question_whatever_the_order():
    for order in ("last", "first", "both"):
        task = small(order)
        (batch,) = task.batches("test", seed=0, epoch=0, batch=8)
        (shown, _, unseen) = task.samples(torch.tensor([[0.0, 1.0]] * 3), batch)
        assert shown == {
            "input": "Ann went to the garden. Ben took the ball. Ann left. Where is Ann?",
            "target": "garden",
            "prediction": "garden",
        }
        assert unseen["target"] == "attic"


def test_the_score_is_the_mean_over_kinds_and_kinds_are_told_apart():
    task = small()
    (batch,) = task.batches("test", seed=0, epoch=0, batch=8)
    items = task.metrics(torch.tensor([[0.0, 9.0]] * 3), batch)
    scores = task.score(items)
    assert (scores["accuracy@where"], scores["accuracy@holder"], scores["accuracy"]) == (0.5, 0.0, 0.25)
    assert task.details(items)["by_kind"] == [
        {"kind": "where", "count": 2, "score": 0.5},
        {"kind": "holder", "count": 1, "score": 0.0},
    ]


def test_a_users_text_gives_the_row_that_training_saw():
    task = small()
    expected = next(iter(task.batches("test", seed=0, epoch=0, batch=1)))
    for text in (" ".join(STORY) + " Where is Ann?", " ".join(STORY) + "\tWhere is Ann?"):
        batch = task.encode([text])
        assert torch.equal(batch.inputs, expected.inputs)
        assert all(torch.equal(batch.features[name], expected.features[name]) for name in expected.features)
    with pytest.raises(DataError, match="has no question"):
        task.encode(["Ann left."])


def test_chinese_stories_are_questions_of_the_same_kinds_in_other_words():
    english, chinese = (stories(DataOptions(settings={"language": name})) for name in ("english", "chinese"))
    assert english.spec.name == chinese.spec.name == "qa/stories"
    assert english.objective.kinds == chinese.objective.kinds == KINDS
    assert "没有人" in chinese.spec.labels and "nobody" in english.spec.labels
    shown = chinese.samples(
        torch.zeros(1, len(chinese.spec.labels)), next(iter(chinese.batches("test", seed=0, epoch=0, batch=1)))
    )
    assert "小" in shown[0]["input"] or "老" in shown[0]["input"]


def test_simple_answers_do_not_solve_the_stories():
    task = stories(DataOptions())
    task.penalties = (0.25,)
    trivial, strong = task.baselines("test")
    assert trivial.score < 0.2 < strong.score < 0.7


def test_settings_and_artifacts_that_are_none_are_told():
    with pytest.raises(ConfigError, match="did you mean 'english'"):
        stories(DataOptions(settings={"language": "englisch"}))
    with pytest.raises(ConfigError, match="does not read --data"):
        stories(DataOptions(data="mine.json"))
    with pytest.raises(DataError, match="no artifacts of a story task"):
        restore({"name": "qa/small"})
