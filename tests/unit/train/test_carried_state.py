"""Training with the state carried from segment to segment: truncated backpropagation, and Transformer-XL's memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.inference.forward import Stream
from crossover.measure.numerics import Numerics
from crossover.models.backbones import ModelState
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.tasks.language.modeling import LanguageModeling, own
from crossover.train.evaluate import evaluate
from crossover.train.loop import train
from crossover.train.progress import Progress
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
BLOCK, STREAMS = 16, 3
TEXT = "".join(f"line {i}: the quick brown fox jumps over {i * i} lazy dogs.\n" for i in range(40))
CARRYING = [name for name in MIXERS.names() if not MIXERS.get(name).state_grows]
SPANS = {"window-attention": "window=9", "xl-attention": "memory=9"}
"""Spans longer than the state of the first chunk and shorter than a row."""
STILL = TrainSettings(optimizer="sgd", learning_rate=1e-30, weight_decay=0.0, batch=STREAMS, evaluations=1)
"""Weights that do not move, so that every loss is that of the initial ones."""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> LanguageModeling:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return own(DataOptions(data=str(path), settings={"block": BLOCK, "carry": True}))


def small(name: str) -> ModelSettings:
    span = SPANS.get(name, "layers=2")
    return replace(parse_model(f"{name}[{span}]"), layers=2, width=16, dropout=0.0)


def fresh(task: LanguageModeling, settings: ModelSettings) -> SequenceModel:
    return build_model(settings, task.spec.inputs, task.spec.outputs, causal=True, seed=0)


def streams(task: LanguageModeling) -> tuple[Tensor, Tensor]:
    """The whole batches of the first epoch as long rows: inputs and targets [streams, T]."""
    batches = list(task.batches("train", seed=0, epoch=0, batch=STREAMS))[:-1]
    return torch.cat([b.inputs for b in batches], dim=1), torch.cat([b.targets for b in batches], dim=1)


@pytest.mark.parametrize("name", [*CARRYING, "lstm+xl-attention+convolution"])
def test_losses_of_segments_are_those_of_one_long_pass(task: LanguageModeling, name: str) -> None:
    settings = small(name)
    inputs, targets = streams(task)
    steps = inputs.shape[1] // BLOCK
    record = train(task, settings, replace(STILL, budget=f"{steps}steps"), numerics=NUMERICS, test=False).record
    with torch.no_grad():
        outputs, _ = fresh(task, settings)(inputs)
    losses = torch.nn.functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none")
    expected = losses.unflatten(1, (steps, BLOCK)).mean((0, 2)).tolist()
    assert [loss for _, loss in record.losses] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("name", CARRYING)
def test_the_gradient_ends_at_the_edge_of_the_segment(task: LanguageModeling, name: str) -> None:
    """The gradient of the second segment by hand: its first state is a constant, computed without a graph."""
    model = fresh(task, small(name)).double()
    first, second = list(task.batches("train", seed=0, epoch=0, batch=STREAMS))[:2]
    stream = Stream(carry=True)
    stream.outputs(model, first, NUMERICS)
    outputs, _ = stream.outputs(model, second, NUMERICS)
    found = torch.autograd.grad(task.loss(outputs, second), list(model.parameters()))

    with torch.no_grad():
        _, constant = model(first.inputs)
    by_hand, _ = model(second.inputs, state=constant)
    expected = torch.autograd.grad(task.loss(by_hand, second), list(model.parameters()))
    through, _ = model(torch.cat([first.inputs, second.inputs], dim=1))
    whole = torch.autograd.grad(task.loss(through[:, BLOCK:], second), list(model.parameters()))

    def flat(gradients: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([gradient.flatten() for gradient in gradients])

    scale = flat(expected).norm()
    assert (flat(found) - flat(expected)).norm() <= 1e-6 * scale
    assert (flat(found) - flat(whole)).norm() > 1e-4 * scale, "the whole gradient goes further back"


@pytest.mark.parametrize("name", ["lstm", "xl-attention"])
def test_slices_carry_a_state_each(task: LanguageModeling, name: str) -> None:
    steps = len(list(task.batches("train", seed=0, epoch=0, batch=12))) + 2
    settings = replace(STILL, budget=f"{steps}steps", learning_rate=0.1, batch=12)
    whole = train(task, small(name), settings, numerics=NUMERICS, test=False).record
    for parts in (2, 5):
        cut = train(task, small(name), replace(settings, accumulate=parts), numerics=NUMERICS, test=False).record
        assert [loss for _, loss in cut.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-4)


def test_every_epoch_starts_from_an_empty_state(task: LanguageModeling) -> None:
    settings = small("lstm")
    first = next(iter(task.batches("train", seed=0, epoch=1, batch=STREAMS)))
    steps = len(list(task.batches("train", seed=0, epoch=0, batch=STREAMS)))
    losses = train(
        task, settings, replace(STILL, budget=f"{steps + 1}steps"), numerics=NUMERICS, test=False
    ).record.losses
    with torch.no_grad():
        outputs, _ = fresh(task, settings)(first.inputs)
        expected = float(task.loss(outputs, first)) / task.count(first)
    assert losses[-1][1] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("name", ["lstm", "xl-attention", "lstm+window-attention"])
def test_a_run_that_was_stopped_within_an_epoch_goes_on_as_if_it_had_not(
    task: LanguageModeling, name: str, tmp_path: Path
) -> None:
    settings = TrainSettings(budget="9steps", batch=STREAMS, learning_rate=0.01, accumulate=2)
    model = replace(small(name), dropout=0.1)

    def stop(progress: Progress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    whole = train(task, model, settings, numerics=NUMERICS)
    with pytest.raises(KeyboardInterrupt):
        train(task, model, settings, numerics=NUMERICS, folder=tmp_path, on_progress=stop)
    again = train(task, model, settings, numerics=NUMERICS, folder=tmp_path, resume=True)
    assert again.record.losses == whole.record.losses
    assert again.record.summary == whole.record.summary


@pytest.mark.parametrize("name", ["gru", "xl-attention"])
def test_evaluation_carries_the_state_and_tells_items_in_the_order_of_the_split(
    task: LanguageModeling, name: str
) -> None:
    model = fresh(task, small(name)).eval()
    found = evaluate(model, task, "valid", numerics=NUMERICS, batch_rows=1, carry=True).items
    blocks, losses = task.splits["valid"], []
    # Twice one row makes two streams, the longer half first.
    half = -(-len(blocks) // 2)
    with torch.no_grad():
        for rows in (range(half), range(half, len(blocks))):
            state: ModelState | None = None
            for row in rows:
                batch = blocks.gather(torch.tensor([row]).numpy())
                outputs, state = model(batch.inputs, state=state, span=Span(lengths_B=batch.lengths_B))
                losses.append(float(task.loss(outputs, batch)))
    assert found["loss"].tolist() == pytest.approx(losses, rel=1e-5)
    alone = evaluate(model, task, "valid", numerics=NUMERICS, batch_rows=1).items
    assert found["loss"][0] == pytest.approx(alone["loss"][0], rel=1e-5)
    assert abs(found["loss"][1] - alone["loss"][1]) > 1e-3, "the second block knows the first"


def test_a_model_that_cannot_carry_is_refused_before_any_step(task: LanguageModeling) -> None:
    with pytest.raises(ConfigError, match="the state of attention grows with every step"):
        train(task, parse_model("transformer"), STILL, numerics=NUMERICS)
