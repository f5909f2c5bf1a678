"""Connectionist temporal classification (Graves et al. 2006): labels of a row without their places in time.

Shape suffixes: B rows, T steps, S symbols and the blank (which is 0), U symbols of a target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from crossover.data.batching import pad
from crossover.tasks.base import Batch, Sums
from crossover.tasks.objectives import IGNORE
from crossover.tasks.speech.word_errors import error_rates, error_statistics

BLANK = 0


class Symbols:
    """What a model writes: words, or characters; numbered from 1, since 0 is the blank."""

    def __init__(self, units: str, symbols: Sequence[str]) -> None:
        self.units = units
        self.symbols = tuple(symbols)
        self._ids = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}

    @classmethod
    def of(cls, units: str, texts: Sequence[str]) -> Symbols:
        """Those of `texts`, sorted."""
        return cls(units, sorted({symbol for text in texts for symbol in _cut(text, units)}))

    @property
    def size(self) -> int:
        """Symbols and the blank."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> np.ndarray:
        """Numbers of a text's symbols; one that is not known is left out."""
        return np.array([self._ids[s] for s in _cut(text, self.units) if s in self._ids], dtype=np.int64)

    def unknown(self, text: str) -> int:
        """How many symbols of a text are not known."""
        return sum(symbol not in self._ids for symbol in _cut(text, self.units))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of numbers; white space of characters is made one between words."""
        written = [self.symbols[i - 1] for i in ids]
        return " ".join(written) if self.units == "words" else " ".join("".join(written).split())


def _cut(text: str, units: str) -> Sequence[str]:
    return text.split() if units == "words" else text


def best_path(outputs_TS: Tensor, last: int = BLANK) -> tuple[list[int], int]:
    """The symbols of the likeliest path: that of each step, repetitions joined, blanks left out.

    `last` is the likeliest of the step before the first; given back is that of the last step, so that a row in
    chunks is decoded like the whole.
    """
    found = []
    for symbol in outputs_TS.argmax(-1).tolist():
        if symbol not in (last, BLANK):
            found.append(symbol)
        last = symbol
    return found, last


def needed_steps(ids: np.ndarray) -> int:
    """The fewest steps that can say a target: one a symbol, and a blank between two that are the same."""
    return len(ids) + int((ids[1:] == ids[:-1]).sum())


class CTC:
    """Symbols of a row, in order: outputs [B, T, S], targets [B, U] with IGNORE after a row's end.

    `texts` holds the transcript of each row by the number in the batch's ``extra["text"]``; below 0 the transcript is
    what the target says. It is compared with the likeliest path (`best_path`). A row with fewer steps than its target
    needs has no path, and its loss counts as zero.
    """

    def __init__(self, symbols: Symbols, texts: Sequence[str]) -> None:
        self.symbols = symbols
        self.texts = texts

    def count(self, batch: Batch) -> int:
        """Symbols of the targets."""
        return int((batch.targets != IGNORE).sum())

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Negative log probability of the targets over all paths, summed; `label_smoothing` has no meaning here."""
        return self._losses(outputs, batch).sum()

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss of each row, and the errors of what is written."""
        written = self.written(outputs, batch)
        return {
            "loss": self._losses(outputs, batch).numpy(force=True).astype(np.float64),
            "count": (batch.targets != IGNORE).sum(1).numpy(force=True).astype(np.float64),
            **error_statistics(self.references(batch), written),
        }

    def written(self, outputs: Tensor, batch: Batch) -> list[str]:
        """The text of each row's likeliest path."""
        rows = zip(outputs, batch.lengths_B.tolist(), strict=True)
        return [self.symbols.decode(best_path(row_TS[:length])[0]) for row_TS, length in rows]

    def references(self, batch: Batch) -> list[str]:
        """What was said in each row."""
        places = batch.extra["text"].tolist()
        targets = zip(places, batch.targets, strict=True)
        return [
            self.texts[place] if place >= 0 else self.symbols.decode(ids[ids != IGNORE].tolist())
            for place, ids in targets
        ]

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Word and character error rate, their kinds, share of texts without an error, loss per symbol."""
        return {**error_rates(sums), "loss": float(sums["loss"]) / max(float(sums["count"]), 1e-12)}

    def details(self, items: Sums) -> dict[str, Any]:
        """Word error rate by the number of words said."""
        buckets = []
        for low, high in _ranges(items["words"]):
            inside_N = (items["words"] >= low) & (items["words"] <= high)
            sums = {name: values[inside_N].sum(0) for name, values in items.items()}
            buckets.append(
                {"from": low, "to": high, "count": int(inside_N.sum()), "score": self.summarise(sums)["wer"]}
            )
        return {"by_length": buckets}

    def _losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        if batch.size == 0:
            return outputs.sum((1, 2))
        return F.ctc_loss(
            outputs.log_softmax(-1).transpose(0, 1),
            batch.targets.clamp(min=BLANK),
            batch.lengths_B,
            (batch.targets != IGNORE).sum(1),
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )


def padded_targets(ids: Sequence[np.ndarray]) -> Tensor:
    """Targets [B, U] with IGNORE after each row's end."""
    return pad([row - IGNORE for row in ids])[0] + IGNORE


def _ranges(words_N: np.ndarray, buckets: int = 6) -> list[tuple[float, float]]:
    """Every number of words by itself where they are few, else ranges that double."""
    distinct = np.unique(words_N)
    if len(distinct) <= buckets:
        return [(float(number), float(number)) for number in distinct]
    edges = [2.0**power for power in range(math.ceil(math.log2(max(distinct[-1], 1))) + 1)]
    ranges = zip([0.0, *(edge + 1 for edge in edges)], edges, strict=False)
    inside = [distinct[(distinct >= low) & (distinct <= high)] for low, high in ranges]
    return [(float(some[0]), float(some[-1])) for some in inside if len(some)]
