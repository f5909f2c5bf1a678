"""Simple answers from a context: its first sentence, and the window that best matches the question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from crossover.data.units import Unit, cut_sentences, cut_units
from crossover.tasks.questions.squad import SpanQuestion

REACH = 10
"""Units on either side of a window in which the question's words are looked for."""


def first_sentence(context: str) -> str:
    """The trivial answer: what the context begins with."""
    return cut_sentences(context)[0]


class NearestWindow:
    """The window of a context that best matches the question, by TF-IDF.

    In the manner of the sliding window of Rajpurkar et al. 2016 (after Richardson et al. 2013): windows are as
    long as the median answer of train, stand in one sentence and hold no word of the question. A window's score is
    the inverse document frequency (documents are train's sentences) of the question's words within REACH units of
    it, times the mean of that of its own words.
    """

    def __init__(self, train: Sequence[SpanQuestion]) -> None:
        sentences = [s for context in dict.fromkeys(q.context for q in train) for s in cut_sentences(context)]
        counts = Counter(word for sentence in sentences for word in set(_words(cut_units(sentence))))
        self.unseen = math.log(1 + len(sentences))
        self.weights = {word: math.log((1 + len(sentences)) / (1 + count)) for word, count in counts.items()}
        lengths = [len(cut_units(text)) for question in train for text, _ in question.answers]
        self.length = max(round(float(np.median(lengths))), 1) if lengths else 1

    @property
    def parameters(self) -> int:
        """Number of word weights."""
        return len(self.weights)

    def answer(self, question: str, context: str) -> str:
        """The best window's text, the last of equals; the first sentence where no window can be."""
        asked = set(_words(cut_units(question)))
        best, answer = -math.inf, first_sentence(context)
        begin = 0
        for sentence in cut_sentences(context):
            begin = context.index(sentence, begin)
            units = cut_units(sentence)
            for score, first, last in self._windows(units, asked):
                if score >= best:
                    best, answer = score, sentence[units[first].begin : units[last].end]
            begin += len(sentence)
        return answer

    def _windows(self, units: Sequence[Unit], asked: set[str]) -> list[tuple[float, int, int]]:
        """Score, first and last unit of each window of a sentence."""
        words = _words(units)
        weights = [self.weights.get(word, self.unseen) for word in words]
        places = {word: place for place, word in enumerate(words) if word in asked}
        windows = []
        for first in range(len(words) - self.length + 1):
            end = first + self.length
            if all(word.isalnum() and word not in asked for word in words[first:end]):
                near = sum(weights[place] for place in places.values() if first - REACH <= place < end + REACH)
                windows.append((near * sum(weights[first:end]) / self.length, first, end - 1))
        return windows


def _words(units: Sequence[Unit]) -> list[str]:
    return [unit.text.lower() for unit in units]
