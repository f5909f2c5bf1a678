"""Writing with a causal model and its carried state: greedy, by sampling, and by beam search.

Every token costs one step from the state: the source of an encoder-decoder is encoded once, and no prefix is computed
again. What a row's text is does not depend on the rows beside it, up to the rounding of another batch's products.
Shape suffixes: B rows, K hypotheses of a row, V vocabulary, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from crossover.data.text import BEGIN, END, PAD, UNKNOWN
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.models.backbones import ModelState
from crossover.models.encoder import Source
from crossover.models.model import SequenceModel

Step = Callable[[Tensor, ModelState], tuple[Tensor, ModelState]]
"""The last tokens [B] and the state to logits [B, V] in float32 and the state after them."""

Choose = Callable[[Tensor, Tensor], Tensor]
"""Logits [B, V] and which rows they are of [B] to a token each [B]."""

_SPARE_STEPS = 16
_COMPACT_BELOW = 0.75
"""Finished rows are taken out of the batch, a copy of its state, when fewer than this share of it is left."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Draws from softmax(logits / temperature), from the `top_k` likeliest tokens (0: all) and of those from the
    fewest that hold `top_p` of the probability (Holtzman et al. 2020, arXiv 1904.09751). Temperature 0 is greedy.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ConfigError(f"temperature is {self.temperature}: give 0 or more")
        if self.top_k < 0:
            raise ConfigError(f"top_k is {self.top_k}: give 1 or more, or 0 for all tokens")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}: give a share above 0 and up to 1")


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Beam search with `size` hypotheses a row, scored by log probability over ((5 + length) / 6)^length_penalty
    (Wu et al. 2016, arXiv 1609.08144, equation 14); the `best` of them are what is asked for."""

    size: int = 4
    length_penalty: float = 0.6
    best: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"a beam of {self.size}: give 1 or more")
        if not self.length_penalty >= 0:
            raise ConfigError(f"length_penalty is {self.length_penalty}: give 0 or more")
        if not 1 <= self.best <= self.size:
            raise ConfigError(f"the best {self.best} texts need a beam of as many: give a larger --beam")

    def score(self, log_probability: float, length: int) -> float:
        """The score of a hypothesis of `length` tokens, its end included."""
        return float(log_probability / ((5 + length) / 6) ** self.length_penalty)


Writing = Beam | Sampling | None
"""How text is written: None takes the likeliest token at every step."""


@dataclass(frozen=True)
class Hypothesis:
    """Tokens without their end, and their score: a log probability, under a beam divided by its length penalty."""

    ids: tuple[int, ...]
    score: float


def write(
    model: SequenceModel, source: Source, numerics: Numerics, *, beam: int = 1, limit: int | None = None
) -> Tensor:
    """What an encoder-decoder writes from each source, [B, L] int64, PAD after its end: greedily, or by a beam.

    A row gets at most `limit` tokens, here and below (None: twice its source and some).
    """
    if beam == 1:
        rows: Sequence[Sequence[int]] = _write(model, source, numerics, _likeliest, limit)
    else:
        found = beam_search(model, source, numerics, Beam(size=beam), limit=limit)
        rows = [best.ids for best, *_ in found]
    ids = [torch.tensor(row, dtype=torch.int64) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)


def sample(
    model: SequenceModel,
    source: Source,
    numerics: Numerics,
    sampling: Sampling,
    *,
    limit: int | None = None,
    first: int = 0,
) -> list[list[int]]:
    """What it writes when each token is drawn.

    A row's draws depend on `sampling.seed` and its place alone, which is counted from `first`.
    """
    return _write(model, source, numerics, Drawer(sampling, len(source.inputs), first=first), limit)


def continuation(
    model: SequenceModel, ids: Sequence[int], tokens: int, numerics: Numerics, choose: Choose
) -> Iterator[int]:
    """The `tokens` ids that a language model writes after `ids`, one at a time."""
    for drawn_B in continuations(model, torch.tensor([list(ids)]), tokens, numerics, choose):
        yield int(drawn_B)


@torch.inference_mode()
def continuations(
    model: SequenceModel, ids_BT: Tensor, tokens: int, numerics: Numerics, choose: Choose
) -> Iterator[Tensor]:
    """The same after each row of `ids_BT`: `tokens` times the next id of every row, [B]."""
    chunk_BT = ids_BT.to(numerics.device)
    rows, length = chunk_BT.shape
    rows_B = torch.arange(rows, device=chunk_BT.device)
    state = model.initial_state(rows, capacity=length + tokens, device=chunk_BT.device, dtype=torch.float32)
    for _ in range(tokens):
        outputs_BTV, carried = model(chunk_BT, state=state)
        state = carried if carried is not None else state
        drawn_B = choose(only_text(outputs_BTV[:, -1].float()), rows_B)
        yield drawn_B
        chunk_BT = drawn_B[:, None]


@torch.inference_mode()
def _write(
    model: SequenceModel, source: Source, numerics: Numerics, choose: Choose, limit: int | None
) -> list[list[int]]:
    source = source.to(numerics.device)
    limits = _limits(model, source, limit)
    written: list[list[int]] = [[] for _ in limits]
    step = stepper(model, numerics)
    state = _start(model, source, numerics, max(limits, default=0) + 1)
    rows_B = torch.arange(len(limits), device=source.inputs.device)
    last_B = torch.full_like(rows_B, BEGIN)
    alive = [True] * len(rows_B)
    while any(alive):
        logits_BV, state = step(last_B, state)
        last_B = choose(only_text(logits_BV), rows_B)
        for place, (row, token) in enumerate(zip(rows_B.tolist(), last_B.tolist(), strict=True)):
            if not alive[place]:
                continue
            if token != END:
                written[row].append(token)
            alive[place] = token != END and len(written[row]) < limits[row]
        if sum(alive) <= _COMPACT_BELOW * len(alive):
            kept = torch.tensor([place for place, lives in enumerate(alive) if lives], device=rows_B.device)
            kept = kept.to(torch.int64)
            rows_B, last_B, state = rows_B[kept], last_B[kept], state.select(kept)
            alive = [True] * len(kept)
    return written


class Drawer:
    """Draws a token for every row, each row from a generator of its own, told by its place from `first` on."""

    def __init__(self, sampling: Sampling, rows: int, *, first: int = 0) -> None:
        self.sampling = sampling
        seeds = (sampling.seed * 1_000_003 + row for row in range(first, first + rows))
        self.generators = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]

    def __call__(self, logits_BV: Tensor, rows_B: Tensor) -> Tensor:
        """A token for each row; logits of -inf are never drawn."""
        if self.sampling.temperature == 0:
            return _likeliest(logits_BV, rows_B)
        shares_BV = _nucleus((logits_BV.float().cpu() / self.sampling.temperature), self.sampling).softmax(-1)
        drawn = [
            torch.multinomial(shares_V, 1, generator=self.generators[row])
            for shares_V, row in zip(shares_BV, rows_B.tolist(), strict=True)
        ]
        return torch.cat(drawn).to(logits_BV.device)


def _nucleus(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """-inf for what `top_k` and `top_p` leave out; the likeliest token is always in."""
    if sampling.top_k and sampling.top_k < logits_BV.shape[-1]:
        least_B1 = logits_BV.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, -torch.inf)
    if sampling.top_p < 1:
        ordered = logits_BV.sort(dim=-1, descending=True)
        shares_BV = ordered.values.softmax(-1)
        outside_BV = shares_BV.cumsum(-1) - shares_BV >= sampling.top_p
        outside_BV = torch.zeros_like(outside_BV).scatter(1, ordered.indices, outside_BV)
        logits_BV = logits_BV.masked_fill(outside_BV, -torch.inf)
    return logits_BV


@torch.inference_mode()
def beam_search(
    model: SequenceModel, source: Source, numerics: Numerics, beam: Beam, *, limit: int | None = None
) -> list[list[Hypothesis]]:
    """The `beam.best` hypotheses of every row, the likeliest first.

    A row is done when `beam.size` hypotheses have ended and none that is still open can get ahead of them.
    """
    source = source.to(numerics.device)
    limits = _limits(model, source, limit)
    size, device = beam.size, source.inputs.device
    step = stepper(model, numerics)
    # Hypotheses change places at every step, a copy of the caches: room ahead in them would only be copied too.
    state = _start(model, source, numerics, None)
    state = state.select(torch.arange(len(limits), device=device).repeat_interleave(size))
    searches = [_Search(row, limit, beam) for row, limit in enumerate(limits)]
    done: list[_Search] = []
    last_BK = torch.full((len(limits), size), BEGIN, device=device)
    scores_BK = torch.full((len(limits), size), -torch.inf, device=device)
    scores_BK[:, 0] = 0.0
    while searches:
        logits, state = step(last_BK.flatten(), state)
        found = _candidates(scores_BK, only_text(logits).log_softmax(-1).view(len(searches), size, -1))
        told = zip(searches, *(part.tolist() for part in found), strict=True)
        open_rows = [place for place, (search, *candidates) in enumerate(told) if search.advance(*candidates)]
        kept = torch.tensor(open_rows, dtype=torch.int64, device=device)
        done += [search for place, search in enumerate(searches) if place not in set(open_rows)]
        searches = [searches[place] for place in open_rows]
        parents_BK, last_BK, scores_BK = (part[kept] for part in found.going())
        # The hypotheses of a row share its source: what is remembered of it moves only when rows fall out.
        state = state.select((kept[:, None] * size + parents_BK).flatten(), memory=len(kept) < len(found.scores_BC))
    return [search.best() for search in sorted(done, key=lambda search: search.row)]


class _Candidates(NamedTuple):
    """One step's best continuations of every row, the likeliest first, and which of them go on."""

    scores_BC: Tensor
    parents_BC: Tensor
    tokens_BC: Tensor
    going_BK: Tensor

    def going(self) -> tuple[Tensor, Tensor, Tensor]:
        """Parents, tokens and scores [B, K] of those that go on; a place that none takes has the score -inf."""
        parents_BK, tokens_BK, scores_BK = (
            part.gather(1, self.going_BK) for part in (self.parents_BC, self.tokens_BC, self.scores_BC)
        )
        return parents_BK, tokens_BK, scores_BK.masked_fill(tokens_BK == END, -torch.inf)


