from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest
import torch

from crossover.tasks.base import Batch
from crossover.tasks.objectives import IGNORE
from crossover.tasks.questions import span_scores
from crossover.tasks.questions.span_scores import SpanAnswers, answer_scores


def test_the_example_of_the_docstring_holds():
    assert doctest.testmod(span_scores).attempted >= 1
    assert doctest.testmod(span_scores).failed == 0


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        # As SQuAD's script scores them: lower case, no punctuation, no articles, words by spaces.
        ("The Garden.", ["garden"], 1, 1),
        ("in the garden", ["garden"], 0, 2 / 3),
        ("a big red house", ["the red house", "barn"], 0, 0.8),
        ("mid-cap", ["midcap"], 1, 1),
        ("red red", ["red"], 0, 2 / 3),
        ("the", ["an"], 1, 1),
        ("", [""], 1, 1),
        ("", ["garden"], 0, 0),
        ("garden", [""], 0, 0),
        ("– garden", ["garden"], 0, 2 / 3),
        ("厨房", ["大厨房"], 0, 0.8),
        ("《红楼梦》。", ["红楼梦"], 1, 1),
        ("iPhone 6手机", ["iphone 6 手机"], 1, 1),
    ],
)
def test_answers_are_scored_as_squad_scores_them(answer: str, references: list[str], exact: float, f1: float):
    assert answer_scores(answer, references) == (exact, pytest.approx(f1))


def batch(lengths: list[int], firsts: list[int], targets: list[tuple[int, int]] | None = None) -> Batch:
    """Rows of so many steps whose context begins at `firsts`; step t of it is the t-th letter of the alphabet."""
    time = max(lengths)
    part_BT = torch.zeros(len(lengths), time, dtype=torch.int64)
    places_BT2 = torch.zeros(len(lengths), time, 2, dtype=torch.int64)
    for row, (length, first) in enumerate(zip(lengths, firsts, strict=True)):
        part_BT[row, first:length] = 1
        steps = torch.arange(length - first)
        places_BT2[row, first:length] = torch.stack([steps, steps + 1], 1)
    alphabet = torch.tensor([list(range(ord("a"), ord("a") + time))] * len(lengths))
    return Batch(
        inputs=torch.ones(len(lengths), time, dtype=torch.int64),
        lengths_B=torch.tensor(lengths),
        targets=torch.tensor(targets or [(IGNORE, IGNORE)] * len(lengths)),
        rows_B=torch.arange(len(lengths)),
        features={"part": part_BT, "match": torch.zeros_like(part_BT)},
        extra={"context": alphabet, "places": places_BT2, "question": torch.arange(len(lengths))},
    )


@pytest.mark.parametrize("no_answer", [False, True])
@pytest.mark.parametrize("longest", [1, 3, 50])
def test_the_best_span_is_the_best_of_all_admissible_ones(no_answer: bool, longest: int):
    given = batch([9, 6, 4], [3, 5, 2])
    objective = SpanAnswers([("",)] * 3, no_answer=no_answer, longest=longest)
    for seed in range(20):
        outputs = torch.randn(3, 9, 2, generator=torch.Generator().manual_seed(seed))
        spans, scores = objective.best_spans(outputs, given)
        logs = objective.log_probabilities(outputs, given)
        for row, (length, first) in enumerate(((9, 3), (6, 5), (4, 2))):
            steps = range(first, length)
            admissible = [(s, e) for s, e in product(steps, steps) if s <= e < s + longest]
            admissible += [(0, 0)] if no_answer else []
            best = max(admissible, key=lambda span: float(logs[row, span[0], 0] + logs[row, span[1], 1]))
            assert tuple(spans[row]) == best
            assert scores[row] == pytest.approx(float(logs[row, best[0], 0] + logs[row, best[1], 1]))


def test_start_and_end_are_distributions_over_the_context():
    given = batch([9, 6, 4], [3, 5, 2])
    for no_answer in (False, True):
        objective = SpanAnswers([("",)] * 3, no_answer=no_answer, longest=5)
        shares = objective.log_probabilities(torch.randn(3, 9, 2), given).exp()
        assert torch.allclose(shares.sum(1), torch.ones(3, 2))
        admissible = (given.features["part"] == 1) | (no_answer & (torch.arange(9) == 0))
        assert torch.equal(shares[..., 0] > 0, admissible)


def test_a_sure_model_is_right_and_a_lost_answer_is_a_mistake_without_a_loss():
    given = batch([6, 6, 6], [2, 2, 2], [(3, 4), (0, 0), (IGNORE, IGNORE)])
    objective = SpanAnswers([("bc", "xyz"), ("",), ("d",)], no_answer=True, longest=5)
    outputs = torch.zeros(3, 6, 2)
    outputs[0, 3, 0] = outputs[0, 4, 1] = 50.0
    outputs[1, 0] = 50.0
    outputs[2, 2] = 50.0
    outputs.requires_grad_()
    scores = objective.summarise({k: v.sum(0) for k, v in objective.metrics(outputs, given).items()})
    assert scores == {
        "f1": pytest.approx(2 / 3),
        "exact_match": pytest.approx(2 / 3),
        "loss": pytest.approx(0, abs=1e-6),
    }
    assert objective.count(given) == 2
    loss = objective.loss(outputs, given, label_smoothing=0.1)
    assert torch.isfinite(loss) and torch.isfinite(torch.autograd.grad(loss, outputs)[0]).all()


def test_the_loss_is_the_mean_of_the_cross_entropies_of_start_and_end():
    given = batch([6], [2], [(3, 5)])
    outputs = torch.randn(1, 6, 2)
    starts, ends = outputs[0, 2:].log_softmax(0).unbind(-1)
    objective = SpanAnswers([("bcd",)], no_answer=False, longest=5)
    assert float(objective.loss(outputs, given)) == pytest.approx(-float(starts[1] + ends[3]) / 2, rel=1e-5)
    even = -float(np.mean((starts + ends).numpy())) / 2
    smoothed = 0.9 * float(objective.loss(outputs, given)) + 0.1 * even
    assert float(objective.loss(outputs, given, label_smoothing=0.1)) == pytest.approx(smoothed, rel=1e-5)
