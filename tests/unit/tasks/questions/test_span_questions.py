from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from tokenizers.implementations import BertWordPieceTokenizer

from crossover.data.foreign import ForeignVocabulary
from crossover.data.options import DataOptions
from crossover.data.text import Borrowed, train_vocabulary
from crossover.errors import ConfigError, DataError
from crossover.tasks.objectives import IGNORE
from crossover.tasks.questions.spans import SpanQuestions, own, restore
from crossover.tasks.questions.squad import SpanQuestion, read_squad, squad_document
from crossover.tasks.questions.stories import Language
from crossover.testing import check_task

WRITE = runpy.run_path(str(Path(__file__).parents[4] / "examples" / "stories_as_squad.py"))["write"]


def file_of_stories(folder: Path, language: Language, *, stories: int = 40) -> Path:
    WRITE(folder, language, {"stories": stories})
    return folder / "stories.json"


def write(path: Path, *questions: SpanQuestion) -> Path:
    path.write_text(json.dumps(squad_document(questions), ensure_ascii=False), encoding="utf-8")
    return path


def ask(name: str, context: str, text: str, *answers: str) -> SpanQuestion:
    return SpanQuestion(name, context, text, tuple((answer, context.index(answer)) for answer in answers), name)


def sure(task: SpanQuestions, split: str = "test") -> tuple[torch.Tensor, object]:
    """Outputs that give every row its target, and their batch."""
    (batch,) = task.batches(split, seed=0, epoch=0, batch=1000)  # type: ignore[arg-type]
    outputs = torch.zeros(*batch.inputs.shape, 2)
    rows = torch.arange(batch.size)
    for side in (0, 1):
        outputs[rows, batch.targets[:, side].clamp(min=0), side] = 50.0
    return outputs, batch


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_task_holds_what_every_task_holds_and_a_sure_model_scores_one(tmp_path: Path, language: Language):
    task = own(DataOptions(data=str(file_of_stories(tmp_path, language))))
    assert not [result for result in check_task(task) if not result.passed]
    outputs, batch = sure(task)
    scores = task.score(task.metrics(outputs, batch))
    assert (scores["f1"], scores["exact_match"]) == (1.0, 1.0)
    shown = task.samples(outputs, batch, limit=3)
    assert [row["prediction"] for row in shown] == [row["target"] for row in shown]


def wordpieces(texts: list[str]) -> ForeignVocabulary:
    """A BERT's tokenizer of a few pieces of `texts`, most words in several."""
    tokenizer = BertWordPieceTokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=60, show_progress=False)
    return ForeignVocabulary(tokenizer.to_str())


@pytest.mark.parametrize("language", ["english", "chinese"])
@pytest.mark.parametrize("units", ["words", "subwords", "characters", "wordpieces"])
def test_read_by_the_vocabulary_of_a_trained_model_answers_keep_their_place(
    tmp_path: Path, units: str, language: Language
):
    path = file_of_stories(tmp_path, language)
    texts = [question.context for question in read_squad(path)[0]]
    vocabulary = wordpieces(texts) if units == "wordpieces" else train_vocabulary(units, texts, size=300)  # type: ignore[arg-type]
    task = own(DataOptions(data=str(path), borrowed=Borrowed(vocabulary, "RUN")))
    assert f"Texts are read by the vocabulary of RUN ({vocabulary.size} units)." in task.spec.notes
    assert not [result for result in check_task(task) if not result.passed]
    outputs, batch = sure(task)
    assert task.score(task.metrics(outputs, batch))["exact_match"] == 1.0
    with pytest.raises(ConfigError, match="minimum_count cannot be set"):
        own(DataOptions(data=str(path), borrowed=Borrowed(vocabulary, "RUN"), settings={"minimum_count": 1}))


def test_a_sign_that_a_vocabulary_drops_keeps_its_step(tmp_path: Path):
    path = write(tmp_path / "a.json", ask("q", "They met at \u0301 today.", "At what?", "\u0301"))
    vocabulary = wordpieces(["they met at today"])
    task = own(DataOptions(train=path, valid=path, test=path, borrowed=Borrowed(vocabulary, "RUN")))
    outputs, batch = sure(task)
    assert task.decode(outputs, batch)[0]["answer"] == "\u0301"


