from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossover.data.text import BEGIN, END, PAD, SPECIALS
from crossover.errors import ConfigError
from crossover.inference.decode import (
    Beam,
    Drawer,
    Sampling,
    beam_search,
    continuation,
    continuations,
    only_text,
    sample,
    write,
)
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model

NUMERICS = Numerics()
NAMES = ("lstm", "transformer", "gnmt", "seq2seq", "lstm+attention", "gpt")
LIMIT = 12


def make(name: str, vocabulary: int = 12, sharpness: float = 4.0) -> SequenceModel:
    port = SourceTarget(source=Tokens(vocabulary=vocabulary), target=Tokens(vocabulary=vocabulary))
    settings = replace(parse_model(name), width=16, dropout=0.0, max_length=40)
    model = build_model(settings, port, PerStep(size=vocabulary), causal=True, seed=3).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.mul_(sharpness)
    return model


def sources(lengths: tuple[int, ...] = (5, 2, 7, 1), vocabulary: int = 12) -> Source:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(SPECIALS), vocabulary, (len(lengths), max(lengths)), generator=generator)
    return Source(drawn, torch.tensor(lengths))


def one_by_one(read: Source) -> Iterator[Source]:
    for row, length in enumerate(read.lengths_B.tolist()):
        yield Source(read.inputs[row : row + 1, :length], torch.tensor([length]))


@torch.inference_mode()
def log_probabilities(model: SequenceModel, read: Source, ids: list[int]) -> Tensor:
    """Of the token after `ids`, from the whole prefix computed again."""
    prefix = torch.tensor([[BEGIN, *ids]])
    outputs, _ = model(prefix, source=read, span=Span(carry=False))
    return only_text(outputs[:, -1]).log_softmax(-1)[0]


def from_prefixes(model: SequenceModel, read: Source, limit: int) -> list[int]:
    ids: list[int] = []
    while len(ids) < limit:
        token = int(log_probabilities(model, read, ids).argmax())
        if token == END:
            break
        ids.append(token)
    return ids


