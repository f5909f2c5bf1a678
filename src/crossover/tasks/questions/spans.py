"""Questions about a text, answered by a span of it, on the user's files in the form of SQuAD."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.data.splits import random_split
from crossover.data.text import Borrowed, Vocabulary, vocabulary_from_json, vocabulary_of
from crossover.data.units import cut_units
from crossover.errors import DataError
from crossover.models.ports import PerStep
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.objectives import IGNORE
from crossover.tasks.options import Choice, Whole
from crossover.tasks.questions.reader import read_questions, split_question
from crossover.tasks.questions.span_baselines import NearestWindow, first_sentence
from crossover.tasks.questions.span_rows import SpanReader, SpanRow, SpanRows, first_answer
from crossover.tasks.questions.span_scores import NO_ANSWER, SpanAnswers, span_texts
from crossover.tasks.questions.squad import SpanQuestion, read_squad
from crossover.tasks.rows import RowTask
from crossover.tasks.text.files import named_files
from crossover.tasks.text.reader import read_text_settings, unit_of
from crossover.tasks.text.sources import FRACTIONS, VALID_OF_TRAIN
from crossover.tasks.train_share import on_share

FAMILY = "qa"
SPAN_SETTINGS: Mapping[str, Choice | Whole] = {
    "vocabulary": Whole(20_000),
    "minimum_count": Whole(2),
    "longest": Whole(512, minimum=8),
    "long": Choice(("refuse", "cut"), "refuse"),
    "longest_answer": Whole(30),
}
"""`longest` counts the units of question and context together, `longest_answer` those of an answer."""

FEW_ARTICLES = 10


class SpanPredictor:
    """Contexts with questions in, spans of the context out: the half of the task that needs no data."""

    def __init__(self, spec: TaskSpec, reader: SpanReader, objective: SpanAnswers) -> None:
        self.spec = spec
        self.reader = reader
        self.objective = objective

    def encode(self, texts: list[str]) -> Batch:
        """Texts that `split_question` takes apart to a batch; DataError for one longer than the model reads."""
        rows = []
        for text in texts:
            context, question = split_question(text)
            row = self.reader.read(question, context)
            if len(row.ids_T) > self.reader.longest:
                raise DataError(
                    f"the question {question!r} and its context have {len(row.ids_T)} units, and the model reads "
                    f"{self.reader.longest}: shorten the context"
                )
            rows.append(replace(row, target_2=(IGNORE, IGNORE)))
        return SpanRows(rows, [0] * len(rows)).gather(np.arange(len(rows)))

    def file_texts(self, path: Path) -> list[str]:
        """The questions of a file; see `read_questions`."""
        return read_questions(path)

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"answer", "probability", "start"}`` of each row, the start in characters; "" and None for no answer."""
        spans_B2, scores_B = self.objective.best_spans(outputs.float(), batch)
        starts_B = batch.extra["places"].numpy(force=True)[np.arange(batch.size), spans_B2[:, 0], 0]
        return [
            {
                "answer": text,
                "probability": float(np.exp(score)),
                "start": int(start) if first != NO_ANSWER else None,
            }
            for text, score, start, first in zip(
                span_texts(spans_B2, batch), scores_B, starts_B, spans_B2[:, 0], strict=True
            )
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "vocabulary": self.reader.vocabulary.to_json(),
            "longest": self.reader.longest,
            "longest_answer": self.objective.longest,
            "no_answer": self.objective.no_answer,
        }


def restore(artifacts: Mapping[str, Any]) -> SpanPredictor:
    """The predictor that `SpanPredictor.artifacts` described; DataError where something is missing or wrong."""
    try:
        vocabulary = vocabulary_from_json(artifacts["vocabulary"])
        reader = SpanReader(vocabulary, int(artifacts["longest"]))
        objective = SpanAnswers((), no_answer=bool(artifacts["no_answer"]), longest=int(artifacts["longest_answer"]))
        spec = span_spec(str(artifacts["name"]), reader)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a qa task ({type(error).__name__}: {error})") from error
    return SpanPredictor(spec, reader, objective)


