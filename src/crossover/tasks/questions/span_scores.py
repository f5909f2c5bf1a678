"""Answers that are spans of a text: objective, the likeliest span, and SQuAD's exact match and F1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.text import is_chinese
from crossover.data.units import cut_units
from crossover.tasks.base import Batch, Sums
from crossover.tasks.objectives import IGNORE, by_length

NO_ANSWER = 0
"""Step of a row that stands for "there is no answer": both start and end."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = str.maketrans("", "", string.punctuation)
_CHINESE_MARKS = str.maketrans("", "", "，。：？！“”‘’；《》〈〉…·、「」『』（）【】－～—")


def normalise_answer(text: str) -> list[str]:
    """The words of an answer as SQuAD compares them: lower case, without punctuation and articles.

    In a Chinese text each character is a word (Cui et al. 2019, CMRC 2018), and Chinese punctuation goes too.

    >>> normalise_answer("The Garden, at 5.30"), normalise_answer("《红楼梦》")
    (['garden', 'at', '530'], ['红', '楼', '梦'])
    """
    bare = text.lower().translate(_MARKS)
    if is_chinese(text):
        bare = bare.translate(_CHINESE_MARKS)
        return [unit.text for unit in cut_units(_ARTICLES.sub(" ", bare))]
    return _ARTICLES.sub(" ", bare).split()


def answer_scores(answer: str, references: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of an answer, each the best over the references."""
    words = normalise_answer(answer)
    scores = [(float(words == wanted), _f1(words, wanted)) for wanted in map(normalise_answer, references)]
    return max(exact for exact, _ in scores), max(f1 for _, f1 in scores)


def _f1(words: list[str], wanted: list[str]) -> float:
    if not words or not wanted:
        return float(words == wanted)
    shared = (Counter(words) & Counter(wanted)).total()
    return 2 * shared / (len(words) + len(wanted))


def span_texts(spans_B2: np.ndarray, batch: Batch) -> list[str]:
    """The text of each span of steps, cut from the original context; "" for no answer."""
    contexts_BL = batch.extra["context"].numpy(force=True)
    places_BT2 = batch.extra["places"].numpy(force=True)
    texts = []
    for row, (first, last) in enumerate(spans_B2.tolist()):
        begin, end = int(places_BT2[row, first, 0]), int(places_BT2[row, last, 1])
        texts.append("".join(map(chr, contexts_BL[row, begin:end].tolist())) if first != NO_ANSWER else "")
    return texts


class SpanAnswers:
    """Start and end of an answer: outputs [B, T, 2], targets [B, 2] steps (IGNORE: its answer was cut off).

    Both are distributions over the steps of the context (the feature `part` is 1), and over the step NO_ANSWER where
    `no_answer`. `longest` bounds the steps of an answer; `references` are the right answers of each question by the
    index in ``extra["question"]``.
    """

    def __init__(self, references: Sequence[Sequence[str]], *, no_answer: bool, longest: int) -> None:
        self.references = references
        self.no_answer = no_answer
        self.longest = longest

    def count(self, batch: Batch) -> int:
        """Rows with an answer that the row holds."""
        return int((batch.targets[:, 0] != IGNORE).sum())

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of start and end, the mean of the two, summed over rows."""
        return self._losses(outputs, batch, label_smoothing).sum()

    def _losses(self, outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        logs_BT2 = self.log_probabilities(outputs, batch)
        targets_B2 = batch.targets.clamp(min=0)
        losses_B2 = -logs_BT2.gather(1, targets_B2[:, None]).squeeze(1)
        if label_smoothing:
            real_BT2 = logs_BT2.isfinite()
            even_B2 = -logs_BT2.masked_fill(~real_BT2, 0.0).sum(1) / real_BT2.sum(1)
            losses_B2 = (1 - label_smoothing) * losses_B2 + label_smoothing * even_B2
        return losses_B2.mean(1).masked_fill(batch.targets[:, 0] == IGNORE, 0.0)

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities [B, T, 2] of start and end; minus infinity where neither can be."""
        admissible_BT = batch.features["part"] == 1
        if self.no_answer:
            admissible_BT = admissible_BT.clone()
            admissible_BT[:, NO_ANSWER] = True
        return outputs.masked_fill(~admissible_BT[..., None], -torch.inf).log_softmax(1)

    def best_spans(self, outputs: Tensor, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest span of each row, [B, 2] steps, both included, and its log-probability [B]."""
        starts_BT, ends_BT = self.log_probabilities(outputs, batch).unbind(-1)
        none_B = starts_BT[:, NO_ANSWER] + ends_BT[:, NO_ANSWER]
        within_BT = starts_BT.clone()
        within_BT[:, NO_ANSWER] = -torch.inf
        longest = min(self.longest, ends_BT.shape[1])
        padded = torch.nn.functional.pad(ends_BT, (0, longest - 1), value=-torch.inf)
        scores_BTL = within_BT[..., None] + padded.unfold(1, longest, 1)
        best_B, place_B = scores_BTL.flatten(1).max(1)
        first_B, last_B = place_B // longest, place_B // longest + place_B % longest
        none = none_B >= best_B
        spans_B2 = torch.stack([first_B, last_B], 1).masked_fill(none[:, None], NO_ANSWER)
        return spans_B2.numpy(force=True), torch.where(none, none_B, best_B).numpy(force=True)

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss, exact match and F1 of each row."""
        spans_B2, _ = self.best_spans(outputs, batch)
        losses_B = self._losses(outputs, batch).numpy(force=True)
        return self.items(span_texts(spans_B2, batch), batch, losses_B)

    def items(self, answers: Sequence[str], batch: Batch, losses_B: np.ndarray | None = None) -> Sums:
        """The statistics of any predictor's answers; one without probabilities has a loss of NaN."""
        questions = batch.extra["question"].tolist()
        scores = [
            answer_scores(answer, self.references[index])
            for answer, index in zip(answers, questions, strict=True)
        ]  # fmt: skip
        exact_f1_B2 = np.array(scores, dtype=np.float64).reshape(-1, 2)
        return {
            "loss": np.full(batch.size, np.nan) if losses_B is None else losses_B.astype(np.float64),
            "count": (batch.targets[:, 0] != IGNORE).numpy(force=True).astype(np.float64),
            "rows": np.ones(batch.size),
            "exact": exact_f1_B2[:, 0],
            "f1": exact_f1_B2[:, 1],
            "length": batch.lengths_B.numpy(force=True).astype(np.float64),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """F1 and exact match over all rows, mean loss over those with an answer."""
        rows = max(float(sums["rows"]), 1e-12)
        return {
            "f1": float(sums["f1"]) / rows,
            "exact_match": float(sums["exact"]) / rows,
            "loss": float(sums["loss"]) / max(float(sums["count"]), 1e-12),
        }

    def details(self, items: Sums) -> dict[str, Any]:
        """F1 by length of context and question."""
        return {"by_length": by_length(items["length"], items["f1"])}