def test_answers_are_cut_from_the_original_text(tmp_path: Path):
    context = "  Cafe\u0301 “Zoë’s”   opened in  1,987.5 — by  ANN\u00a0Smith-Jones!\n小明说:《红楼梦》很好。 "
    answers = ("Cafe\u0301", "Zoë’s”   opened", "1,987.5", "ANN\u00a0Smith-Jones", "红楼梦")
    questions = [ask(f"q{i}", context, "What?", answer) for i, answer in enumerate(answers)]
    path = write(tmp_path / "a.json", *questions)
    task = own(DataOptions(train=path, valid=path, test=path))
    outputs, batch = sure(task)
    decoded = task.decode(outputs, batch)
    assert [row["answer"] for row in decoded] == list(answers)
    assert [row["start"] for row in decoded] == [context.index(answer) for answer in answers]
    assert not any("inside a unit" in note for note in task.spec.notes)


def test_an_answer_inside_a_unit_is_told_and_the_unit_is_taken(tmp_path: Path):
    path = write(tmp_path / "a.json", ask("q", "The self-driving car won.", "What won?", "driving"))
    task = own(DataOptions(train=path, valid=path, test=path, settings={"minimum_count": 1}))
    assert "1 of 1 train answers begin or end inside a unit." in task.spec.notes
    outputs, batch = sure(task)
    assert task.decode(outputs, batch)[0]["answer"] == "self-driving"


def test_answers_longer_than_a_model_may_give_are_told(tmp_path: Path):
    path = write(tmp_path / "a.json", ask("q", "It is red, green and blue.", "Which?", "red, green and blue"))
    files = {"train": path, "valid": path, "test": path}
    told = "1 of 1 train answers have more than 4 units, which no model gives."
    assert told in own(DataOptions(**files, settings={"longest_answer": 4, "minimum_count": 1})).spec.notes
    assert told not in own(DataOptions(**files, settings={"longest_answer": 5, "minimum_count": 1})).spec.notes


def test_questions_about_one_article_stand_on_one_side(tmp_path: Path):
    task = own(DataOptions(data=str(file_of_stories(tmp_path, "english"))))
    sides = [
        {task.questions[index].article for index in task.splits[split].questions_N}
        for split in ("train", "valid", "test")
    ]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_questions_about_one_context_stand_on_one_side_where_articles_are_few(tmp_path: Path):
    asked = [
        SpanQuestion(
            f"{n}-{word}", context, f"Where is {word}?", (("park", context.index("park")),), "the only article"
        )
        for n, context in ((n, f"Ann and Ben sat in park {n}.") for n in range(12))
        for word in ("Ann", "Ben")
    ]
    task = own(DataOptions(data=str(write(tmp_path / "a.json", *asked))))
    sides = [
        {task.questions[index].context for index in task.splits[split].questions_N}
        for split in ("train", "valid", "test")
    ]
    assert all(sides) and sum(map(len, sides)) == len(set().union(*sides)) == 12


LONG = "One two three four five six seven eight nine ten eleven twelve."


def test_long_contexts_are_refused_and_cut_only_when_asked(tmp_path: Path):
    kept, lost = ask("kept", LONG, "What comes second?", "two"), ask("lost", LONG, "What is last?", "twelve")
    short = ask("short", "One two.", "Which?", "two")
    path = write(tmp_path / "a.json", kept, lost, short)
    files = {"train": path, "valid": path, "test": path}
    with pytest.raises(
        DataError, match=r"2 of 3 train rows have more than 10 units, question 'kept' the most \(18\)"
    ):
        own(DataOptions(**files, settings={"longest": 10}))  # type: ignore[arg-type]
    task = own(DataOptions(**files, settings={"longest": 10, "long": "cut", "minimum_count": 1}))  # type: ignore[arg-type]
    assert (task.size("train"), task.size("test")) == (2, 3)
    assert {
        "2 of 3 train contexts were cut at 10 units; 1 lost their answer and are left out.",
        "2 of 3 test contexts were cut at 10 units; 1 lost their answer and are kept, and counted as mistakes.",
    } <= set(task.spec.notes)
    outputs, batch = sure(task)
    assert batch.targets[1].tolist() == [IGNORE, IGNORE]  # type: ignore[attr-defined]
    assert task.score(task.metrics(outputs, batch))["exact_match"] == pytest.approx(2 / 3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="question 'short' alone"):
        write(path, ask("short", "One two.", " ".join(["word"] * 20) + "?", "two"))
        own(DataOptions(**files, settings={"longest": 10, "long": "cut"}))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="have 18 units, and the model reads 10: shorten the context"):
        task.encode([f"{LONG} What comes second?"])


