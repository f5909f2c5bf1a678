"""Questions about stories, answered by one of the answers that train has: reader, objective, baselines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from crossover.data.text import Borrowed, ListedVocabulary, Vocabulary, unit_names, vocabulary_from_json
from crossover.data.units import cut_sentences, cut_units
from crossover.errors import DataError
from crossover.models.ports import PerRow, Tokens
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.objectives import IGNORE
from crossover.tasks.options import Choice, Whole
from crossover.tasks.questions.reader import read_questions, split_question
from crossover.tasks.questions.scores import AnswerClasses
from crossover.tasks.questions.stories import Question
from crossover.tasks.rows import Rows, RowTask
from crossover.tasks.text.linear import LinearText, fit_linear_text
from crossover.tasks.text.reader import unit_of

FAMILY = "qa-stories"
STORY_SETTINGS: Mapping[str, Choice | Whole] = {
    "question": Choice(("last", "first", "both"), "both"),
    "sentences": Whole(50),
}
"""Where the question stands in a row, and how many of the sentences before it are read, the last ones."""

DISTANCES = 32
"""Sentences are told apart by how far before the question they stand, up to this."""
PLACES = 16
"""Units are told apart by their place in their sentence, up to this."""


@dataclass(frozen=True)
class StoryReader:
    """A story and its question to ids and features.

    Features of a unit: `part` (question 0, story 1), `distance` (sentences to the question, capped; question 0) and
    `place` (in its sentence, capped). The mark at a sentence's end is left out.
    """

    vocabulary: Vocabulary
    question: str
    sentences: int

    @property
    def inputs(self) -> Tokens:
        """What a model is built for."""
        return Tokens(
            vocabulary=self.vocabulary.size, features={"part": 2, "distance": DISTANCES + 1, "place": PLACES}
        )

    def read(self, story: Sequence[str], question: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Ids [T] and features [T] of one row."""
        kept = story[-self.sentences :]
        told = [(sentence, len(kept) - i) for i, sentence in enumerate(kept)]
        asked = [(question, 0)]
        before = asked if self.question in ("first", "both") else []
        after = asked if self.question in ("last", "both") else []
        ids: list[int] = []
        distances: list[int] = []
        places: list[int] = []
        for sentence, distance in (*before, *told, *after):
            for place, pieces in enumerate(self.vocabulary.encode_units(story_units(sentence))):
                ids += pieces
                distances += [min(distance, DISTANCES)] * len(pieces)
                places += [min(place, PLACES - 1)] * len(pieces)
        features = {"part": np.sign(distances), "distance": np.array(distances), "place": np.array(places)}
        return np.array(ids), features


@cache
def story_units(sentence: str) -> tuple[str, ...]:
    """The units of a sentence in lower case, without the mark at its end.

    >>> story_units("Where is Anna?")
    ('where', 'is', 'anna')
    """
    units = [unit.text.lower() for unit in cut_units(sentence)]
    while units and not units[-1].isalnum():
        units.pop()
    return tuple(units)


