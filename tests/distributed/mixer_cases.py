"""What a rank does in the tests of mixers over ranks: the whole mixer and its share, and how far they are apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.parallel.collectives import Axis, piece, sum_over
from crossover.parallel.sequence import share_mixer_time
from crossover.parallel.stretch import Stretch
from crossover.parallel.tensor import share_mixer
from crossover.sharding import Split
from crossover.testing.probes import PREFIX, draw_mixer, draw_rows, draw_state

ROWS = 4
LENGTHS = (9, 4, 0, 7)
"""Lengths of the rows of a ragged case of nine steps."""


@dataclass(frozen=True)
class Case:
    """How a mixer is called: `options` are settings other than the default, `width` is D."""

    mixer: str
    causal: bool = True
    time: int = 9
    ragged: bool = False
    resets: bool = False
    from_state: bool = False
    ring: bool = False
    forgets: bool = False
    """Whether nothing goes on from its rows."""
    width: int = 16
    options: tuple[tuple[str, object], ...] = ()
    dtype: torch.dtype = torch.float64

    def __str__(self) -> str:
        said = [self.mixer, f"T{self.time}"]
        said += [name for name in ("ragged", "resets", "from_state", "ring", "forgets") if getattr(self, name)]
        said += [] if self.causal else ["both-ways"]
        said += [f"{name}-{value}" for name, value in self.options]
        return "-".join(said)

    def settings(self) -> MixerSettings:
        return MIXERS.get(self.mixer)(width=self.width, causal=self.causal, **dict(self.options))

    def span(self) -> Span:
        resets_BT = torch.zeros(ROWS, self.time, dtype=torch.bool)
        if self.resets:
            resets_BT[0, self.time // 3] = resets_BT[1, 0] = resets_BT[1, -2] = resets_BT[2, -1] = True
        lengths_B = torch.tensor([length * self.time // 9 for length in LENGTHS]) if self.ragged else None
        offset = PREFIX if self.from_state else 0
        return Span(lengths_B, resets_BT if self.resets else None, offset, carry=not (self.ring or self.forgets))


def world(name: str) -> Axis:
    """All ranks as one axis."""
    return Axis(name, dist.group.WORLD, dist.get_rank(), dist.get_world_size())


def over_tensor(case: Case) -> dict[str, float]:
    """Relative distances, by what is compared, of this rank's share of the mixer from the whole one."""
    axis, whole, shared = world("tensor"), _drawn(case), _drawn(case)
    splits = share_mixer(shared, axis)
    tensor = case.settings().sharding().tensor
    of_state = tensor.over(axis.size).state if tensor is not None else ()

    def own(value: Tensor | None, split: Split | None) -> Tensor | None:
        return value if split is None or value is None else piece(value, split, axis)

    expected, found = _Leaves(case), _Leaves(case)
    if found.state is not None:
        parts = [own(part.detach(), split).clone() for part, split in zip(found.state, of_state, strict=True)]
        found.state = tuple(part.requires_grad_(part.is_floating_point()) for part in parts)
    expected.run(whole, case.span())
    weights = None
    if expected.after is not None:
        weights = [own(_weights(part), split) for part, split in zip(expected.after, of_state, strict=True)]
    found.run(shared, case.span(), weights)
    compared = {"output": (found.y_BTD, expected.y_BTD), "input": (found.x_BTD.grad, expected.x_BTD.grad)}
    theirs = dict(whole.named_parameters())
    for name, parameter in shared.named_parameters():
        compared[f"gradient of {name}"] = (parameter.grad, own(theirs[name].grad, splits.get(name)))
    for i, split in enumerate(of_state):
        if found.state is not None and found.state[i].is_floating_point():
            compared[f"gradient of state {i}"] = (found.state[i].grad, own(expected.state[i].grad, split))
        if found.after is not None:
            compared[f"state {i}"] = (found.after[i], own(expected.after[i], split))
    return _distances(compared, whole)


def over_sequence(case: Case) -> dict[str, float]:
    """The same where this rank holds a stretch of time."""
    axis, whole, shared = world("sequence"), _drawn(case), _drawn(case)
    stretch = Stretch(axis)
    share_mixer_time(shared, stretch, ring=case.ring)
    expected, found = _Leaves(case), _Leaves(case)
    expected.run(whole, case.span())
    span = stretch.enter(case.time, case.span())
    found.x_BTD = stretch.cut(found.x_BTD.detach()).clone().requires_grad_()
    found.run(shared, span, [_weights(part) for part in expected.after or ()], stretch)
    compared = {
        "output": (found.y_BTD, stretch.cut(expected.y_BTD)),
        "input": (found.x_BTD.grad, stretch.cut(expected.x_BTD.grad)),
    }
    for (name, ours), theirs in zip(shared.named_parameters(), whole.parameters(), strict=True):
        if theirs.grad is not None:
            own = torch.zeros_like(theirs) if ours.grad is None else ours.grad
            compared[f"gradient of {name}"] = (sum_over(own, axis), theirs.grad)
    for i, part in enumerate(expected.state or ()):
        if part.is_floating_point():
            compared[f"gradient of state {i}"] = (found.state[i].grad, part.grad)
    for i, part in enumerate(expected.after or ()):
        compared[f"state {i}"] = (found.after[i], part)
    return _distances(compared, whole)