def test_several_answers_count_and_no_answer_is_an_answer(tmp_path: Path):
    context = "Ann sold the red house in May."
    asked = [
        ask("q1", context, "What was sold?", "house", "the red house"),
        ask("q2", context, "Who bought it?"),
    ]
    path = write(tmp_path / "a.json", *asked)
    task = own(DataOptions(train=path, valid=path, test=path, settings={"minimum_count": 1}))
    assert "1 of 2 test questions have no answer." in task.spec.notes
    (batch,) = task.batches("test", seed=0, epoch=0, batch=8)
    answers = [["the red house", ""], ["red house", "Ann"]]
    scored = [task.score(task.objective.items(said, batch)) for said in answers]
    assert (scored[0]["exact_match"], scored[0]["f1"]) == (1.0, 1.0)
    assert (scored[1]["exact_match"], scored[1]["f1"]) == (0.5, 0.5)
    outputs, _ = sure(task)
    assert task.decode(outputs, batch)[1] == {"answer": "", "probability": pytest.approx(1.0), "start": None}


def test_baselines_answer_from_the_context(tmp_path: Path):
    told = [("Ann", "Rome"), ("Ben", "Oslo"), ("Cid", "Bonn"), ("Dan", "Kyiv")]
    context = " ".join(f"{who} was born in {where}." for who, where in told)
    path = write(tmp_path / "a.json", *(ask(who, context, f"Where was {who} born?", where) for who, where in told))
    task = own(DataOptions(train=path, valid=path, test=path))
    trivial, strong = task.baselines("test")
    assert (trivial.name, trivial.summary["exact_match"]) == ("first sentence", 0.0)
    assert strong.summary["exact_match"] == 1.0


def test_a_users_question_is_read_as_training_reads_it(tmp_path: Path):
    context, question = "Ann went to the garden. Ben stayed.", "Where is Ann?"
    path = write(tmp_path / "a.json", ask("q", context, question, "garden"))
    task = own(DataOptions(train=path, valid=path, test=path, settings={"minimum_count": 1}))
    (expected,) = task.batches("test", seed=0, epoch=0, batch=8)
    batch = task.encode([f"{context} {question}"])
    assert torch.equal(batch.inputs, expected.inputs)
    assert all(torch.equal(batch.features[name], expected.features[name]) for name in expected.features)
    outputs, _ = sure(task)
    restored = restore(json.loads(json.dumps(task.artifacts())))
    assert restored.decode(outputs, batch) == [{"answer": "garden", "probability": pytest.approx(1.0), "start": 16}]


def test_options_that_are_not_read_are_refused(tmp_path: Path):
    path = file_of_stories(tmp_path, "english", stories=12)
    with pytest.raises(ConfigError, match="does not read --text"):
        own(DataOptions(data=str(path), text="question"))
    with pytest.raises(ConfigError, match="use --data FILE, or --train FILE --test FILE"):
        own(DataOptions())
    with pytest.raises(ConfigError, match="did you mean 'longest'"):
        own(DataOptions(data=str(path), settings={"longst": 12}))
    with pytest.raises(ConfigError, match="a vocabulary of 1 words: use at least 5"):
        own(DataOptions(data=str(path), settings={"vocabulary": 1}))
    with pytest.raises(DataError, match="no artifacts of a qa task"):
        restore({})