class StoryPredictor:
    """Stories with questions in, answers out: the half of the task that needs no data."""

    def __init__(self, spec: TaskSpec, reader: StoryReader) -> None:
        self.spec = spec
        self.reader = reader

    def encode(self, texts: list[str]) -> Batch:
        """Texts that `split_question` takes apart to a batch without targets."""
        asked = [split_question(text) for text in texts]
        rows = [Question(tuple(cut_sentences(context)), question, "", "") for context, question in asked]
        return story_rows(self.reader, rows, {}, {}).gather(np.arange(len(rows)))

    def file_texts(self, path: Path) -> list[str]:
        """The questions of a file; see `read_questions`."""
        return read_questions(path)

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"answer", "probability"}`` of each row."""
        probabilities_B, answers_B = outputs.float().softmax(-1).max(-1)
        return [
            {"answer": self.spec.labels[answer], "probability": probability}
            for answer, probability in zip(answers_B.tolist(), probabilities_B.tolist(), strict=True)
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "labels": list(self.spec.labels),
            "vocabulary": self.reader.vocabulary.to_json(),
            "question": self.reader.question,
            "sentences": self.reader.sentences,
        }


def restore(artifacts: Mapping[str, Any]) -> StoryPredictor:
    """The predictor that `StoryPredictor.artifacts` described; DataError where something is missing or wrong."""
    try:
        vocabulary = vocabulary_from_json(artifacts["vocabulary"])
        reader = StoryReader(vocabulary, str(artifacts["question"]), int(artifacts["sentences"]))
        spec = story_spec(str(artifacts["name"]), reader, tuple(str(label) for label in artifacts["labels"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a story task ({type(error).__name__}: {error})") from error
    return StoryPredictor(spec, reader)


def story_spec(name: str, reader: StoryReader, answers: tuple[str, ...], **fields: Any) -> TaskSpec:
    """The spec of a task of questions about stories; `fields` are further fields of `TaskSpec`."""
    spec = TaskSpec(
        name=name,
        family="qa",
        description="answers to questions about stories",
        inputs=reader.inputs,
        outputs=PerRow(size=len(answers), pool="max"),
        objective="classification",
        metric="accuracy",
        higher_is_better=True,
        causal=False,
        margin=0.015,
        unit=unit_of(reader.vocabulary),
        labels=answers,
    )
    return replace(spec, **fields)


def story_rows(
    reader: StoryReader,
    questions: Sequence[Question],
    answers: Mapping[str, int],
    kinds: Mapping[str, int],
    *,
    first: int = 0,
) -> Rows:
    """The rows of some questions, which are numbered from `first`; an answer that is no class is IGNORE."""
    read = [reader.read(question.story, question.text) for question in questions]
    return Rows(
        inputs=[ids for ids, _ in read],
        targets=np.array([answers.get(question.answer, IGNORE) for question in questions], dtype=np.int64),
        features={name: [features[name] for _, features in read] for name in reader.inputs.features},
        extra={
            "kind": np.array([kinds.get(question.kind, 0) for question in questions], dtype=np.int64),
            "question": np.arange(first, first + len(questions)),
        },
    )


class StoryAnswers(StoryPredictor, RowTask):
    """One answer, of those that train has, to each question about a story."""

    splits: Mapping[Split, Rows]
    objective: AnswerClasses

    def __init__(
        self,
        name: str,
        questions: Mapping[Split, Sequence[Question]],
        settings: Mapping[str, Any],
        *,
        kinds: Sequence[str],
        penalties: Sequence[float],
        borrowed: Borrowed | None = None,
        notes: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        train = questions["train"]
        if borrowed is None:
            sentences = (sentence for row in train for sentence in (*row.story, row.text))
            words = sorted({unit for sentence in sentences for unit in story_units(sentence)})
            vocabulary: Vocabulary = ListedVocabulary("words", words, lowercase=True)
        else:
            vocabulary, notes = borrowed.vocabulary, (*notes, borrowed.note)
        reader = StoryReader(vocabulary, settings["question"], settings["sentences"])
        answers = tuple(sorted({row.answer for row in train}))
        classes, numbers = ({name: i for i, name in enumerate(names)} for names in (answers, kinds))
        self.penalties = penalties
        self.questions: list[Question] = []
        self.splits = {}
        for split, rows in questions.items():
            self.splits[split] = story_rows(reader, rows, classes, numbers, first=len(self.questions))
            self.questions += rows
        self.objective = AnswerClasses(kinds)
        super().__init__(
            story_spec(
                name,
                reader,
                answers,
                notes=(*notes, *_notes(questions, reader, self.splits)),
                max_length=max(int(rows.lengths_N.max()) for rows in self.splits.values()),
                **fields,
            ),
            reader,
        )

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent answer, and TF-IDF of story and question with a linear SVM."""
        start = time.perf_counter()
        targets = np.asarray(self.splits["train"].targets)
        guess = np.full(self.size(split), np.bincount(targets).argmax())
        trivial, trivial_seconds = self._items(guess, split), time.perf_counter() - start
        start = time.perf_counter()
        strong = self._items(self._linear.predict(self._words(split)), split)
        strong_seconds = self._linear.seconds + time.perf_counter() - start
        return [
            self.baseline("most frequent answer", "trivial", trivial, seconds=trivial_seconds),
            self.baseline(
                "TF-IDF + linear SVM",
                "strong",
                strong,
                seconds=strong_seconds,
                parameters=self._linear.parameters,
            ),
        ]

    def step_names(self, batch: Batch) -> tuple[list[str], list[str]]:
        """The units of story and question."""
        return unit_names(self.reader.vocabulary, batch.inputs[0].tolist()), []

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The first rows of the batch: what is read of the story, and the question; the answer and the model's."""
        rows = []
        for prediction, index in zip(self.decode(outputs, batch), batch.extra["question"].tolist(), strict=True):
            asked = self.questions[index]
            story = " ".join(asked.story[-self.reader.sentences :])
            rows.append(
                {"input": f"{story} {asked.text}", "target": asked.answer, "prediction": prediction["answer"]}
            )
        return rows[:limit]

    @cached_property
    def _linear(self) -> LinearText:
        return fit_linear_text(
            self._words("train"),
            np.asarray(self.splits["train"].targets),
            self._words("valid"),
            np.asarray(self.splits["valid"].targets),
            penalties=self.penalties,
        )

    def _words(self, split: Split) -> list[list[str]]:
        """The units of each row, those of the question marked as such."""
        return [
            [
                *(unit for sentence in row.story[-self.reader.sentences :] for unit in story_units(sentence)),
                *(f"{unit}?" for unit in story_units(row.text)),
            ]
            for row in (self.questions[index] for index in self.splits[split].extra["question"])
        ]

    def _items(self, predictions: np.ndarray, split: Split) -> Sums:
        rows = self.splits[split]
        return self.objective.items(predictions, np.asarray(rows.targets), rows.extra["kind"], rows.lengths_N)


def _notes(
    questions: Mapping[Split, Sequence[Question]], reader: StoryReader, splits: Mapping[Split, Rows]
) -> tuple[str, ...]:
    notes = []
    for split, rows in questions.items():
        if cut := sum(len(row.story) > reader.sentences for row in rows):
            notes.append(
                f"{cut} of {len(rows)} {split} stories are longer than {reader.sentences} sentences: "
                "the last ones are read."
            )
        if unknown := int((np.asarray(splits[split].targets) == IGNORE).sum()):
            notes.append(f"{unknown} of {len(rows)} {split} answers are none of train's and count as mistakes.")
    return tuple(notes)
