"""What one rank says in a forward and a backward pass: operation, axis, count and bytes, from settings alone.

Bytes are those of a rank's own payload, as `crossover.parallel.traffic` records them: the whole tensor for a sum, a
rank's piece for what is put together. Over `tensor` a mixer's `TensorSharding` says what is exchanged; over
`sequence`, its `Sharding.state`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from crossover.costs import COUNTER_BYTES, Execution, Shape
from crossover.models.block import feed_forward_width
from crossover.models.mixers.attention import AttentionSettings
from crossover.models.mixers.base import MixerSettings
from crossover.models.mixers.diagonal import TYPICAL_ITERATIONS, DiagonalSettings
from crossover.models.mixers.linear_attention import LinearAttentionSettings
from crossover.models.mixers.recurrent import RecurrentSettings
from crossover.models.ports import Inputs, Outputs, PerStep, SourceTarget, Tokens, steps_of
from crossover.models.settings import ModelSettings
from crossover.parallel.traffic import Sent

_AGREED = 3
"""Numbers of each row by which ranks stop Newton's method together."""
_EXACT, _SUMS = 4, 3
"""Bytes of what is summed in fp32 in any case; numbers of each step that its loss is made of."""


@dataclass(frozen=True)
class Passes:
    """What is sent forward, and what backward."""

    forward: tuple[Sent, ...] = ()
    backward: tuple[Sent, ...] = ()

    def __add__(self, other: Passes) -> Passes:
        return Passes(summed(self.forward + other.forward), summed(self.backward + other.backward))

    def shared(self, ranks: int) -> Passes:
        """The same of tensors of which each of so many ranks has a part."""
        forward, backward = (
            tuple(replace(line, bytes=line.bytes // ranks) for line in lines)
            for lines in (self.forward, self.backward)
        )
        return Passes(forward, backward)


def summed(sent: Iterable[Sent]) -> tuple[Sent, ...]:
    """Calls of the same operation along the same axis as one line, sorted."""
    totals: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for line in sent:
        total = totals[line.operation, line.axis]
        total[0] += line.count
        total[1] += line.bytes
    return tuple(sorted(Sent(*place, *total) for place, total in totals.items() if total[0]))


def mixer_over_tensor(mixer: MixerSettings, *, rows: int, time: int, ranks: int, element_bytes: int = 4) -> Passes:
    """What a mixer says along `tensor` for `rows` rows of `time` steps, its input whole on every rank."""
    sharding = mixer.sharding().tensor
    if sharding is None or ranks == 1:
        return Passes()
    sharding = sharding.over(ranks)
    step = rows * element_bytes
    shapes = mixer.parameters()
    forward = [_sent("all-reduce", 1, step * time * shapes[f"{name}.weight"][0]) for name in sharding.summed]
    backward = [_sent("all-reduce", 1, step * time * mixer.width)]
    if sharding.stepwise and isinstance(mixer, RecurrentSettings):
        steps, units = time * mixer.directions, step * mixer.hidden
        forward.append(_sent("all-gather", steps, steps * units // ranks))
        # The first step's product has no gradient to a state that takes none.
        backward.append(_sent("reduce-scatter", steps - mixer.directions, (steps - mixer.directions) * units))
    if sharding.joined is not None:
        forward.append(_sent("all-gather", 1, step * time * sum(sharding.joined.parts) // ranks))
    backward += [_sent("all-reduce", 1, prod(shapes[name]) * element_bytes) for name in sharding.partial]
    return Passes(summed(forward), summed(backward))


def state_over_tensor(mixer: MixerSettings, *, rows: int, ranks: int, element_bytes: int = 4) -> Passes:
    """What a mixer says more where the state before its first step takes a gradient."""
    sharding = mixer.sharding().tensor
    if sharding is None or ranks == 1 or not isinstance(mixer, RecurrentSettings) or not sharding.stepwise:
        return Passes()
    return Passes(backward=(_sent("all-reduce", 1, rows * element_bytes * mixer.hidden),))


def around_over_tensor(
    settings: ModelSettings, *, rows: int, time: int, source: int, ranks: int, element_bytes: int = 4
) -> Passes:
    """What a block says along `tensor` besides its mixer; it looks at `source` steps of a source (0: at none)."""
    if ranks == 1:
        return Passes()
    step = rows * settings.width * element_bytes
    forward, backward = [], []
    if feed_forward_width(settings):
        forward.append(_sent("all-reduce", 1, step * time))
        backward.append(_sent("all-reduce", 1, step * time))
    if source and settings.cross == "attention":
        forward.append(_sent("all-reduce", 1, step * time))
        backward.append(_sent("all-reduce", 2, step * (time + source)))
    return Passes(summed(forward), summed(backward))


def ends_over_tensor(
    settings: ModelSettings,
    inputs: Inputs,
    outputs: Outputs,
    *,
    rows: int,
    time: int,
    source: int,
    ranks: int,
    element_bytes: int = 4,
) -> tuple[Passes, Passes]:
    """What is said of embeddings, and of the outputs and their loss, where the ranks divide a vocabulary."""
    step, first, last = rows * settings.width, Passes(), Passes()
    read = [(steps_of(inputs), time)]
    if isinstance(inputs, SourceTarget):
        read.append((inputs.source, source))
    for port, steps in read:
        if isinstance(port, Tokens) and port.vocabulary % ranks == 0:
            first += Passes((_sent("all-reduce", 1, step * steps * _EXACT),))
    if isinstance(outputs, PerStep) and outputs.size % ranks == 0:
        # The largest logit of each step, then the sums that its loss is made of.
        forward = _sent("all-reduce", 2, (1 + _SUMS) * rows * time * _EXACT)
        last += Passes((forward,), (_sent("all-reduce", 1, step * time * element_bytes),))
    return first, last


def mixer_over_sequence(
    mixer: MixerSettings,
    *,
    rows: int,
    time: int,
    ranks: int,
    rank: int = 0,
    tensor: int = 1,
    element_bytes: int = 4,
    iterations: int = TYPICAL_ITERATIONS,
) -> Passes:
    """What rank `rank` says along `sequence` of rows of `time` steps, none of which goes on from a state.

    Each of `tensor` ranks says its own part. Keys and values are gathered; `time` is a multiple of twice the ranks.
    Newton's method takes so many `iterations`.
    """
    if ranks == 1:
        return Passes()
    if mixer.sharding().state == "hand-on":
        return _handed_on(mixer, rows, ranks, rank, tensor, element_bytes)
    return _exchanged(mixer, rows, time, ranks, rank, element_bytes, iterations).shared(tensor)


def _exchanged(
    mixer: MixerSettings, rows: int, time: int, ranks: int, rank: int, element_bytes: int, iterations: int
) -> Passes:
    travels = mixer.sharding().state
    if travels == "gather" and isinstance(mixer, AttentionSettings):
        return _gathered(mixer, rows, time, ranks, rank, element_bytes)
    if isinstance(mixer, DiagonalSettings):
        return _by_newton(mixer, rows, element_bytes, iterations)
    return _combined(mixer, rows, ranks, element_bytes)


def _handed_on(mixer: MixerSettings, rows: int, ranks: int, rank: int, tensor: int, element_bytes: int) -> Passes:
    """A message for each tensor of the state, and for each that has a gradient one the other way."""
    sharding = mixer.sharding().tensor
    parts = len(sharding.state) if sharding is not None else 1
    whole = int(mixer.cost(Shape(batch=rows, time=1), Execution(element_bytes=element_bytes)).state_bytes)
    counters = int(mixer.family == "attention")  # how many of its keys are real
    counted = counters * rows * COUNTER_BYTES
    undivided = counted
    if isinstance(mixer, RecurrentSettings) and sharding is not None and sharding.stepwise:
        # Every rank has the whole h of the step before, and its own part of what else there is.
        undivided += rows * mixer.hidden * element_bytes
    whole = undivided + (whole - undivided) // tensor
    known = (parts - counters, whole - counted)
    forward, backward = [], []
    if rank > 0:
        forward.append(_sent("receive", parts, whole, "sequence"))
        backward.append(_sent("send", *known, "sequence"))
    if rank < ranks - 1:
        forward.append(_sent("send", parts, whole, "sequence"))
        backward.append(_sent("receive", *known, "sequence"))
    return Passes(summed(forward), summed(backward))


def _combined(mixer: MixerSettings, rows: int, ranks: int, element_bytes: int) -> Passes:
    """Summaries of stretches: what each does to the state before it, and the state that it reaches from none."""
    if isinstance(mixer, LinearAttentionSettings):
        exact = max(element_bytes, 4)
        kept = rows * mixer.heads_per_direction * exact
        written = rows * mixer.width * mixer.head_size * exact
        given = [_sent("all-gather", 1, kept, "sequence"), _sent("all-gather", 1, written, "sequence")]
        taken = _sent("reduce-scatter", 2, ranks * (kept + written), "sequence")
        return Passes(summed(given), (taken,))
    units = mixer.units if isinstance(mixer, RecurrentSettings) else mixer.width
    summary = _sent("all-gather", 1, 2 * rows * units * max(element_bytes, 4), "sequence")
    return Passes((summary,), (summary,))


def _by_newton(mixer: DiagonalSettings, rows: int, element_bytes: int, iterations: int) -> Passes:
    """Each iteration's summary and what is agreed of every row; the first and the last states of stretches."""
    exact, numbers = max(element_bytes, 4), mixer.block * mixer.state_parts
    state = rows * mixer.units * mixer.state_parts * exact
    summary = state * (numbers + 1)
    forward = _sent(
        "all-gather", 2 + 2 * iterations, 2 * state + iterations * (summary + _AGREED * rows * exact), "sequence"
    )
    return Passes((forward,), (_sent("all-gather", 1, summary, "sequence"),))


def _gathered(mixer: AttentionSettings, rows: int, time: int, ranks: int, rank: int, element_bytes: int) -> Passes:
    """Keys and values of all stretches; of causal attention queries change places, and what they find comes back."""
    grouped = 2 * rows * mixer.key_heads * mixer.head_size * element_bytes
    forward = [_sent("all-gather", 1, grouped * time // ranks, "sequence")]
    backward = [_sent("reduce-scatter", 1, grouped * time, "sequence")]
    if mixer.causal:
        away = 2 - sum(half // 2 == rank for half in (rank, 2 * ranks - 1 - rank))
        bytes_ = 2 * away * rows * (time // (2 * ranks)) * mixer.width * element_bytes
        moved = [_sent(operation, 2 * away, bytes_, "sequence") for operation in ("receive", "send")]
        forward, backward = forward + moved, backward + moved
    return Passes(summed(forward), summed(backward))


def _sent(operation: str, count: int, bytes_: int, axis: str = "tensor") -> Sent:
    return Sent(operation, axis, count, bytes_)
