"""A text as blocks of steps that predict the next token, and what is scored of them.

Shape suffixes: N blocks of a split, B those of a batch, T steps of a block, P parts of a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.data.text import Vocabulary
from crossover.tasks.base import Batch, Sums
from crossover.tasks.objectives import IGNORE, TokenPrediction


@dataclass(frozen=True, kw_only=True)
class TextBlocks:
    """Blocks of `block` steps cut from one long sequence of tokens, each predicting its next token.

    `characters_N` and `words_N` count the characters and words that each token stands for, so that a loss per token
    can be told per character and per word whatever the vocabulary. The last block may be shorter.
    """

    tokens: np.ndarray
    characters: np.ndarray
    words: np.ndarray
    block: int
    offset: int = 0

    @cached_property
    def starts_N(self) -> np.ndarray:
        """First step of each block."""
        return np.arange(self.offset, len(self.tokens) - 1, self.block)

    def __len__(self) -> int:
        return len(self.starts_N)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Steps of each block."""
        return np.minimum(self.block, len(self.tokens) - 1 - self.starts_N)

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these blocks, padded to the longest."""
        lengths_B = self.lengths_N[rows_B]
        steps = self.starts_N[rows_B][:, None] + np.arange(int(lengths_B.max(initial=1)))
        real = np.arange(steps.shape[1]) < lengths_B[:, None]
        steps = np.minimum(steps, len(self.tokens) - 2)
        targets = np.where(real, self.tokens[steps + 1], -100)
        return Batch(
            inputs=torch.from_numpy(np.where(real, self.tokens[steps], 0)),
            lengths_B=torch.from_numpy(lengths_B),
            targets=torch.from_numpy(targets),
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            extra={
                "characters": torch.from_numpy((self.characters[steps + 1] * real).sum(1)),
                "words": torch.from_numpy((self.words[steps + 1] * real).sum(1)),
            },
        )


class LanguageObjective(TokenPrediction):
    """`TokenPrediction` told per character and per word as well, and by the position in a block of `block` steps.

    Positions are told in parts that double: the first step, the second, the next two, the next four, … so that one
    sees what the first steps lack where no state is carried into a block.
    """

    def __init__(self, block: int) -> None:
        self.edges_P = np.append(2 ** np.arange(max(block - 1, 1).bit_length()), block)
        self.edges_P = np.concatenate([[0], self.edges_P])

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """The usual statistics, the characters and words that the targets stand for, the losses by position."""
        losses_BT = F.cross_entropy(outputs.transpose(1, 2), batch.targets, ignore_index=IGNORE, reduction="none")
        return {
            **super().metrics(outputs, batch),
            "characters": batch.extra["characters"].numpy(force=True).astype(np.float64),
            "words": batch.extra["words"].numpy(force=True).astype(np.float64),
            **self.by_position(losses_BT.numpy(force=True), batch.lengths_B.numpy(force=True)),
        }

    def by_position(self, losses_BT: np.ndarray, lengths_B: np.ndarray) -> Sums:
        """Summed losses and the number of steps in each part of the blocks, [B, P]; all of `lengths_B` count."""
        real_BT = np.arange(losses_BT.shape[1]) < lengths_B[:, None]
        parts = [slice(start, stop) for start, stop in zip(self.edges_P[:-1], self.edges_P[1:], strict=True)]
        losses_BT = np.where(real_BT, losses_BT, 0.0).astype(np.float64)
        return {
            "loss_by_position": np.stack([losses_BT[:, part].sum(1) for part in parts], axis=1),
            "count_by_position": np.stack([real_BT[:, part].sum(1) for part in parts], axis=1).astype(np.float64),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Nats and bits per character, perplexity per word, loss per token, accuracy."""
        nats = float(sums["loss"]) / max(float(sums["characters"]), 1e-12)
        per_word = float(sums["loss"]) / max(float(sums["words"]), 1e-12)
        return {
            **super().summarise(sums),
            "nats_per_character": nats,
            "bits_per_character": nats / math.log(2),
            "perplexity_per_word": math.exp(min(per_word, 700.0)),
        }

    def details(self, items: Sums) -> dict[str, Any]:
        """Loss per token by the position in the block."""
        losses_P, counts_P = items["loss_by_position"].sum(0), items["count_by_position"].sum(0)
        return {
            "by_position": [
                {"from": int(start) + 1, "to": int(stop), "count": int(count), "loss": float(loss / count)}
                for start, stop, loss, count in zip(
                    self.edges_P[:-1], self.edges_P[1:], losses_P, counts_P, strict=True
                )
                if count
            ]
        }


def cut_text(text: str, vocabulary: Vocabulary, block: int) -> TextBlocks:
    """The blocks of a text."""
    tokens = np.array(vocabulary.encode([text])[0], dtype=np.int64)
    characters, words = _pieces(text, tokens, vocabulary)
    return TextBlocks(tokens=tokens, characters=characters, words=words, block=block)


def _pieces(text: str, tokens: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Characters of each token, and 1 where a word ends in it (its share of the text's words otherwise)."""
    if vocabulary.kind == "characters":
        space = np.array([character.isspace() for character in text])
        ends = np.append(~space[:-1] & space[1:], not space[-1]) if len(space) else space
        return np.ones(len(tokens), dtype=np.int64), ends.astype(np.float64)
    # A byte-level token may be part of a character: characters and words are spread evenly over the tokens.
    share = len(text) / max(len(tokens), 1)
    return np.full(len(tokens), share), np.full(len(tokens), len(text.split()) / max(len(tokens), 1))
