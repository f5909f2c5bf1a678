"""Language modelling: the next character or subword of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crossover.data.catalogue import locate
from crossover.data.encoding import read_text
from crossover.data.options import DataOptions
from crossover.data.text import UNKNOWN, Borrowed, Vocabulary, vocabulary_from_json
from crossover.errors import ConfigError, DataError
from crossover.models.ports import PerStep, Tokens
from crossover.tasks.base import Baseline, Batch, Reference, Split, TaskSpec, Write
from crossover.tasks.language.blocks import LanguageObjective, TextBlocks, cut_text
from crossover.tasks.language.ngrams import KneserNey
from crossover.tasks.options import Choice, Setting, Whole
from crossover.tasks.rows import RowTask
from crossover.tasks.text.reader import make_vocabulary, read_text_settings, unit_of

FAMILY = "language-modeling"
SETTINGS: dict[str, Setting] = {
    "units": Choice(("characters", "subwords"), "characters"),
    "vocabulary": Whole(4096, 300),
    "block": Whole(128, 2),
    "carry": Choice(("false", "true", "able"), "false"),
}
_CARRY: dict[str, Literal["none", "able", "all"]] = {"false": "none", "true": "all", "able": "able"}
_RECIPES: dict[str, dict[str, Any]] = {
    "transformer": {"lr": 3e-3},
    "lstm": {"lr": 6e-3},
    "gru": {"lr": 6e-3},
    "mingru": {"lr": 6e-3},
}
"""Chosen on the validation text of python-docs, 60 s each; so were batches of 8 rows: of 32, a run sees too few."""
CARRIED = "The text is read in order, and the state of a model goes on from block to block where it has a fixed size."
_PASSAGES = (0.1, 0.5, 0.9)
"""Where in a split the passages stand that models go on with."""
_SHARES = (0.9, 0.95)
"""Where valid and test begin in a text that comes without splits."""


class TextPredictor:
    """Encodes prompts and decodes continuations; all that using a language model needs."""

    spec: TaskSpec
    vocabulary: Vocabulary

    def __init__(self, spec: TaskSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary

    def encode(self, texts: list[str]) -> Batch:
        """Prompts to a batch, one row each; an empty prompt is a DataError."""
        if not all(texts):
            raise DataError("a prompt is empty: give some text to go on from")
        ids = [torch.tensor(row) for row in self.vocabulary.encode(texts)]
        lengths_B = torch.tensor([len(row) for row in ids])
        inputs = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        return Batch(inputs=inputs, lengths_B=lengths_B, targets=inputs, rows_B=torch.arange(len(ids)))

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The most likely next token of each row, with its probability."""
        last_B = (batch.lengths_B - 1).clamp(min=0)
        logits_BV = outputs[torch.arange(batch.size), last_B]
        best = logits_BV.softmax(-1).max(-1)
        return [
            {"next": self.vocabulary.decode([int(index)]), "probability": float(share)}
            for index, share in zip(best.indices, best.values, strict=True)
        ]

    def artifacts(self) -> dict[str, Any]:
        """Vocabulary and name."""
        return {"family": FAMILY, "name": self.spec.name, "vocabulary": self.vocabulary.to_json()}


def restore(artifacts: Mapping[str, Any]) -> TextPredictor:
    """The predictor that `TextPredictor.artifacts` described; DataError where something is missing."""
    try:
        vocabulary = vocabulary_from_json(artifacts["vocabulary"])
        return TextPredictor(_spec(str(artifacts["name"]), vocabulary, block=128, unit="tokens"), vocabulary)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a language model ({error})") from error