def span_spec(name: str, reader: SpanReader, **fields: Any) -> TaskSpec:
    """The spec of a task of spans; `fields` are further fields of `TaskSpec`."""
    spec = TaskSpec(
        name=name,
        family=FAMILY,
        description="answers that stand in your own texts",
        inputs=reader.inputs,
        outputs=PerStep(size=2),
        objective="spans",
        metric="f1",
        higher_is_better=True,
        causal=False,
        margin=0.015,
        further_metrics=("exact_match",),
        max_length=reader.longest,
        batch_rows=32,
        embedded=False,
        unit=unit_of(reader.vocabulary),
        defaults={"layers": 2, "width": 128, "dropout": 0.1},
    )
    return replace(spec, **fields)


class SpanQuestions(SpanPredictor, RowTask):
    """The span of a context that answers a question, or that there is none; scored as SQuAD is."""

    splits: Mapping[Split, SpanRows]
    objective: SpanAnswers

    def __init__(
        self,
        name: str,
        questions: Mapping[Split, Sequence[SpanQuestion]],
        settings: Mapping[str, Any],
        *,
        borrowed: Borrowed | None = None,
        notes: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        train = questions["train"]
        texts = [*dict.fromkeys(question.context for question in train), *(question.text for question in train)]
        if borrowed is None:
            counts = Counter(unit.text.lower() for text in texts for unit in cut_units(text))
            vocabulary: Vocabulary = vocabulary_of(
                "words", counts, size=settings["vocabulary"], minimum_count=settings["minimum_count"], lowercase=True
            )
        else:
            vocabulary, notes = borrowed.vocabulary, (*notes, borrowed.note)
        reader = SpanReader(vocabulary, settings["longest"])
        self.splits, self.questions = {}, list[SpanQuestion]()
        for split in ("train", "valid", "test"):
            rows, found = _read(
                reader,
                questions[split],
                split,
                cut=settings["long"] == "cut",
                longest_answer=settings["longest_answer"],
            )
            notes = (*notes, *found)
            self.splits[split] = SpanRows(rows.values(), (len(self.questions) + index for index in rows))
            self.questions += questions[split]
        no_answer = any(not question.answers for question in self.questions)
        objective = SpanAnswers(
            [question.references for question in self.questions],
            no_answer=no_answer,
            longest=settings["longest_answer"],
        )
        super().__init__(span_spec(name, reader, notes=notes, **fields), reader, objective)

    def baselines(self, split: Split) -> list[Baseline]:
        """The context's first sentence, and the window that best matches the question by TF-IDF."""
        start = time.perf_counter()
        window = NearestWindow([self.questions[index] for index in self.splits["train"].questions_N])
        fitted = time.perf_counter() - start
        trivial, trivial_seconds = self._answers(split, lambda question: first_sentence(question.context))
        strong, strong_seconds = self._answers(split, lambda question: window.answer(question.text, question.context))
        return [
            self.baseline("first sentence", "trivial", trivial, seconds=trivial_seconds),
            self.baseline(
                "best window by TF-IDF",
                "strong",
                strong,
                seconds=fitted + strong_seconds,
                parameters=window.parameters,
            ),
        ]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The first rows of the batch: context and question, the answer and the model's."""
        rows = []
        for prediction, index in zip(self.decode(outputs, batch), batch.extra["question"].tolist(), strict=True):
            asked = self.questions[index]
            rows.append(
                {
                    "input": f"{asked.context.strip()} {asked.text}",
                    "target": asked.references[0] or "–",
                    "prediction": prediction["answer"] or "–",
                }
            )
        return rows[:limit]

    def _answers(self, split: Split, answer: Callable[[SpanQuestion], str]) -> tuple[Sums, float]:
        """The statistics of a baseline's answers, and the seconds that they took."""
        rows = self.splits[split]
        start = time.perf_counter()
        answers = [answer(self.questions[index]) for index in rows.questions_N]
        seconds = time.perf_counter() - start
        return self.objective.items(answers, rows.gather(np.arange(len(rows)))), seconds


def _read(
    reader: SpanReader, questions: Sequence[SpanQuestion], split: Split, *, cut: bool, longest_answer: int
) -> tuple[dict[int, SpanRow], tuple[str, ...]]:
    """The rows of a split by the index of their question, and what was found.

    Rows that are too long are refused or cut; one of train whose answer was cut off is left out.
    """
    rows = {
        index: reader.read(question.text, question.context, first_answer(question))
        for index, question in enumerate(questions)
    }
    long = {index: len(row.ids_T) for index, row in rows.items() if len(row.ids_T) > reader.longest}
    if long and not cut:
        index = max(long, key=lambda found: long[found])
        raise DataError(
            f"{len(long)} of {len(questions)} {split} rows have more than {reader.longest} units, question "
            f"{questions[index].id!r} the most ({long[index]}): read them whole with "
            f"--set task.longest={long[index]}, or cut their contexts with --set task.long=cut"
        )
    notes = []
    if inexact := sum(not _exact(question, row) for question, row in zip(questions, rows.values(), strict=True)):
        notes.append(f"{inexact} of {len(questions)} {split} answers begin or end inside a unit.")
    if wide := sum(row.target_2[1] - row.target_2[0] >= longest_answer for row in rows.values()):
        notes.append(
            f"{wide} of {len(questions)} {split} answers have more than {longest_answer} units, which no model gives."
        )
    if none := sum(not question.answers for question in questions):
        notes.append(f"{none} of {len(questions)} {split} questions have no answer.")
    for index in long:
        if not rows[index].part_T[: reader.longest].any():
            raise DataError(
                f"question {questions[index].id!r} alone has {reader.longest} units or more: shorten it, or read it "
                f"whole with --set task.longest={long[index]}"
            )
        rows[index] = reader.cut(rows[index])
    lost = [index for index, row in rows.items() if row.target_2[0] == IGNORE]
    if long:
        fate = "left out" if split == "train" else "kept, and counted as mistakes"
        notes.append(
            f"{len(long)} of {len(questions)} {split} contexts were cut at {reader.longest} units; "
            f"{len(lost)} lost their answer and are {fate}."
        )
    kept = {index: row for index, row in rows.items() if split != "train" or row.target_2[0] != IGNORE}
    if not kept:
        raise DataError(f"no row of {split} is left: give a larger --set task.longest=N than {reader.longest}")
    return kept, tuple(notes)


def _exact(question: SpanQuestion, row: SpanRow) -> bool:
    """Whether the answer that is trained on begins and ends with a unit."""
    answer, (first, last) = first_answer(question), row.target_2
    if answer is None:
        return True
    return row.context[int(row.places_T2[first, 0]) : int(row.places_T2[last, 1])] == answer[0].strip()


def read_splits(options: DataOptions) -> tuple[dict[Split, list[SpanQuestion]], tuple[str, ...]]:
    """The questions of the user's file or files, split; those about one article stand on one side.

    In a file of fewer than FEW_ARTICLES articles those about one context do.
    """
    read = {name: read_squad(Path(path)) for name, path in named_files(options).items()}
    notes = tuple(dict.fromkeys(note for _, found in read.values() for note in found))
    files = {name: questions for name, (questions, _) in read.items()}
    if "data" in files:
        return _cut(files["data"], FRACTIONS, options.split_seed), notes
    if "valid" in files:
        return {"train": files["train"], "valid": files["valid"], "test": files["test"]}, notes
    parts = _cut(files["train"], (1 - VALID_OF_TRAIN, VALID_OF_TRAIN, 0.0), options.split_seed)
    return {**parts, "test": files["test"]}, notes


def _cut(
    questions: Sequence[SpanQuestion], fractions: tuple[float, float, float], seed: int
) -> dict[Split, list[SpanQuestion]]:
    many = len({question.article for question in questions}) >= FEW_ARTICLES
    groups = [question.article if many else question.context for question in questions]
    rows = random_split(len(questions), fractions, seed, groups=groups)
    return {split: [questions[row] for row in rows[split]] for split in ("train", "valid", "test")}


def own(options: DataOptions) -> SpanQuestions:
    """Answers in the user's texts, in the form of SQuAD."""
    reads = ("data", "train", "valid", "test", "split_seed", "train_share", "borrowed")
    settings = read_text_settings(FAMILY, options, SPAN_SETTINGS, reads=reads)
    questions, notes = read_splits(options)
    parts, share_notes = on_share(questions, options)
    return SpanQuestions(FAMILY, parts, settings, borrowed=options.borrowed, notes=(*notes, *share_notes))