def _drawn(case: Case) -> Mixer:
    return draw_mixer(case.settings(), case.dtype)


class _Leaves:
    """Inputs that take gradients, and what comes of them."""

    def __init__(self, case: Case) -> None:
        settings = case.settings()
        self.x_BTD = draw_rows(settings, case.time, rows=ROWS).to(case.dtype).requires_grad_()
        self.state: State | None = draw_state(_drawn(case), ROWS, gradient=True) if case.from_state else None
        self.y_BTD = self.x_BTD
        self.after: State | None = None

    def run(
        self, mixer: Mixer, span: Span, weights: list[Tensor] | None = None, stretch: Stretch | None = None
    ) -> None:
        """Forward, and backward from a sum of outputs and states, each entry with a weight of its own.

        `weights` are those of the state, where it is not whole, or not this rank's alone.
        """
        self.y_BTD, self.after = mixer(self.x_BTD, self.state, span)
        if stretch is None:
            weight_BTD = _weights(self.y_BTD)
        else:
            weight_BTD = stretch.cut(_weights(self.y_BTD.new_empty(ROWS, stretch.time, self.y_BTD.shape[2])))
        total = (self.y_BTD * weight_BTD).sum()
        given = [_weights(part) for part in self.after or ()] if weights is None else weights
        for part, weight in zip(self.after or (), given, strict=True):
            if part.is_floating_point() and part.requires_grad:
                total = total + (part * weight).sum()
        total.backward()


def _weights(like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(like.numel())
    return torch.randn(like.shape, generator=generator, dtype=torch.float64)


def _distances(compared: dict[str, tuple[Tensor | None, Tensor | None]], whole: Mixer) -> dict[str, float]:
    gradients = [p.grad.flatten().double() for p in whole.parameters() if p.grad is not None]
    scale = 1e-3 * float(torch.cat(gradients).norm())
    found = {}
    for name, (ours, theirs) in compared.items():
        if theirs is None or ours is None:
            # A rank that has nothing of a parameter has no gradient of it.
            nothing = ours is None and (theirs is None or not theirs.numel())
            found[name] = 0.0 if nothing else float("inf")
            continue
        if ours.shape != theirs.shape:
            found[name] = float("inf")
            continue
        ours, theirs = ours.detach().double(), theirs.detach().double()
        least = scale if name.startswith("gradient") or name == "input" else 0.0
        size = max(float(theirs.norm()), least)
        found[name] = float((ours - theirs).norm()) / (size or 1.0)
    return found


def cases(*, causal_only: bool) -> list[Case]:
    """Every registered mixer: plain, ragged, with resets, from a state, one step, both ways; some with other options.

    With `causal_only` none that looks both ways, but for those that may be split in time all the same.
    """
    found: list[Case] = []
    for name in MIXERS.names():
        plain = Case(name)
        if not causal_only:
            found.append(replace(plain, time=1))
        found += [plain, replace(plain, ragged=True, from_state=True), replace(plain, resets=True, ragged=True)]
        found += [replace(plain, resets=True, from_state=True, time=11)]
        # Four ranks need as many heads in each direction.
        both = replace(plain, causal=False, options=(("heads", 8),) if name == "linear-attention" else ())
        if not causal_only or not both.settings().sharding().refusal:
            found += [both, replace(both, ragged=True, resets=True)]
    extra = [
        Case("attention", options=(("rotary", True),), from_state=True),
        Case("attention", options=(("kv_heads", 4), ("heads", 8)), ragged=True, width=32),
        Case("window-attention", options=(("window", 3), ("rotary", True)), from_state=True),
        Case("mingru", options=(("expansion", 2),), ragged=True, from_state=True),
        Case("minlstm", options=(("expansion", 2),), causal=False),
        Case("diagonal-elman", options=(("block", 2), ("damping", 0.8), ("iterations", 60)), ragged=True),
        Case("diagonal-gru", options=(("iterations", 1),), ragged=True, from_state=True),
        Case("diagonal-gru", options=(("solver", "sequential"),), ragged=True, from_state=True),
        Case("diagonal-lstm", options=(("block", 2),), from_state=True),
        Case("linear-attention", options=(("chunk", 2), ("gate", False)), from_state=True),
    ]
    if causal_only:
        found += rings() + halves()
    return found + [case for case in extra if case.causal or not causal_only]


def halves() -> list[Case]:
    """Causal attention of which nothing is kept: its queries are shared out, where there are enough of them."""
    plain = Case("attention", forgets=True)
    grouped = replace(plain, options=(("kv_heads", 2), ("heads", 4), ("rotary", True)), time=11)
    ragged = replace(plain, ragged=True)
    return [plain, ragged, replace(ragged, resets=True), grouped, replace(plain, time=5)]


def rings() -> list[Case]:
    """Attention whose keys and values go round a ring: it keeps no state."""
    plain = Case("attention", ring=True)
    grouped = replace(plain, options=(("kv_heads", 2), ("heads", 4), ("rotary", True)), time=11)
    both = [plain, replace(plain, ragged=True, resets=True), grouped]
    return both + [replace(case, causal=False) for case in both]
