"""The objective against its definition: a sum over every path of a short row."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
import torch

from crossover.tasks.base import Batch
from crossover.tasks.speech.ctc import BLANK, CTC, Symbols, best_path, needed_steps, padded_targets

WORDS = Symbols("words", ["a", "b"])


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """The definition: repetitions joined, then blanks left out."""
    return tuple(symbol for symbol, _ in groupby(path) if symbol != BLANK)


def batch_of(texts: list[str], steps: list[int], time: int) -> Batch:
    return Batch(
        inputs=torch.zeros(len(texts), time, 1),
        lengths_B=torch.tensor(steps),
        targets=padded_targets([WORDS.encode(text) for text in texts]),
        rows_B=torch.arange(len(texts)),
        extra={"text": torch.arange(len(texts))},
    )


def test_the_loss_is_that_of_all_paths_that_say_the_target() -> None:
    texts = ["a", "a b", "b b", ""]
    outputs = torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = [4, 3, 4, 2]
    ours = CTC(WORDS, texts).loss(outputs, batch_of(texts, steps, 4))
    shares = outputs.softmax(-1).numpy()
    expected = 0.0
    for row, (text, length) in enumerate(zip(texts, steps, strict=True)):
        target = tuple(WORDS.encode(text).tolist())
        paths = (path for path in product(range(3), repeat=length) if collapsed(path) == target)
        expected -= np.log(sum(np.prod([shares[row, t, s] for t, s in enumerate(path)]) for path in paths))
    assert float(ours) == pytest.approx(expected)


def test_greedy_is_the_likeliest_path_by_definition() -> None:
    outputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    assert tuple(best_path(outputs)[0]) == collapsed(tuple(outputs.argmax(-1).tolist()))


@pytest.mark.parametrize("cut", range(1, 12))
def test_greedy_in_chunks_is_greedy_of_the_whole(cut: int) -> None:
    outputs = torch.randn(12, 3, generator=torch.Generator().manual_seed(2))
    first, last = best_path(outputs[:cut])
    assert first + best_path(outputs[cut:], last)[0] == best_path(outputs)[0]


def test_a_row_with_too_few_steps_counts_as_zero() -> None:
    assert needed_steps(np.array([1, 1, 2])) == 4
    outputs = torch.randn(1, 3, 3).requires_grad_()
    loss = CTC(WORDS, ["a a b"]).loss(outputs, batch_of(["a a b"], [3], 3))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert float(loss.detach()) == 0
    assert bool(gradient.isfinite().all())


def test_what_is_written_is_scored_against_the_transcript_not_against_what_can_be_written() -> None:
    objective = CTC(WORDS, ["a c"])
    outputs = torch.nn.functional.one_hot(torch.tensor([[1, 0]]), 3) * 9.0
    items = objective.metrics(outputs, batch_of(["a"], [2], 2))
    assert items["word_errors"].tolist() == [[0, 1, 0]]


def test_characters_are_joined_and_their_spaces_made_one() -> None:
    letters = Symbols.of("characters", ["ab a"])
    assert letters.symbols == (" ", "a", "b")
    assert letters.decode(letters.encode("ab a").tolist()) == "ab a"
    assert letters.decode([1, 2, 1, 1, 3, 1]) == "a b"
    assert letters.unknown("abc") == 1


def test_details_tell_the_error_rate_by_words_said() -> None:
    objective = CTC(WORDS, ["a", "a b", "b b"])
    outputs = torch.nn.functional.one_hot(torch.tensor([[1, 0, 2]] * 3), 3) * 9.0
    items = objective.metrics(outputs, batch_of(["a", "a b", "b b"], [3, 3, 3], 3))
    told = objective.details(items)["by_length"]
    assert [(row["from"], row["count"], row["score"]) for row in told] == [(1, 1, 1.0), (2, 2, 0.25)]
