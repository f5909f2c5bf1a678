"""What an output rests on: gradients as differences give them, for every mixer and for encoder-decoders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crossover.data.options import DataOptions
from crossover.inference.influence import influence, influences
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.mixers import MIXERS
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Inputs, Outputs, PerRow, PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.tasks.base import Batch
from crossover.tasks.objectives import IGNORE

WIDTH, STEPS, SIZE = 8, 6, 9


def make(name: str, inputs: Inputs, outputs: Outputs, *, causal: bool) -> SequenceModel:
    settings = replace(parse_model(name), width=WIDTH, layers=2, dropout=0.0, max_length=40)
    return build_model(settings, inputs, outputs, causal=causal, seed=3).eval().double()


def batch(targets: list[int], *, stepwise: bool, source: Source | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        inputs=torch.randint(4, SIZE, (1, STEPS), generator=generator),
        lengths_B=torch.tensor([STEPS]),
        targets=torch.tensor([targets]) if stepwise else torch.tensor(targets),
        rows_B=torch.tensor([0]),
        source=source,
    )


def by_differences(model: SequenceModel, asked: Batch, step: int, target: int, *, eps: float = 1e-5) -> np.ndarray:
    """Shares of the steps read, from central differences of one output's log-probability."""
    module: nn.Module = model.embedding if model.encoder is None else model.encoder.embedding
    read = {"source": asked.source} if asked.source is not None else {}

    def score(move: Tensor) -> float:
        watching = module.register_forward_hook(lambda _m, _i, output: output + move)
        with torch.no_grad():
            outputs, _ = model(asked.inputs, **read)
        watching.remove()
        return float(outputs.flatten(0, -2).log_softmax(-1)[step, target])

    steps = asked.inputs.shape[1] if asked.source is None else asked.source.inputs.shape[1]
    gradient = np.zeros((steps, WIDTH))
    for place in np.ndindex(*gradient.shape):
        move = torch.zeros(1, steps, WIDTH, dtype=torch.float64)
        move[0, place[0], place[1]] = eps
        gradient[place] = (score(move) - score(-move)) / (2 * eps)
    norms: np.ndarray = np.linalg.norm(gradient, axis=1)
    return norms / norms.sum()


@pytest.mark.parametrize("mixer", MIXERS.names())
def test_shares_are_the_gradients_norms_and_no_later_step_has_one(mixer: str) -> None:
    model = make(mixer, Tokens(vocabulary=SIZE), PerStep(size=SIZE), causal=True)
    asked = batch([IGNORE, IGNORE, 5, IGNORE, 7, IGNORE], stepwise=True)
    shares = np.array(influence(model, asked))
    assert shares.shape == (2, STEPS)
    np.testing.assert_allclose(shares.sum(-1), 1)
    assert (shares[0, 3:] == 0).all() and (shares[1, 5:] == 0).all() and (shares[0, :3] > 0).any()
    np.testing.assert_allclose(shares[0], by_differences(model, asked, 2, 5), atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_rows_one_output_rests_on_all_of_its_steps(name: str) -> None:
    model = make(name, Tokens(vocabulary=SIZE), PerRow(size=3), causal=False)
    asked = batch([2], stepwise=False)
    shares = np.array(influence(model, asked))
    assert shares.shape == (1, STEPS) and (shares > 0).all()
    np.testing.assert_allclose(shares[0], by_differences(model, asked, 0, 2), atol=1e-5)


@pytest.mark.parametrize("name", ["gnmt", "transformer"])
def test_what_an_encoder_decoder_writes_rests_on_its_source(name: str) -> None:
    port = SourceTarget(source=Tokens(vocabulary=SIZE), target=Tokens(vocabulary=SIZE))
    model = make(name, port, PerStep(size=SIZE), causal=True)
    source = Source(torch.tensor([[4, 5, 6, 7]]), torch.tensor([4]))
    asked = batch([4, 5, 6, 7, 8, 3], stepwise=True, source=source)
    shares = np.array(influence(model, asked))
    assert shares.shape == (STEPS, 4)
    np.testing.assert_allclose(shares[3], by_differences(model, asked, 3, 7), atol=1e-5)


def test_rows_of_a_task_are_told_by_their_words_and_padding_has_no_part() -> None:
    task = TASKS.get("sentiment/headlines")(DataOptions())
    model = make("lstm", task.spec.inputs, task.spec.outputs, causal=False)
    found = influences(model, task, "test", Numerics(), among=5, limit=2)
    first = next(iter(task.batches("test", seed=0, epoch=0, batch=5)))
    assert len(found) == 2
    for row, told in found.items():
        assert len(told["read"]) == len(told["shares"][0]) == int(first.lengths_B[row])
        assert told["written"] == [] and sum(told["shares"][0]) == pytest.approx(1, abs=0.01)


def test_a_task_on_numbers_has_no_influences() -> None:
    task = TASKS.get("forecasting/co2")(DataOptions())
    model = build_model(parse_model("lstm"), task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=0)
    assert influences(model, task, "test", Numerics(), among=5, limit=2) == {}
