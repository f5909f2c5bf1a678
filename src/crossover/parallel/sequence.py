"""The sequence axis: every rank holds a stretch of each row's time, and computes it as one device would.

How the state crosses from one stretch to the next is what a mixer's `Sharding.state` says. A dense recurrence or a
window is handed on. Of a linear recurrence the ranks exchange what each stretch does to the state before it, so that
they work at the same time. Softmax attention gathers the keys and values of all stretches or sends them round a ring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from crossover.errors import LayoutError
from crossover.models.mixers.attention import Attention
from crossover.models.mixers.base import Mixer, Span, State
from crossover.models.mixers.cache import Cache
from crossover.models.mixers.chunkwise import solve_by_chunks
from crossover.models.mixers.linear_attention import LinearAttention
from crossover.models.mixers.solved import SolvedMixer
from crossover.models.mixers.spans import real_resets
from crossover.models.model import SequenceModel
from crossover.models.ports import PerRow
from crossover.parallel.collectives import Axis, collect, from_last, gather_over, once, read
from crossover.parallel.handing import hand_on, receive_state
from crossover.parallel.queries import attend_in_halves
from crossover.parallel.ring import attend_in_a_ring
from crossover.parallel.stretch import Stretch
from crossover.recurrence.scan import apply

Forward = Callable[..., tuple[Tensor, State | None]]


def share_time(model: SequenceModel, axis: Axis, *, whole_outputs: bool = False, method: str = "auto") -> Stretch:
    """Make `model` that of a stretch of time, in place; returns what is to be entered before each pass.

    Outputs per row are whole on every rank; those per step are this rank's, or with `whole_outputs` all of them (for
    an objective that needs them together). `method` is `Layout.sequence_method`.
    """
    per_row = isinstance(model.outputs, PerRow)
    stretch = Stretch(axis, whole_outputs=whole_outputs or per_row)
    for mixer in model.backbone.mixers():
        share_mixer_time(mixer, stretch, ring=method == "ring")
    if stretch.whole_outputs:
        within = model.head.forward
        gathered = _head_of_gathered if per_row else _gathered_outputs
        model.head.forward = partial(gathered, within=within, stretch=stretch)  # type: ignore[method-assign]
    return stretch


def _head_of_gathered(
    x_BTD: Tensor, lengths_B: Tensor | None, *, within: Callable[..., Tensor], stretch: Stretch
) -> Tensor:
    return within(collect(x_BTD, 1, stretch.sizes, stretch.axis), stretch.span.lengths_B)


def _gathered_outputs(
    x_BTD: Tensor, lengths_B: Tensor | None, *, within: Callable[..., Tensor], stretch: Stretch
) -> Tensor:
    return collect(within(x_BTD, lengths_B), 1, stretch.sizes, stretch.axis)


def share_mixer_time(mixer: Mixer, stretch: Stretch, *, ring: bool = False) -> None:
    """Let `mixer` work on this rank's steps, in place; the states it is given and returns are those of whole rows.

    With `ring` keys and values are not gathered, but sent from rank to rank; such attention carries no state.
    """
    sharding = mixer.settings.sharding()
    if sharding.refusal:
        raise LayoutError(sharding.refusal)
    own = _Stretched(mixer, mixer.forward, stretch)
    forward = {"hand-on": own.handed_on, "scan": own.summarised, "gather": own.gathered}[sharding.state]
    if isinstance(mixer, Attention) and sharding.state == "gather":
        whole = partial(_attend, solve=mixer.solve, stretch=stretch, causal=mixer.causal)
        mixer.solve = partial(attend_in_a_ring, causal=mixer.causal, stretch=stretch) if ring else whole
    elif isinstance(mixer, SolvedMixer) and sharding.state == "scan":
        mixer.exchange = Summaries(stretch.axis)
    elif isinstance(mixer, LinearAttention):
        chunk, before = mixer.settings.chunk, partial(_state_before, axis=stretch.axis)
        mixer.solve = partial(solve_by_chunks, chunk=chunk, before=before)
    mixer.forward = forward  # type: ignore[method-assign]


@dataclass(frozen=True)
class _Stretched:
    """The forward pass of `mixer`, which was `within`, over this rank's steps; see `Mixer.forward`."""

    mixer: Mixer
    within: Forward
    stretch: Stretch

    def handed_on(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """From the state that the rank before hands on, which is handed on in turn."""
        axis, span = self.stretch.axis, span or Span()
        before = _given(state, axis)
        like = before or self.mixer.initial_state(len(x_BTD), device=x_BTD.device, dtype=x_BTD.dtype)
        if axis.rank > 0:
            before = receive_state(like, x_BTD, axis)
        y_BTD, after = self.within(x_BTD, before, replace(span, carry=span.carry or not axis.last))
        if after is not None and not axis.last:
            after = tuple(part.to(old.dtype) for part, old in zip(after, like, strict=True))
            y_BTD = hand_on(y_BTD, after, axis)
        return y_BTD, _last(after, axis) if span.carry else None

    def summarised(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """All stretches at once: the mixer's solver has been told how to ask for the others."""
        axis, span = self.stretch.axis, span or Span()
        y_BTD, after = self.within(x_BTD, _given(state, axis), span)
        return y_BTD, _last(after, axis) if span.carry else None

    def gathered(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """All stretches at once; positions are counted from the state, which seems to be where this rank begins."""
        if state is not None:
            state = _moved(_given(state, self.stretch.axis), self.stretch.start)
        return self.within(x_BTD, state, span)


def _given(state: State | None, axis: Axis) -> State | None:
    """The state before whole rows: every rank finds a part of its gradient."""
    if state is None:
        return None
    return tuple(read(part, axis) if part.is_floating_point() else part for part in state)


def _last(after: State | None, axis: Axis) -> State | None:
    return None if after is None else tuple(from_last(part, axis) for part in after)


class Summaries:
    """What stretches tell one another along an axis; see `crossover.recurrence.newton.Agreement`.

    A summary is one all-gather each way: [2, B, D] of numbers, [K + 1, K, B, N] of blocks.
    """

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    @property
    def size(self) -> int:
        """How many stretches there are."""
        return self.axis.size

    @property
    def rank(self) -> int:
        """Which of them is this rank's."""
        return self.axis.rank

    def before(self, product: Tensor, last: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
        """See `crossover.recurrence.scan.Exchange`."""
        blocked = product.ndim > last.ndim
        own = torch.cat([product, last[None]]) if blocked else torch.stack([product, last])
        told = gather_over(own, self.axis)
        earlier = range(self.size - 1, self.rank, -1) if reverse else range(self.rank)
        state = initial
        for rank in earlier:
            *columns, after = told[rank].unbind(0)
            state = apply(torch.stack(columns) if blocked else columns[0], state, after)
        return state

    def largest(self, values: Tensor) -> Tensor:
        """See `crossover.recurrence.newton.Agreement`."""
        return gather_over(values, self.axis).amax(0)

    def shifted(self, last: Tensor, initial: Tensor) -> Tensor:
        """See `crossover.recurrence.newton.Agreement`."""
        lasts = gather_over(last, self.axis)
        return lasts[self.rank - 1] if self.rank else initial

    def begins(self, *, reverse: bool) -> bool:
        """See `crossover.recurrence.scan.Exchange`."""
        return self.axis.last if reverse else self.axis.rank == 0


def _state_before(kept_BH: Tensor, written_BHKV: Tensor, state_BHKV: Tensor, *, axis: Axis) -> Tensor:
    """The matrices before this rank's stretch, from what every stretch keeps and writes."""
    once = [1] * axis.size
    kept_RBH = collect(kept_BH[None], 0, once, axis)
    written_RBHKV = collect(written_BHKV[None], 0, once, axis)
    # The first rank needs none of them, but the others wait for its part of their gradients.
    state_BHKV = state_BHKV + written_RBHKV[:0].sum() + kept_RBH[:0].sum()
    for rank in range(axis.rank):
        state_BHKV = torch.addcmul(written_RBHKV[rank], kept_RBH[rank, ..., None, None], state_BHKV)
    return state_BHKV


def _moved(state: State | None, steps: int) -> State | None:
    if state is None:
        return None
    cache = Cache(*state)
    return cache._replace(position=cache.position + steps)


def _attend(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    state: State | None,
    span: Span,
    *,
    solve: Callable[..., tuple[Tensor, State | None]],
    stretch: Stretch,
    causal: bool,
) -> tuple[Tensor, State | None]:
    """This rank's queries over the keys and values of all ranks; every rank so has the cache of whole rows.

    Queries that go on from no cache and see all steps before them are shared out, the late ones with the early.
    """
    axis, whole = stretch.axis, replace(stretch.span, carry=span.carry)
    k_BGTK, v_BGTK = collect(torch.stack([k_BGTK, v_BGTK]), 3, stretch.sizes, axis).unbind(0)
    plain = state is None and not span.carry and real_resets(whole, stretch.time) is None
    if causal and plain and stretch.time >= 2 * axis.size:
        return attend_in_halves(q_BHTK, k_BGTK, v_BGTK, solve=solve, stretch=stretch), None
    y_BHTK, after = solve(q_BHTK, k_BGTK, v_BGTK, _moved(state, -stretch.start), whole, first=stretch.start)
    if after is not None:
        after = Cache(*(once(part, axis) if part.is_floating_point() else part for part in after))
    return y_BHTK, after