def texts(written: Tensor) -> list[list[int]]:
    return [[token for token in row if token != PAD] for row in written.tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_greedy_is_the_likeliest_token_after_every_prefix_whatever_the_batch(name: str) -> None:
    model, read = make(name), sources()
    together = texts(write(model, read, NUMERICS, limit=LIMIT))
    assert together == [from_prefixes(model, alone, LIMIT) for alone in one_by_one(read)]
    assert together == [texts(write(model, alone, NUMERICS, limit=LIMIT))[0] for alone in one_by_one(read)]


@pytest.mark.parametrize("name", NAMES)
def test_a_beam_of_one_is_greedy(name: str) -> None:
    model, read = make(name), sources()
    found = beam_search(model, read, NUMERICS, Beam(size=1), limit=LIMIT)
    assert [list(best.ids) for (best,) in found] == texts(write(model, read, NUMERICS, limit=LIMIT))


def hypotheses(model: SequenceModel, read: Source, beam: Beam, limit: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every text of at most `limit` tokens with its score; one of `limit` tokens needs no end."""
    found, open_ids = [], [((), 0.0)]
    while open_ids:
        ids, total = open_ids.pop()
        shares = log_probabilities(model, read, list(ids)).tolist()
        found.append((beam.score(total + shares[END], len(ids) + 1), ids))
        for token in range(len(SPECIALS), len(shares)):
            longer = ((*ids, token), total + shares[token])
            if len(longer[0]) == limit:
                found.append((beam.score(longer[1], limit), longer[0]))
            else:
                open_ids.append(longer)
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_wide_beam_finds_the_best_of_all_texts(name: str, penalty: float) -> None:
    model, read, limit = make(name, vocabulary=7, sharpness=1.5), sources((3, 2), vocabulary=7), 4
    beam = Beam(size=130, length_penalty=penalty, best=5)
    found = beam_search(model, read, NUMERICS, beam, limit=limit)
    for best, alone in zip(found, one_by_one(read), strict=True):
        expected = hypotheses(model, alone, beam, limit)[:5]
        assert [hypothesis.ids for hypothesis in best] == [ids for _, ids in expected]
        assert [h.score for h in best] == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("name", sorted({*NAMES, *MIXERS.names()}))
def test_a_beam_writes_the_same_whatever_the_batch(name: str) -> None:
    model, read = make(name), sources()
    beam = Beam(size=3, best=3)
    together = beam_search(model, read, NUMERICS, beam, limit=LIMIT)
    for row, alone in zip(together, one_by_one(read), strict=True):
        (by_itself,) = beam_search(model, alone, NUMERICS, beam, limit=LIMIT)
        assert [hypothesis.ids for hypothesis in row] == [hypothesis.ids for hypothesis in by_itself]
        assert row[0].score >= row[-1].score


def test_a_row_without_a_limit_gets_twice_its_source_and_some() -> None:
    model = make("lstm")
    with torch.no_grad():
        model.head.project.bias[END] = -1e9  # type: ignore[union-attr, index]
    assert [len(row) for row in texts(write(model, sources((5, 1)), NUMERICS))] == [26, 18]
    assert [len(row[0].ids) for row in beam_search(model, sources((5, 1)), NUMERICS, Beam(size=2))] == [26, 18]


def test_learned_positions_are_not_run_past() -> None:
    model = make("gpt")
    with torch.no_grad():
        model.head.project.bias[END] = -1e9  # type: ignore[union-attr, index]
    assert len(texts(write(model, sources((7,)), NUMERICS, limit=500))[0]) == 39


def test_the_likeliest_of_one_is_greedy_and_seeds_differ() -> None:
    model, read = make("lstm"), sources()
    assert sample(model, read, NUMERICS, Sampling(top_k=1), limit=LIMIT) == texts(
        write(model, read, NUMERICS, limit=LIMIT)
    )
    hot = [sample(model, read, NUMERICS, Sampling(temperature=5.0, seed=seed), limit=LIMIT) for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_drawing_keeps_to_the_likeliest_tokens() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    row = torch.tensor([0])

    def drawn(**settings: float) -> list[float]:
        drawer = Drawer(Sampling(**settings), 1)  # type: ignore[arg-type]
        tokens = [int(drawer(logits, row)) for _ in range(2000)]
        return [tokens.count(token) / 2000 for token in range(4)]

    assert drawn() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)
    assert drawn(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.04)
    assert drawn(top_p=0.6) == pytest.approx([0.625, 0.375, 0, 0], abs=0.04)
    assert drawn(top_p=0.5) == [1, 0, 0, 0]
    assert drawn(temperature=0) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: Beam(size=0), "a beam of 0"),
        (lambda: Beam(length_penalty=-1), "length_penalty is -1"),
        (lambda: Sampling(temperature=-1), "temperature is -1"),
        (lambda: Sampling(top_k=-1), "top_k is -1"),
        (lambda: Sampling(top_p=0), "top_p is 0"),
    ],
)
def test_impossible_settings_are_refused(make_it, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_it()


@pytest.mark.parametrize("name", MIXERS.names())
def test_rows_that_are_gone_on_with_together_are_what_each_is_by_itself(name: str) -> None:
    settings = replace(parse_model(name), width=16, dropout=0.0)
    model = build_model(settings, Tokens(vocabulary=12), PerStep(size=12), causal=True, seed=3).eval()
    openings_BT = sources((5, 5, 5)).inputs
    sampling = Sampling(seed=2)
    together = torch.stack(list(continuations(model, openings_BT, LIMIT, NUMERICS, Drawer(sampling, 3))), dim=1)
    for row, ids in enumerate(openings_BT.tolist()):
        alone = continuation(model, ids, LIMIT, NUMERICS, Drawer(sampling, 1, first=row))
        assert together[row].tolist() == list(alone)
