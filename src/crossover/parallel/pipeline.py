"""The pipeline axis: one executor that plays any schedule, over micro-batches and over chunks in time.

Each rank keeps its own stages and does its own actions in the schedule's order. Results are sent without waiting, and
waited for where they are needed, so that ranks wait for one another only as the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from crossover.models.mixers.base import State
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.schedule import Action, make_schedule
from crossover.parallel.stages import Flow, Part, Stage
from crossover.parallel.timeline import recorded, sent

Loss = Callable[[Tensor, int, int], Tensor]
"""The loss of the outputs of one micro-batch (its number) and chunk (its number)."""

States = list[State | None]
Carried = dict[tuple[int, int], States]
"""By stage and micro-batch, the states of the stage's blocks."""

_PARTS = 2
"""The most tensors in one message, see `Flow`."""
_AHEAD = 2
"""How many actions before it is needed a message is asked for, so that it comes while this rank computes.

Gloo begins to send when both sides have asked. NCCL does one thing after the other: a message that is asked for early
would hold up those before it.
"""


@dataclass
class _Done:
    """One forward action, whose backward is to come."""

    entered: Flow
    left: Flow
    before: States
    after: States


class _Coming(NamedTuple):
    """A tensor that is asked for: `key` tells the timeline which message it is."""

    work: Any
    tensor: Tensor
    key: str