class LanguageModeling(TextPredictor, RowTask):
    """The next token at every step of a block; test and valid blocks cover their split once, without overlap."""

    splits: Mapping[Split, TextBlocks]
    objective: LanguageObjective

    def __init__(
        self,
        name: str,
        texts: Mapping[Split, str],
        settings: Mapping[str, Any],
        borrowed: Borrowed | None = None,
        **fields: Any,
    ) -> None:
        words = settings["units"] == "subwords"
        pieces = re.findall(r"\S+\s*|\s+", texts["train"]) if words else [texts["train"]]
        vocabulary, vocabulary_notes = make_vocabulary(pieces, settings, borrowed)
        units, block = unit_of(vocabulary), int(settings["block"])
        notes = [*fields.pop("notes", ()), *vocabulary_notes]
        splits: dict[Split, TextBlocks] = {}
        for split, text in texts.items():
            blocks = cut_text(text, vocabulary, block)
            if len(blocks.tokens) < block + 1:
                raise DataError(
                    f"task {name!r}: its {split} text has {len(blocks.tokens)} tokens, fewer than block + 1 = "
                    f"{block + 1}: give a longer text or a smaller --set task.block"
                )
            splits[split] = blocks
            unknown = int((blocks.tokens == UNKNOWN).sum())
            if unknown and vocabulary.kind != "foreign" and split != "train":
                notes.append(f"{unknown} {units} of {split} do not occur in train and count as unknown.")
        self.splits = splits
        self.objective = LanguageObjective(block)
        if settings["carry"] != "false":
            notes.append(CARRIED)
        fields = {"carry": _CARRY[settings["carry"]], "notes": tuple(notes), **fields}
        super().__init__(_spec(name, vocabulary, block=block, unit=units, **fields), vocabulary)

    def train_rows(self, seed: int, epoch: int) -> TextBlocks:
        """Train cut at an offset of its own in every epoch, so that blocks differ."""
        blocks = self.splits["train"]
        offset = int(np.random.default_rng([seed, epoch]).integers(blocks.block))
        return replace(blocks, offset=min(offset, max(len(blocks.tokens) - blocks.block - 1, 0)))

    def baselines(self, split: Split) -> list[Baseline]:
        """Unigram frequencies, and a 5-gram with Kneser-Ney smoothing; both see the text before each token."""
        return [self._ngram("unigram", "trivial", split, 1), self._ngram("5-gram", "strong", split, 5)]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The start of a block, the text that follows it, and the most likely token at each of those steps."""
        predicted_BT = outputs.argmax(-1)
        shown = []
        for row in range(min(limit, batch.size)):
            length = int(batch.lengths_B[row])
            half = length // 2
            shown.append(
                {
                    "input": self.vocabulary.decode(batch.inputs[row, :half].tolist()),
                    "target": self.vocabulary.decode(batch.targets[row, half:length].tolist()),
                    "prediction": self.vocabulary.decode(predicted_BT[row, half:length].tolist()),
                }
            )
        return shown

    def passages(self, split: Split, write: Write) -> list[dict[str, str]]:
        """An opening a quarter of a block long at three places, and the rest of the block: real, and as written."""
        blocks, decode = self.splits[split], self.vocabulary.decode
        opening = max(blocks.block // 4, 1)
        found = []
        for share in _PASSAGES:
            start = int(blocks.starts_N[int(share * (len(blocks) - 1))])
            given, real = np.split(blocks.tokens[start : start + blocks.block], [opening])
            written = write(given.tolist(), len(real))
            found.append(
                {"input": decode(given.tolist()), "target": decode(real.tolist()), "prediction": decode(written)}
            )
        return found

    def _ngram(self, name: str, kind: Literal["trivial", "strong"], split: Split, order: int) -> Baseline:
        started = perf_counter()
        blocks, train = self.splits[split], self.splits["train"].tokens
        size = self.vocabulary.size
        # The first token of a split is no target of its first block: it belongs to the past.
        past = np.concatenate([train, blocks.tokens[:1]])
        model = KneserNey(past, blocks.tokens[1:], vocabulary=size, order=order)
        losses = -model.log_probabilities()
        ends = blocks.starts_N
        items = {
            "loss": np.add.reduceat(losses, ends),
            "count": blocks.lengths_N.astype(np.float64),
            "correct": np.full(len(blocks), np.nan),
            "length": blocks.lengths_N.astype(np.float64),
            "characters": np.add.reduceat(blocks.characters[1:].astype(np.float64), ends),
            "words": np.add.reduceat(blocks.words[1:].astype(np.float64), ends),
            **self.objective.by_position(_padded(losses, blocks), blocks.lengths_N),
        }
        return self.baseline(name, kind, items, seconds=perf_counter() - started, parameters=model.parameters)


def python_docs(options: DataOptions) -> LanguageModeling:
    """The text of the Python language reference that the interpreter carries (`pydoc_data.topics`)."""
    from pydoc_data.topics import topics

    name = f"{FAMILY}/python-docs"
    settings = read_text_settings(name, options, SETTINGS)
    # Topics, not positions, are split: neighbouring topics repeat each other's sentences.
    names = sorted(topics)
    order = np.random.default_rng([options.split_seed, 7]).permutation(len(names))
    cuts = [round(share * len(names)) for share in (0.8, 0.9)]
    parts = zip(("train", "valid", "test"), np.split(order, cuts), strict=True)
    texts: dict[Split, str] = {split: "\n".join(topics[names[i]] for i in part) for split, part in parts}  # type: ignore[misc]
    return LanguageModeling(
        name,
        texts,
        settings,
        options.borrowed,
        description="the Python language reference, topic by topic",
        embedded=True,
        notes=(f"{len(names)} topics, split by topic.",),
    )


def tinyshakespeare(options: DataOptions) -> LanguageModeling:
    """Tiny Shakespeare; test is the last 10 % (what nanoGPT calls validation), valid the 2 % before it."""
    name = f"{FAMILY}/tinyshakespeare"
    settings = read_text_settings(name, options, {**SETTINGS, "block": Whole(64, 2)})
    path = locate(name)
    text = read_text(path / "input.txt" if path.is_dir() else path).text
    return LanguageModeling(
        name,
        _split_text(text, (0.88, 0.9)),
        settings,
        options.borrowed,
        description="the plays of Shakespeare, character by character",
        embedded=False,
        batch_rows=12,
        budget="2000steps",
        # Chosen on validation: after 500 steps nanoGPT's rate of 1e-3 is 0.2 nats behind.
        recipes={
            **{model: {"lr": 5e-3} for model in ("gpt", "transformer", "lstm", "gru", "mingru")},
            **{model: {"lr": 4e-3} for model in ("transformer-xl", "lstm+xl-attention")},
        },
        references=(
            Reference(
                name="nanoGPT, 4 layers x 128",
                metric="nats_per_character",
                score=1.88,
                source="nanoGPT README",
                note="20 random batches of its validation split",
            ),
        ),
    )


def wikitext2(options: DataOptions) -> LanguageModeling:
    """The validation text of WikiText-2 to train on and its test text to test on (its train file is not used)."""
    name = f"{FAMILY}/wikitext2"
    settings = read_text_settings(name, options, SETTINGS)
    folder = locate(name)
    train = read_text(folder / "valid.txt").text
    cut = round(0.95 * len(train))
    texts: dict[Split, str] = {
        "train": train[:cut],
        "valid": train[cut:],
        "test": read_text(folder / "test.txt").text,
    }
    return LanguageModeling(name, texts, settings, options.borrowed, description="articles of Wikipedia")


def own(options: DataOptions) -> LanguageModeling:
    """The user's own text: one file cut 90/5/5 in order, or a file for each split."""
    name = FAMILY
    settings = read_text_settings(
        name, options, SETTINGS, reads=("data", "train", "valid", "test", "split_seed", "borrowed")
    )
    files = (options.train, options.valid, options.test)
    notes: tuple[str, ...]
    if options.data is not None and not any(files):
        decoded = read_text(Path(options.data))
        texts, notes = _split_text(decoded.text, _SHARES), decoded.notes
    elif options.data is None and options.train and options.test:
        read = {"train": read_text(options.train), "test": read_text(options.test)}
        notes = (*read["train"].notes, *read["test"].notes)
        whole = read["train"].text
        cut = round(0.95 * len(whole))
        given = read_text(options.valid).text if options.valid else None
        texts = {"train": whole if given else whole[:cut], "valid": given or whole[cut:], "test": read["test"].text}
    else:
        raise ConfigError(f"task {name!r} needs a text: give --data FILE, or --train FILE and --test FILE")
    described = "your own text"
    return LanguageModeling(name, texts, settings, options.borrowed, description=described, notes=notes)


