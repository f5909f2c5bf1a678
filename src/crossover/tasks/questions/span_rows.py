"""Contexts and questions as rows of units whose places in the original text are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import torch

from crossover.data.batching import pad
from crossover.data.text import Vocabulary
from crossover.data.units import Unit, cut_units
from crossover.models.ports import Tokens
from crossover.tasks.base import Batch
from crossover.tasks.objectives import IGNORE
from crossover.tasks.questions.span_scores import NO_ANSWER
from crossover.tasks.questions.squad import SpanQuestion


@dataclass(frozen=True)
class SpanRow:
    """One question with its context.

    A row is the step NO_ANSWER, the question's units, the context's units, each of one step or more as its vocabulary
    reads it. `part_T` is 1 for the context's, `match_T`
    is 1 for units that stand in both; `places_T2` are the characters of the context that a unit is cut from (0, 0
    outside of it); `target_2` the first and last step of the answer, IGNORE where it was cut off or is not known.
    """

    ids_T: np.ndarray
    part_T: np.ndarray
    match_T: np.ndarray
    places_T2: np.ndarray
    context: str
    target_2: tuple[int, int] = (IGNORE, IGNORE)


@dataclass(frozen=True)
class SpanReader:
    """Questions with their contexts to rows of at most `longest` steps."""

    vocabulary: Vocabulary
    longest: int

    @property
    def inputs(self) -> Tokens:
        """What a model is built for."""
        return Tokens(vocabulary=self.vocabulary.size, features={"part": 2, "match": 2})

    def read(self, question: str, context: str, answer: tuple[str, int] | None = None) -> SpanRow:
        """The whole row, however long; `answer` is a text and the character that it begins at, None for none."""
        asked, told = cut_units(question), cut_units(context)
        shared = {unit.text.lower() for unit in asked} & {unit.text.lower() for unit in told}
        units = [*asked, *told]
        # A sign that the vocabulary's normalisation drops keeps its step, so that an answer may begin or end there.
        pieces = [ids or [self.vocabulary.unknown] for ids in self.vocabulary.encode_units([u.text for u in units])]
        sizes_U = np.array([len(ids) for ids in pieces], dtype=np.int64)
        before_U = 1 + np.concatenate([[0], np.cumsum(sizes_U)])
        target = (NO_ANSWER, NO_ANSWER)
        if answer is not None:
            begin, end = (len(asked) + i for i in covering(told, answer[1], answer[1] + len(answer[0])))
            target = (int(before_U[begin]), int(before_U[end + 1]) - 1)
        part_U = np.array([0] * len(asked) + [1] * len(told), dtype=np.int64)
        match_U = np.array([unit.text.lower() in shared for unit in units], dtype=np.int64)
        places_U2 = np.array([(0, 0)] * len(asked) + [(unit.begin, unit.end) for unit in told], dtype=np.int64)
        return SpanRow(
            ids_T=np.array([self.vocabulary.mask, *chain.from_iterable(pieces)], dtype=np.int64),
            part_T=np.array([0, *np.repeat(part_U, sizes_U)], dtype=np.int64),
            match_T=np.array([0, *np.repeat(match_U, sizes_U)], dtype=np.int64),
            places_T2=np.concatenate([[(0, 0)], np.repeat(places_U2.reshape(-1, 2), sizes_U, axis=0)]),
            context=context,
            target_2=target,
        )

    def cut(self, row: SpanRow) -> SpanRow:
        """The row's first `longest` steps, its answer IGNORE where they do not hold it."""
        kept = self.longest
        return replace(
            row,
            ids_T=row.ids_T[:kept],
            part_T=row.part_T[:kept],
            match_T=row.match_T[:kept],
            places_T2=row.places_T2[:kept],
            target_2=row.target_2 if row.target_2[1] < kept else (IGNORE, IGNORE),
        )


def covering(units: Sequence[Unit], begin: int, end: int) -> tuple[int, int]:
    """The first and last of the units that hold characters from `begin` to `end`."""
    inside = [index for index, unit in enumerate(units) if unit.end > begin and unit.begin < end]
    return inside[0], inside[-1]


class SpanRows:
    """The rows of one split; `questions_N` are their questions' indices in the task."""

    def __init__(self, rows: Iterable[SpanRow], questions: Iterable[int]) -> None:
        self.rows = list(rows)
        self.questions_N = np.fromiter(questions, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row."""
        return np.fromiter((len(row.ids_T) for row in self.rows), dtype=np.int64, count=len(self.rows))

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows; ``extra`` holds each context's characters and where each step stands in it."""
        rows = [self.rows[i] for i in rows_B]
        inputs, lengths_B = pad([row.ids_T for row in rows])
        time = inputs.shape[1]
        contexts, _ = pad([np.fromiter(map(ord, row.context), dtype=np.int64) for row in rows])
        places_BT2 = torch.zeros(len(rows), time, 2, dtype=torch.int64)
        for place_T2, row in zip(places_BT2, rows, strict=True):
            place_T2[: len(row.ids_T)] = torch.from_numpy(row.places_T2)
        return Batch(
            inputs=inputs,
            lengths_B=lengths_B,
            targets=torch.tensor([row.target_2 for row in rows], dtype=torch.int64).reshape(-1, 2),
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            features={
                "part": pad([row.part_T for row in rows], length=time)[0],
                "match": pad([row.match_T for row in rows], length=time)[0],
            },
            extra={
                "context": contexts,
                "places": places_BT2,
                "question": torch.from_numpy(self.questions_N[rows_B]),
            },
        )


def first_answer(question: SpanQuestion) -> tuple[str, int] | None:
    """The answer that is trained on."""
    return question.answers[0] if question.answers else None
