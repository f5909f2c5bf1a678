"""Sentiment data sets: headlines of our own grammar, Financial PhraseBank, SEntFiN."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from crossover.data.catalogue import locate
from crossover.data.encoding import read_text
from crossover.data.options import DataOptions
from crossover.data.tables import read_table
from crossover.errors import DataError
from crossover.tasks.base import Reference, Split
from crossover.tasks.options import Choice, Whole
from crossover.tasks.text.classification import TEXT_SETTINGS, TextClassification
from crossover.tasks.text.files import Examples
from crossover.tasks.text.headlines import LABELS, generate_headlines
from crossover.tasks.text.reader import read_text_settings
from crossover.tasks.text.sources import LabelledTexts, Parts, as_classes, count_duplicates, split_texts

HEADLINE_SIZES: dict[Split, int] = {"train": 4000, "valid": 500, "test": 1000}

HEADLINE_RECIPES: dict[str, dict[str, Any]] = {
    "lstm": {"lr": 0.01},
    "gru": {"lr": 0.01},
    "transformer": {"lr": 0.006, "layers": 2, "feed_forward_width": 128},
}
"""Chosen on the validation split, 400 steps each."""

NEWS_RECIPES: dict[str, dict[str, Any]] = {
    "*": {"average": 0.995, "final_rate": 1.0, "evaluations": 20, "weight_decay": 0.1},
    "lstm": {"lr": 0.004, "feed_forward": "none"},
    "gru": {"lr": 0.004, "feed_forward": "none"},
    "transformer": {"lr": 0.001, "warmup": 0.1, "layers": 2, "dropout": 0.5, "feed_forward_width": 256},
}
"""Chosen on the validation splits of Financial PhraseBank, 1,000 to 1,200 steps each.

A constant rate with averaged weights gave one to two points more than a falling rate, and a wide layer without
feed-forward two more than a narrow one with it.
"""

NEWS_DEFAULTS: dict[str, Any] = {"layers": 1, "width": 256, "dropout": 0.6, "embedding_std": 0.05}

NEWS_SETTINGS = {**TEXT_SETTINGS, "minimum_count": Whole(3)}

AGREEMENT_FILES = {
    "all": "Sentences_AllAgree.txt",
    "75": "Sentences_75Agree.txt",
    "66": "Sentences_66Agree.txt",
    "50": "Sentences_50Agree.txt",
}

_FINBERT = "FinBERT paper, arXiv 1908.10063, Table 2"
_PRETRAINED = "pre-trained on other text; another split"
PHRASEBANK_REFERENCES = tuple(
    Reference(name=name, metric=metric, score=score, source=_FINBERT, note=note)
    for name, accuracy, f1, note in (
        ("BiLSTM + GloVe", 0.81, 0.74, "pre-trained word vectors; another split"),
        ("LSTM + ELMo", 0.84, 0.77, _PRETRAINED),
        ("ULMFiT", 0.93, 0.91, _PRETRAINED),
        ("FinBERT", 0.97, 0.95, _PRETRAINED),
    )
    for metric, score in (("accuracy", accuracy), ("macro_f1", f1))
)
"""Published for the sentences on which all annotators agree."""

_READS = ("split_seed", "train_share", "deduplicate", "borrowed")
_POLARITY = re.compile(r"'\s*:\s*'(negative|neutral|positive)'")


def headlines(options: DataOptions) -> TextClassification:
    """Generated headlines in English and Chinese; `split_seed` is the seed of the generator."""
    name = "sentiment/headlines"
    settings = read_text_settings(name, options, TEXT_SETTINGS, reads=("split_seed", "train_share", "borrowed"))
    drawn = iter(generate_headlines(sum(HEADLINE_SIZES.values()), seed=options.split_seed))
    parts: Parts = {}
    for split, size in HEADLINE_SIZES.items():
        rows = [next(drawn) for _ in range(size)]
        parts[split] = Examples([row.text for row in rows], [row.label for row in rows], [""] * size)
    return TextClassification(
        name,
        as_classes(parts, labels=LABELS),
        settings,
        options,
        description="generated headlines in English and Chinese that need word order, negation and numbers",
        embedded=True,
        budget="5s",
        batch_rows=64,
        defaults={"layers": 1, "width": 64, "dropout": 0.0},
        recipes=HEADLINE_RECIPES,
    )


def financial_phrasebank(options: DataOptions) -> TextClassification:
    """Financial PhraseBank (Malo et al. 2014), split 70/10/20 by `split_seed`, stratified."""
    name = "sentiment/financial-phrasebank"
    known = {**NEWS_SETTINGS, "agreement": Choice(tuple(AGREEMENT_FILES), "all")}
    settings = read_text_settings(name, options, known, reads=_READS)
    agreement = settings["agreement"]
    examples, notes = read_phrasebank(locate(name) / AGREEMENT_FILES[agreement])
    return TextClassification(
        name,
        _split(examples, options, notes),
        settings,
        options,
        description="sentences of English financial news by their sentiment for an investor",
        budget="60s",
        batch_tokens=800,
        defaults=NEWS_DEFAULTS,
        recipes=NEWS_RECIPES,
        references=PHRASEBANK_REFERENCES if agreement == "all" else (),
    )


def sentfin(options: DataOptions) -> TextClassification:
    """SEntFiN (Sinha et al. 2022), the headlines with one polarity, split 70/10/20 by `split_seed`, stratified."""
    name = "sentiment/sentfin"
    settings = read_text_settings(name, options, NEWS_SETTINGS, reads=_READS)
    examples, notes = read_sentfin(locate(name))
    return TextClassification(
        name,
        _split(examples, options, notes),
        settings,
        options,
        description="headlines of English financial news by their sentiment towards the companies named",
        budget="60s",
        batch_tokens=800,
        defaults=NEWS_DEFAULTS,
        recipes=NEWS_RECIPES,
    )


def _split(examples: Examples, options: DataOptions, notes: tuple[str, ...]) -> LabelledTexts:
    parts, duplicate_notes = count_duplicates(split_texts(examples, options.split_seed), remove=options.deduplicate)
    return as_classes(parts, labels=LABELS, notes=notes + duplicate_notes)


def read_phrasebank(path: Path) -> tuple[Examples, tuple[str, ...]]:
    """Lines ``sentence@label``, cut at the last ``@``; a line without a known label is a DataError."""
    decoded = read_text(path)
    texts, labels = [], []
    for number, line in enumerate(decoded.text.splitlines(), start=1):
        if not line.strip():
            continue
        text, _, label = line.rpartition("@")
        if label.strip() not in LABELS or not text.strip():
            raise DataError(f"line {number} of {path} does not end in @negative, @neutral or @positive: get it again")
        texts.append(text.strip())
        labels.append(label.strip())
    return Examples(texts, labels, [""] * len(texts)), decoded.notes


def read_sentfin(path: Path) -> tuple[Examples, tuple[str, ...]]:
    """Headlines whose companies all have the same polarity.

    `Decisions` looks like a dictionary and often is none, for want of escaped apostrophes: polarities are what
    stands in quotes after a colon.
    """
    table = read_table(path, columns=("Title", "Decisions"))
    texts, labels, mixed = [], [], 0
    for title, decisions in table.frame.select("Title", "Decisions").iter_rows():
        polarities = set(_POLARITY.findall(decisions))
        if len(polarities) == 1:
            texts.append(title.strip())
            labels.append(polarities.pop())
        else:
            mixed += 1
    note = f"{mixed} headlines whose companies differ in polarity were left out."
    return Examples(texts, labels, [""] * len(texts)), (*table.notes, note)
