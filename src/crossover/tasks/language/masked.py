"""Masked language modelling: hidden units of a text, guessed from those around them.

Devlin et al. 2019, "BERT", arXiv 1810.04805, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.options import DataOptions
from crossover.data.text import GAP, SPECIALS, Vocabulary, unit_names, vocabulary_from_json
from crossover.errors import DataError
from crossover.models.ports import PerStep, Tokens
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.language.masked_baselines import NeighbourModel, Places
from crossover.tasks.language.unlabelled import (
    NEWS_SETTINGS,
    UnlabelledTexts,
    financial_news_texts,
    own_texts,
    python_paragraphs,
)
from crossover.tasks.objectives import IGNORE, TokenPrediction
from crossover.tasks.options import Setting, Whole
from crossover.tasks.rows import ChangedRows, Rows, RowTask
from crossover.tasks.text.reader import VOCABULARY_SETTINGS, make_vocabulary, read_text_settings, unit_of

FAMILY = "masked-language-modeling"
SETTINGS: Mapping[str, Setting] = {**VOCABULARY_SETTINGS, "max_length": Whole(128, 2)}
_READS = ("split_seed", "train_share", "borrowed")
CANDIDATES = 5
"""Units that are told for a gap."""

_SHARE = 0.15
"""Of a row's units, what is to be guessed (Devlin et al. 2019, section 3.1)."""
_MASKED, _REPLACED = 0.8, 0.1
"""Of those, what is hidden and what another unit stands for; the rest stays."""