@dataclass
class _Pass:
    """What is under way between the first action of a step and the last."""

    parts: Sequence[Sequence[Part]]
    loss: Loss
    states: Carried
    done: dict[Action, _Done] = field(default_factory=dict)
    here: dict[Action, Flow] = field(default_factory=dict)
    coming: dict[Action, list[_Coming]] = field(default_factory=dict)
    sent: list[tuple[Any, Tensor]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    state_gradients: dict[Action, list[list[Tensor | None]]] = field(default_factory=dict)


class Pipeline:
    """This rank's stages, by number, and what they say to their neighbours along `axis`.

    Activations have `width` features and travel in `dtype`.
    """

    def __init__(
        self, stages: Mapping[int, Stage], layout: Layout, axis: Axis, *, width: int, dtype: torch.dtype
    ) -> None:
        self.stages, self.layout, self.axis = stages, layout, axis
        self.width, self.dtype = width, dtype

    def play(
        self,
        parts: Sequence[Sequence[Part]],
        loss: Loss,
        states: Carried | None = None,
        *,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> tuple[Tensor | None, Carried]:
        """One step forward and backward over `parts`, by micro-batch and chunk; forward, and the loss, in `context`.

        `states` are those before the first chunk (none: the initial ones). Returns the sum of the losses where the
        last stage is (elsewhere None), and the states after the last chunk, cut from what led to them. Gradients are
        added to the parameters of this rank's stages.
        """
        shape = replace(self.layout, microbatches=len(parts), chunks=len(parts[0]))
        if shape.interleave > 1 and len(parts) % shape.pipeline:
            shape = replace(shape, schedule="gpipe")  # a last, smaller batch makes no whole groups
        under_way = _Pass(parts, loss, dict(states or {}))
        actions = make_schedule(shape).ranks[self.axis.rank]
        ahead = _AHEAD if parts[0][0].inputs.device.type == "cpu" else 0
        for number, action in enumerate(actions):
            for next_one in actions[number : number + 1 + ahead]:
                self._ask(next_one, under_way)
            if action.forward:
                with recorded("forward"), context():
                    self._forward(action, under_way)
            else:
                with recorded("backward"):
                    self._backward(action, under_way)
        with recorded("send", self.axis, f"from {self.axis.rank}"):
            for work, _ in under_way.sent:
                work.wait()
        total = torch.stack(under_way.losses).sum() if under_way.losses else None
        return total, under_way.states

    def _forward(self, action: Action, under_way: _Pass) -> None:
        stage, part = self.stages[action.stage], under_way.parts[action.microbatch][action.chunk]
        entered: Flow = ()
        if not stage.begins:
            entered = tuple(x.requires_grad_() for x in self._receive(action, under_way))
        place = action.stage, action.microbatch
        before = [_leaves(state) for state in under_way.states.get(place, [None] * stage.carrying)]
        left, after = stage.run(entered, part, before)
        under_way.states[place] = [_detached(state) for state in after]
        if stage.ends:
            left = (under_way.loss(left[0], action.microbatch, action.chunk),)
            under_way.losses.append(left[0].detach())
        else:
            self._send(action._replace(stage=action.stage + 1), left, under_way)
        under_way.done[action] = _Done(entered, left, before, after)

    def _backward(self, action: Action, under_way: _Pass) -> None:
        stage, done = self.stages[action.stage], under_way.done.pop(action._replace(forward=True))
        roots: list[Tensor] = list(done.left)
        gradients: list[Tensor | None] = [None]
        if not stage.ends:
            gradients = list(self._receive(action, under_way))
        later = under_way.state_gradients.pop(action._replace(chunk=action.chunk + 1), [])
        for state, found in zip(done.after, later, strict=False):
            given = [(p, g) for p, g in zip(state or (), found, strict=True) if g is not None and p.requires_grad]
            roots += [part for part, _ in given]
            gradients += [gradient for _, gradient in given]
        torch.autograd.backward(roots, gradients)
        under_way.state_gradients[action] = [[part.grad for part in state or ()] for state in done.before]
        if not stage.begins:
            found_x = tuple(torch.zeros_like(x) if x.grad is None else x.grad for x in done.entered)
            self._send(action._replace(stage=action.stage - 1), found_x, under_way)

    def _shapes(self, stage: Stage, part: Part) -> list[tuple[int, ...]]:
        """What comes out of the stage before: the batch tells, so that no message has to."""
        batch, time = part.inputs.shape[:2]
        if stage.model.encoder is None or part.source is None:
            return [(batch, time, self.width)]
        read = (batch, part.source.inputs.shape[1], self.width)
        return [read] if stage.blocks.start <= stage.read_first else [(batch, time, self.width), read]

    def _send(self, to: Action, flow: Flow, under_way: _Pass) -> None:
        """Give the results to the rank that does `to`, perhaps this one."""
        rank = to.stage % self.axis.size
        given = tuple(x.detach().to(self.dtype).contiguous() for x in flow)
        if rank == self.axis.rank:
            under_way.here[to] = given
            return
        for number, x in enumerate(given):
            tag = self._tag(to, number, under_way)
            sent(self.axis, f"{self.axis.rank}>{rank}:{tag}")
            work = dist.isend(x, self.axis.peer(rank), group=self.axis.group, tag=tag)
            under_way.sent.append((work, x))

    def _ask(self, action: Action, under_way: _Pass) -> None:
        """Begin to receive what `action` takes from another rank, unless that is done, or not to be told yet."""
        stage, ahead = self.stages[action.stage], action._replace(forward=True)
        rank = (action.stage + (-1 if action.forward else 1)) % self.axis.size
        takes = not (stage.begins if action.forward else stage.ends)
        known = action.forward or ahead in under_way.done
        if rank == self.axis.rank or not takes or not known or action in under_way.coming:
            return
        part = under_way.parts[action.microbatch][action.chunk]
        shapes = self._shapes(stage, part) if action.forward else [x.shape for x in under_way.done[ahead].left]
        found = []
        for number, shape in enumerate(shapes):
            x = torch.empty(tuple(shape), dtype=self.dtype, device=part.inputs.device)
            tag = self._tag(action, number, under_way)
            work = dist.irecv(x, self.axis.peer(rank), group=self.axis.group, tag=tag)
            found.append(_Coming(work, x, f"{rank}>{self.axis.rank}:{tag}"))
        under_way.coming[action] = found

    def _receive(self, action: Action, under_way: _Pass) -> Flow:
        """What the stage before, or for a backward action the stage after, has sent for `action`."""
        if action in under_way.here:
            return under_way.here.pop(action)
        coming = under_way.coming.pop(action)
        for message in coming:
            with recorded("receive", self.axis, message.key):
                message.work.wait()
        return tuple(message.tensor for message in coming)

    def _tag(self, to: Action, number: int, under_way: _Pass) -> int:
        """A number for each tensor of a step: messages of several stages run between the same two ranks."""
        place = (to.stage * len(under_way.parts) + to.microbatch) * len(under_way.parts[0]) + to.chunk
        return (2 * place + to.forward) * _PARTS + number


def _leaves(state: State | None) -> State | None:
    """The same state as leaves, whose gradients the chunk before is told."""
    return _kind(state, [part.detach().requires_grad_(part.is_floating_point()) for part in state or ()])


def _detached(state: State | None) -> State | None:
    return _kind(state, [part.detach() for part in state or ()])


def _kind(state: State | None, parts: list[Tensor]) -> State | None:
    """`parts` as the same kind of tuple as `state`, which may have names."""
    if state is None:
        return None
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
