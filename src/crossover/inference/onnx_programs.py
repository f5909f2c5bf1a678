"""A trained model as programs over plain tensors, as ONNX holds them: one that reads, and one that goes on a step.

The state between them is a flat list of tensors: what each mixer carries, the position of each row, and what the
blocks of an encoder-decoder remember of its source. All rows of a batch advance together, so none of them is padded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Literal, cast

import torch
from torch import Tensor, nn

from crossover.measure.workload import random_inputs
from crossover.models.backbones import ModelState
from crossover.models.encoder import Source
from crossover.models.mixers.attend import attend_together
from crossover.models.mixers.attention import Attention
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel
from crossover.models.ports import Inputs, PerRow, SourceTarget, steps_of

_STEPS = 17


@dataclass(frozen=True)
class Program:
    """A module over tensors alone, the names of what goes in and out, and inputs of any number of rows and steps.

    A ``sequence`` is read by the program that is used first, a ``step`` taken by the one that goes on from it.
    """

    kind: Literal["sequence", "step"]
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: Callable[[int, int], tuple[Tensor, ...]]
    longest: int | None
    """Steps that a row can have, None for any number; `fixed` says that it must have them."""
    fixed: bool = False

    def examples(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs of two sizes: a dim in which they differ is free in the program."""
        steps = self.steps(_STEPS)
        return self.example(2, steps if self.fixed else max(steps - 5, 1)), self.example(3, steps)

    def steps(self, wanted: int) -> int:
        """`wanted` steps, as far as a row can have them."""
        if self.fixed and self.longest is not None:
            return self.longest
        return wanted if self.longest is None else min(wanted, self.longest)

    @property
    def starred(self) -> int:
        """How many of the inputs the module takes by a starred argument: all but what it names."""
        named = [p for p in signature(self.module.forward).parameters.values() if p.kind is not p.VAR_POSITIONAL]
        return len(self.inputs) - len(named)


def programs(model: SequenceModel) -> list[Program]:
    """What a model is exported as. The programs compute with `model`, whose attention then goes on step by step only.

    An encoder, and any model over whole rows: inputs to outputs. A causal one gives its state too, and a step that
    goes on from it. An encoder-decoder reads a source into the state before the first step.
    """
    reading = _reading(model)
    if not model.causal:
        return [reading]
    for mixer in model.mixers():
        if type(mixer) is Attention and mixer.causal:
            mixer.solve = attend_together
    return [reading, _going_on(model, reading)]


def _reading(model: SequenceModel) -> Program:
    settings, outputs = model.settings, model.outputs
    fixed = outputs.steps if isinstance(outputs, PerRow) else None
    # A step more than is read here must still have a position.
    longest = fixed or (settings.max_length - 1 if settings.positions == "learned" else None)
    example = partial(_inputs, model.inputs)
    state = state_names(_state_after(model, example(1, 1))) if model.causal else ()
    if isinstance(model.inputs, SourceTarget):
        return Program("sequence", _ReadsSource(model), ("source", "lengths"), state, example, longest)
    given = ("inputs", *_features(model.inputs))
    return Program(
        "sequence", _Reads(model, given[1:]), given, ("outputs", *state), example, longest, fixed is not None
    )


def _going_on(model: SequenceModel, reading: Program) -> Program:
    target = steps_of(model.inputs)
    like = _state_after(model, reading.example(1, 1))
    module = _Step(model, _features(target), like)

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        return (*_drawn(target, rows, 1), *flat(_state_after(model, reading.example(rows, steps))))

    inputs = ("inputs", *module.features, *state_names(like))
    outputs = ("outputs", *(f"next_{name}" for name in state_names(like, memory=False)))
    return Program("step", module, inputs, outputs, example, reading.longest)