def _candidates(scores_BK: Tensor, shares_BKV: Tensor) -> _Candidates:
    """The 2K best of all continuations of each row, whose log probabilities are `shares_BKV`."""
    size, vocabulary = shares_BKV.shape[1:]
    totals = (scores_BK[..., None] + shares_BKV).flatten(1)
    top = totals.topk(min(2 * size, totals.shape[1]), dim=1)
    tokens_BC = top.indices % vocabulary
    # Of the 2K best at most K end, so K that go on are always among them; a stable sort keeps their order.
    going_BK = (tokens_BC == END).int().argsort(dim=1, stable=True)[:, :size]
    return _Candidates(top.values, top.indices // vocabulary, tokens_BC, going_BK)


class _Search:
    """The hypotheses of one row."""

    def __init__(self, row: int, limit: int, beam: Beam) -> None:
        self.row, self.limit, self.beam = row, limit, beam
        self.open: list[tuple[int, ...]] = [()] * beam.size
        self.ended: list[Hypothesis] = []

    def advance(
        self, scores: Sequence[float], parents: Sequence[int], tokens: Sequence[int], going: Sequence[int]
    ) -> bool:
        """Take one step's candidates, the likeliest first; False when the row is done."""
        size = self.beam.size
        for score, parent, token in list(zip(scores, parents, tokens, strict=True))[:size]:
            if token == END and score > -torch.inf:
                ids = self.open[parent]
                self.ended.append(Hypothesis(ids, self.beam.score(score, len(ids) + 1)))
        self.open = [(*self.open[parents[c]], tokens[c]) for c in going]
        likeliest = max((scores[c] for c in going if tokens[c] != END), default=-torch.inf)
        self.ended = sorted(self.ended, key=lambda found: -found.score)[:size]
        if len(self.open[0]) >= self.limit:
            ends = (-torch.inf if tokens[c] == END else scores[c] for c in going)
            cut = zip(self.open, ends, strict=True)
            self.ended += [
                Hypothesis(ids, self.beam.score(score, len(ids))) for ids, score in cut if score > -torch.inf
            ]
            return False
        # Log probabilities only fall, so no open hypothesis can end better than this.
        reachable = self.beam.score(likeliest, self.limit + 1)
        return len(self.ended) < size or reachable > self.ended[-1].score

    def best(self) -> list[Hypothesis]:
        """The best that have ended."""
        return sorted(self.ended, key=lambda found: -found.score)[: self.beam.best]


def stepper(model: SequenceModel, numerics: Numerics) -> Step:
    """`model` one step at a time under a numerics policy."""

    def step(last_B: Tensor, state: ModelState) -> tuple[Tensor, ModelState]:
        with numerics.autocast():
            outputs_B1V, after = model(last_B[:, None], state=state)
        return outputs_B1V[:, -1].float(), state if after is None else after

    return step


def _start(model: SequenceModel, source: Source, numerics: Numerics, capacity: int | None) -> ModelState:
    with numerics.autocast():
        return model.initial_state(len(source.inputs), source=source, capacity=capacity, device=source.inputs.device)


def _limits(model: SequenceModel, source: Source, limit: int | None) -> list[int]:
    """How many tokens each row may get, within the positions that were learned."""
    limits = [2 * length + _SPARE_STEPS if limit is None else limit for length in source.lengths_B.tolist()]
    if model.settings.positions != "learned":
        return limits
    return [min(length, model.settings.max_length - 1) for length in limits]


def _likeliest(logits_BV: Tensor, rows_B: Tensor) -> Tensor:
    return logits_BV.argmax(-1)


def only_text(logits_BV: Tensor) -> Tensor:
    """-inf for the tokens that stand for no text."""
    logits_BV = logits_BV.clone()
    logits_BV[:, [PAD, UNKNOWN, BEGIN]] = -torch.inf
    return logits_BV