def _spec(name: str, vocabulary: Vocabulary, *, block: int, unit: str, **fields: Any) -> TaskSpec:
    return TaskSpec(
        **{
            "name": name,
            "family": FAMILY,
            "description": "the next token of a text",
            "inputs": Tokens(vocabulary=vocabulary.size),
            "outputs": PerStep(size=vocabulary.size),
            "objective": "language-modeling",
            "metric": "bits_per_character",
            "further_metrics": ("nats_per_character", "perplexity_per_word"),
            "higher_is_better": False,
            "causal": True,
            "margin": 0.02,
            "margin_kind": "relative",
            "unit": unit,
            "max_length": block,
            "embedded": False,
            "item_block": 8,
            "batch_rows": 8,
            "recipes": _RECIPES,
            "defaults": {"width": 128, "layers": 4, "dropout": 0.0},
            **fields,
        }
    )


def _padded(values: np.ndarray, blocks: TextBlocks) -> np.ndarray:
    """A value of every step as [N, T], zero after the end of the last block."""
    return np.pad(values, (0, len(blocks) * blocks.block - len(values))).reshape(len(blocks), blocks.block)


def _split_text(text: str, shares: Sequence[float]) -> dict[Split, str]:
    cuts = [round(share * len(text)) for share in shares]
    return {"train": text[: cuts[0]], "valid": text[cuts[0] : cuts[1]], "test": text[cuts[1] :]}