class MaskedPredictor:
    """Texts with gaps in, units for the gaps out: the half of the task that needs no data."""

    def __init__(self, spec: TaskSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary

    def encode(self, texts: list[str]) -> Batch:
        """Texts in which ``[MASK]`` stands for what is to be guessed; DataError for one without."""
        for text in texts:
            if GAP not in text:
                raise DataError(f"the text {text[:40]!r} has no {GAP}: write it where a unit is to be guessed")
        inputs, lengths_B = pad([self.vocabulary.encode_gaps(text) for text in texts])
        targets = torch.full_like(inputs, IGNORE)
        return Batch(inputs=inputs, lengths_B=lengths_B, targets=targets, rows_B=torch.arange(len(texts)))

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"text", "gaps"}`` of each row: the text with its gaps filled, and the likeliest units of each gap."""
        found = []
        for row, length in enumerate(batch.lengths_B.tolist()):
            ids_T = batch.inputs[row, :length].clone()
            places = (ids_T == self.vocabulary.mask).nonzero().flatten()
            best = outputs[row, places].float().softmax(-1).topk(min(CANDIDATES, outputs.shape[-1]))
            ids_T[places] = best.indices[:, 0].to(ids_T.dtype)
            gaps = [
                [
                    {"unit": self.vocabulary.decode([unit]), "probability": share}
                    for unit, share in zip(units, shares, strict=True)
                ]
                for units, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]
            found.append({"text": self.vocabulary.decode(ids_T.tolist()), "gaps": gaps})
        return found

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "vocabulary": self.vocabulary.to_json(),
            "max_length": self.spec.max_length,
        }


def restore(artifacts: Mapping[str, Any]) -> MaskedPredictor:
    """The predictor that `MaskedPredictor.artifacts` described; DataError where something is missing."""
    try:
        vocabulary = vocabulary_from_json(artifacts["vocabulary"])
        return MaskedPredictor(_spec(str(artifacts["name"]), vocabulary, int(artifacts["max_length"])), vocabulary)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a masked language model ({error})") from error


class MaskedLanguageModeling(MaskedPredictor, RowTask):
    """Guess 15 % of the units of each text: of these 80 % are masked, 10 % replaced by any unit, 10 % left alone.

    In train they are drawn anew each epoch; in valid and test they stay the same. A text longer than `max_length`
    units gives several rows.
    """

    splits: Mapping[Split, Rows]

    def __init__(
        self,
        name: str,
        texts: UnlabelledTexts,
        settings: Mapping[str, Any],
        options: DataOptions,
        **fields: Any,
    ) -> None:
        """`options` say what share of train is trained on, and by whose vocabulary texts are read."""
        texts = texts.on_share(options)
        vocabulary, vocabulary_notes = make_vocabulary(texts.splits["train"], settings, options.borrowed)
        length = int(settings["max_length"])
        self.whole = {split: _rows(vocabulary.encode(part), length) for split, part in texts.splits.items()}
        empty = [split for split, rows in self.whole.items() if not rows]
        if empty:
            raise DataError(f"task {name!r}: its {empty[0]} split has no text: give more texts")
        spec = _spec(name, vocabulary, length, notes=(*texts.notes, *vocabulary_notes), **fields)
        super().__init__(spec, vocabulary)
        self.objective = TokenPrediction()
        # Streams of two numbers; train's draws take those of (seed, epoch, row).
        self.splits = {split: self._hide(rows, (number,)) for number, (split, rows) in enumerate(self.whole.items())}

    def train_rows(self, seed: int, epoch: int) -> ChangedRows:
        """Train's rows with units hidden by (seed, epoch, row)."""
        return ChangedRows(self.splits["train"], partial(self._hide_anew, stream=(seed, epoch)))

    def _hide_anew(self, batch: Batch, stream: tuple[int, ...]) -> Batch:
        """The same rows of train with other units hidden, drawn row by row: batch and shard do not matter."""
        numbers = batch.rows_B.tolist()
        rows = [self._draw(self.whole["train"][number], (*stream, number)) for number in numbers]
        inputs, _ = pad([inputs for inputs, _ in rows], length=batch.inputs.shape[1])
        targets, _ = pad([targets - IGNORE for _, targets in rows], length=batch.inputs.shape[1])
        targets = targets + IGNORE
        return replace(batch, inputs=inputs, targets=targets, scored_BT=targets != IGNORE)

    def _hide(self, rows: Sequence[np.ndarray], stream: tuple[int, ...]) -> Rows:
        drawn = [self._draw(ids, (*stream, number)) for number, ids in enumerate(rows)]
        return Rows(inputs=[inputs for inputs, _ in drawn], targets=[targets for _, targets in drawn])

    def _draw(self, ids_T: np.ndarray, stream: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets [T] of one row; at least one unit is to be guessed, unless none is known."""
        generator = np.random.default_rng(stream)
        known = np.flatnonzero(~self._spared[ids_T])
        count = min(max(round(_SHARE * len(ids_T)), 1), len(known))
        chosen = generator.permutation(known)[:count]
        fate = generator.random(count)
        others = generator.integers(len(SPECIALS), self.vocabulary.size, count)
        targets_T = np.full(len(ids_T), IGNORE, dtype=np.int64)
        targets_T[chosen] = ids_T[chosen]
        inputs_T = ids_T.copy()
        masked, replaced = fate < _MASKED, (fate >= _MASKED) & (fate < _MASKED + _REPLACED)
        inputs_T[chosen[masked]] = self.vocabulary.mask
        inputs_T[chosen[replaced]] = others[replaced]
        return inputs_T, targets_T

    @cached_property
    def _spared(self) -> np.ndarray:
        """Ids that are never to be guessed: unknown units, and those that stand for no text; bool [V]."""
        spared_V = np.zeros(self.vocabulary.size, dtype=bool)
        spared_V[[self.vocabulary.unknown, *self.vocabulary.special]] = True
        return spared_V

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent unit, and counts of the units between a left and a right neighbour, with back-off."""
        start = perf_counter()
        trivial = self._neighbours.frequencies(self._places(split))
        trivial_seconds = perf_counter() - start
        start = perf_counter()
        strong = self._neighbours.between(self._places(split))
        seconds = self._neighbours.seconds + perf_counter() - start
        return [
            self.baseline("most frequent", "trivial", self._items(trivial, split), seconds=trivial_seconds),
            self.baseline(
                "neighbour counts",
                "strong",
                self._items(strong, split),
                seconds=seconds,
                parameters=self._neighbours.parameters,
            ),
        ]

    def step_names(self, batch: Batch) -> tuple[list[str], list[str]]:
        """The units and gaps of a row, and what stood in the gaps."""
        hidden = batch.targets[batch.targets != IGNORE].tolist()
        ids = batch.inputs[0].tolist()
        read = [
            GAP if i == self.vocabulary.mask else name
            for i, name in zip(ids, unit_names(self.vocabulary, ids), strict=True)
        ]
        return read, unit_names(self.vocabulary, hidden)

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """A row with its gaps, what stood in them, and the model's guesses."""
        rows = []
        decode, mask = self.vocabulary.decode, self.vocabulary.mask
        for row, length in enumerate(batch.lengths_B.tolist()[:limit]):
            scored = (batch.targets[row, :length] != IGNORE).nonzero().flatten()
            ids = batch.inputs[row, :length].tolist()
            rows.append(
                {
                    "input": " ".join(GAP if i == mask else decode([i]) for i in ids),
                    "target": " ".join(decode([i]) for i in batch.targets[row, scored].tolist()),
                    "prediction": " ".join(decode([i]) for i in outputs[row, scored].argmax(-1).tolist()),
                }
            )
        return rows

    @cached_property
    def _neighbours(self) -> NeighbourModel:
        train, valid = self.whole["train"], self._places("valid")
        return NeighbourModel(train, valid, spared_V=self._spared, mask=self.vocabulary.mask)

    def _places(self, split: Split) -> Places:
        """The scored units of a split, each between its neighbours as a model sees them."""
        rows, edge = self.splits[split], self.vocabulary.size
        found = []
        for inputs_T, targets_T in zip(rows.inputs, rows.targets, strict=True):
            around = np.concatenate([[edge], inputs_T, [edge]])
            scored = np.flatnonzero(targets_T != IGNORE)
            found.append(np.stack([around[scored], around[scored + 1], around[scored + 2], targets_T[scored]]))
        return Places(*np.concatenate(found, axis=1))

    def _items(self, scored: tuple[np.ndarray, np.ndarray], split: Split) -> Sums:
        """Losses and hits [N] of the scored units as statistics of the rows."""
        rows = self.splits[split]
        counts = np.array([(targets_T != IGNORE).sum() for targets_T in rows.targets])
        row_N = np.repeat(np.arange(len(rows)), counts)
        losses, hits = (np.bincount(row_N, weights=values, minlength=len(rows)) for values in scored)
        lengths = rows.lengths_N.astype(np.float64)
        return {"loss": losses, "count": counts.astype(np.float64), "correct": hits, "length": lengths}


def own(options: DataOptions) -> MaskedLanguageModeling:
    """The user's own texts: a line each of a text file, or a column of a table."""
    settings = read_text_settings(
        FAMILY, options, SETTINGS, reads=("data", "train", "valid", "test", "text", *_READS)
    )
    return MaskedLanguageModeling(FAMILY, own_texts(options), settings, options)


def python_docs(options: DataOptions) -> MaskedLanguageModeling:
    """Paragraphs of the Python language reference that the interpreter carries (`pydoc_data.topics`)."""
    name = f"{FAMILY}/python-docs"
    settings = read_text_settings(name, options, SETTINGS, reads=_READS)
    texts = python_paragraphs(options.split_seed)
    described = "hidden words of the Python language reference"
    return MaskedLanguageModeling(name, texts, settings, options, description=described, embedded=True)


def financial_news(options: DataOptions) -> MaskedLanguageModeling:
    """Financial news without labels: sentences of Financial PhraseBank and headlines of SEntFiN.

    What is, or nearly is, a test sentence of ``sentiment/financial-phrasebank`` is left out, for the `splits` splits
    from `split_seed` on.
    """
    name = f"{FAMILY}/financial-news"
    known = {**SETTINGS, "minimum_count": Whole(3), **NEWS_SETTINGS}
    settings = read_text_settings(name, options, known, reads=_READS)
    texts = financial_news_texts(options.split_seed, settings["splits"], settings["agreement"])
    described = "hidden words of financial news"
    return MaskedLanguageModeling(name, texts, settings, options, description=described)


def _rows(texts: Sequence[Sequence[int]], length: int) -> list[np.ndarray]:
    """Rows of at most `length` units, in order."""
    return [
        np.array(text[start : start + length], dtype=np.int64)
        for text in texts
        for start in range(0, len(text), length)
    ]


def _spec(name: str, vocabulary: Vocabulary, length: int, **fields: Any) -> TaskSpec:
    spec = TaskSpec(
        name=name,
        family=FAMILY,
        description="your own texts, some of their words hidden",
        inputs=Tokens(vocabulary=vocabulary.size),
        outputs=PerStep(size=vocabulary.size),
        objective="masked-language-modeling",
        metric="loss",
        further_metrics=("accuracy",),
        higher_is_better=False,
        causal=False,
        margin=0.02,
        margin_kind="relative",
        batch_rows=16,
        batch_tokens=2000,
        max_length=length,
        embedded=False,
        unit=unit_of(vocabulary),
        defaults=DEFAULTS,
        recipes=RECIPES,
    )
    return replace(spec, **fields)


DEFAULTS: Mapping[str, Any] = {"layers": 2, "width": 128, "dropout": 0.1, "embedding_std": 0.1}
RECIPES: Mapping[str, Mapping[str, Any]] = {}