class _Reads(nn.Module):
    """Inputs [B, T] or [B, T, C], and features, to the outputs and, of a causal model, the state after them."""

    def __init__(self, model: SequenceModel, features: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.features = features

    def forward(self, inputs: Tensor, *features: Tensor) -> tuple[Tensor, ...]:
        """The outputs, and the state's tensors."""
        named = dict(zip(self.features, features, strict=True)) or None
        outputs, state = self.model(inputs, features=named, span=Span(carry=self.model.causal))
        return (outputs, *(flat(state) if state is not None else ()))


class _ReadsSource(nn.Module):
    """A source [B, S] or [B, S, C] of `lengths` [B] real steps to the state before the first step."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """The state's tensors."""
        read = Source(source, lengths, padded=True)
        return flat(self.model.initial_state(source.shape[0], source=read))


class _Step(nn.Module):
    """One step [B, 1] or [B, 1, C], its features and a state to the step's outputs and the state after it."""

    def __init__(self, model: SequenceModel, features: tuple[str, ...], like: ModelState) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.parts = [len(mixer) for mixer in like.mixers]
        self.remembered = [len(block) for block in like.memory]

    def forward(self, inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """The outputs [B, 1, size] or [B, size], and the state's tensors but for what stays the same."""
        features, parts = rest[: len(self.features)], list(rest[len(self.features) :])
        mixers = _grouped(parts, self.parts)
        position_B = parts.pop(0)
        state = ModelState(mixers, position_B, _grouped(parts, self.remembered))
        named = dict(zip(self.features, features, strict=True)) or None
        outputs, after = self.model(inputs, features=named, state=state)
        return (outputs, *flat(after, memory=False))


def flat(state: ModelState, *, memory: bool = True) -> tuple[Tensor, ...]:
    """The tensors of a state, in the order of `state_names`."""
    mixers = [part for mixer in state.mixers for part in mixer]
    remembered = [part for block in state.memory for part in block] if memory else []
    return (*mixers, state.position_B, *remembered)


def state_names(state: ModelState, *, memory: bool = True) -> tuple[str, ...]:
    """A name for each tensor of `flat`."""
    mixers = [f"state_{layer}_{part}" for layer, mixer in enumerate(state.mixers) for part in range(len(mixer))]
    remembered = [f"memory_{layer}_{part}" for layer, block in enumerate(state.memory) for part in range(len(block))]
    return (*mixers, "position", *(remembered if memory else ()))


def use_definitions(model: SequenceModel) -> None:
    """Compute every mixer by its definition, since a fast path may have no form in ONNX; attention's has one."""
    for mixer in model.mixers():
        if type(mixer) is not Attention:
            mixer.forward = mixer.definition  # type: ignore[method-assign]


def _grouped(parts: list[Tensor], sizes: Sequence[int]) -> tuple[tuple[Tensor, ...], ...]:
    """Takes the first of `parts` away, in groups of these sizes."""
    return tuple(tuple(parts.pop(0) for _ in range(size)) for size in sizes)


def _state_after(model: SequenceModel, given: tuple[Tensor, ...]) -> ModelState:
    """The state after the inputs of a reading program; after a source, that of a few steps more."""
    with torch.no_grad():
        if not isinstance(model.inputs, SourceTarget):
            named = dict(zip(_features(model.inputs), given[1:], strict=True)) or None
            return cast(ModelState, model(given[0], features=named)[1])
        state = model.initial_state(len(given[0]), source=Source(given[0], given[1]))
        steps = _drawn(model.inputs.target, *given[0].shape[:2])
        named = dict(zip(_features(model.inputs.target), steps[1:], strict=True)) or None
        return cast(ModelState, model(steps[0], features=named, state=state)[1])


def _features(inputs: Inputs) -> tuple[str, ...]:
    return tuple(getattr(inputs, "features", ()))


def _inputs(inputs: Inputs, rows: int, steps: int) -> tuple[Tensor, ...]:
    """What a reading program is given: inputs and features, or a source and its lengths, not all the same."""
    if not isinstance(inputs, SourceTarget):
        return _drawn(inputs, rows, steps)
    return (*_drawn(inputs.source, rows, steps), torch.arange(steps, steps - rows, -1).clamp(min=1))


def _drawn(inputs: Inputs, rows: int, steps: int) -> tuple[Tensor, ...]:
    """Inputs, then their features, drawn from a fixed seed."""
    drawn, features = random_inputs(inputs, rows, steps, seed=steps)
    return (drawn, *(features or {}).values())
