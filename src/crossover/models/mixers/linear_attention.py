"""Gated linear attention: keys write values into a matrix that fades, queries read from it.

Yang et al. 2023, "Gated Linear Attention Transformers with Hardware-Efficient Training", arXiv 2312.06635, with one
decay per head and step as in Dao and Gu 2024 (Mamba-2), arXiv 2405.21060.
Shape suffixes: H heads, K size of a key, V size of a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term
from crossover.errors import ConfigError
from crossover.models.mixers.autocast import without_autocast
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.models.mixers.chunkwise import LinearSolve, Steps, solve_by_chunks, solve_by_steps
from crossover.models.mixers.spans import hide, no_state, real_resets, refuse_state
from crossover.models.mixers.terms import cost_of, projection
from crossover.sharding import Sharding, Split, TensorSharding

_EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class LinearAttentionSettings(MixerSettings):
    """Linear attention with a decay per head and step.

    `feature_map` is applied to queries and keys: ``elu`` (1 + elu: Katharopoulos et al. 2020, arXiv 2006.16236),
    ``silu`` or ``identity`` (Yang et al.). The first is the default because its products q k are positive: a read of
    few keys does not cancel, and the norm after it does not blow up a rounding error. `gate` multiplies the output by
    SiLU of a projection of the input. Not causal: half of the heads read forwards, the other half backwards.
    """

    name: ClassVar[str] = "linear-attention"
    family: ClassVar[str] = "recurrent"
    formula: ClassVar[str] = "S_t = a_t S_{t-1} + k_t^T v_t, y_t = W_o (norm(q_t S_t) * silu(W_g x_t))"
    cost_law: ClassVar[str] = "O(T d^2) work, T / chunk serial steps, a state of d^2 / heads"
    solvers_told: ClassVar[str] = "chunks of steps, a scan over their states, exact, on any device"
    source: ClassVar[str] = "Yang et al. 2023, arXiv 2312.06635"

    heads: int = 4
    chunk: int = 64
    feature_map: Literal["elu", "silu", "identity"] = "elu"
    gate: bool = True

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width < 1 or self.width % self.heads:
            raise ConfigError(
                f"{self.name}: width={self.width} does not split over heads={self.heads}: use a positive number of "
                "heads that divides the width"
            )
        if not self.causal and self.heads % 2:
            raise ConfigError(
                f"{self.name} with causal=False splits its heads={self.heads} over two directions: use an even number"
            )
        if self.chunk < 1:
            raise ConfigError(f"{self.name}: chunk={self.chunk} must be at least 1")
        if self.feature_map not in FEATURE_MAPS:
            raise ConfigError(
                f"{self.name}: feature_map={self.feature_map!r} is not one of {', '.join(FEATURE_MAPS)}"
            )

    @property
    def head_size(self) -> int:
        """Features of one head, of keys and of values."""
        return self.width // self.heads

    @property
    def heads_per_direction(self) -> int:
        """Heads that read forwards, and as many backwards where not causal."""
        return self.heads if self.causal else self.heads // 2

    @property
    def projected(self) -> int:
        """Features of queries, keys, values and gate together."""
        return (4 if self.gate else 3) * self.width

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Projections without biases, the decay with one, the scale of the norm."""
        return {
            "qkvg.weight": (self.projected, self.width),
            "decay.weight": (self.heads, self.width),
            "decay.bias": (self.heads,),
            "norm.weight": (self.head_size,),
            "out.weight": (self.width, self.width),
        }

    def sharding(self) -> Sharding:
        """Heads split over `tensor`; chunk summaries (decay, state) are combined over `sequence`."""
        divisible, directions = {"heads_per_direction": self.heads_per_direction}, 1 if self.causal else 2
        features, heads = (self.width // directions,) * directions, (self.heads_per_direction,) * directions
        tensor = TensorSharding(
            parameters={
                "qkvg.weight": Split(0, features * (self.projected // self.width)),
                "decay.weight": Split(0, heads),
                "decay.bias": Split(0, heads),
                "out.weight": Split(-1, features),
            },
            partial=("norm.weight",),
            summed=("out",),
            state=(Split(1, heads),),
        )
        refusal = self.unless_causal("starts from both ends of a row")
        return Sharding(divisible=divisible, tensor=tensor, state="scan", refusal=refusal)

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Writes and reads are counted as the recurrence does them; chunks compute more, side by side."""
        into_input = execution.input_gradient
        project = partial(projection, shape=shape, execution=execution, inputs=self.width)
        return cost_of(
            [
                project(
                    name="queries, keys, values, gate", outputs=self.projected, bias=False, input_gradient=into_input
                ),
                project(name="decay", outputs=self.heads, bias=True, input_gradient=into_input, keeps_input=False),
                self._recurrence(shape, execution),
                self._norm_and_gate(shape, execution),
                project(name="output", outputs=self.width, bias=False, split="depth"),
            ],
            shape,
            execution,
            width=self.width,
        )

    def _recurrence(self, shape: Shape, execution: Execution) -> Term:
        precision = execution.exact_bytes
        matrices = shape.batch * self.width * self.head_size
        elements = shape.batch * shape.time * self.width
        pairs = shape.batch * shape.time * self.heads * min(self.chunk, shape.time)
        each = Product(shape.time, self.head_size, self.head_size, count=shape.batch * self.heads, split="count")
        return Term(
            name="recurrence",
            flops_forward=2 * each.flops,
            flops_backward=4 * each.flops,
            activation_bytes=self._kept_by_recurrence(shape, execution),
            state_bytes=matrices * precision if self.causal else 0,
            serial_steps=-(-shape.time // self.chunk) if execution.fused else shape.time,
            scales_with=("batch", "time", "heads", "hidden"),
            products=self._by_chunks(shape) if execution.fused else (each, each),
            streamed_forward=Streamed(15, (35 * elements + 9 * pairs) * precision, pairs + 2 * elements, small=25),
            streamed_backward=Streamed(20, (44 * elements + 19 * pairs) * precision, 2 * elements, small=30),
        )

    def _by_chunks(self, shape: Shape) -> tuple[Product, ...]:
        """What chunks multiply: scores and their sum of values within them, what they write, what is read from it."""
        size, chunk = self.head_size, min(self.chunk, shape.time)
        product = partial(Product, count=shape.batch * self.heads * -(-shape.time // chunk), split="count")
        return (
            product(chunk, size, chunk),
            product(chunk, chunk, size),
            product(size, chunk, size),
            product(chunk, size, size),
        )

    def _kept_by_recurrence(self, shape: Shape, execution: Execution) -> float:
        """Bytes kept: logits and decays, queries, keys, values, and the state before each chunk or at each step."""
        batch, time, width, heads = shape.batch, shape.time, self.width, self.heads
        precision, tokens, matrices = execution.exact_bytes, batch * time, batch * width * self.head_size
        if not execution.fused:
            return precision * (tokens * (3 * heads + 3 * width) + (time + 1) * matrices)
        chunk = min(self.chunk, time)
        chunks = -(-time // chunk)
        padded = batch * chunks * chunk
        per_token = 2 * heads + 3 * heads * chunk + 5 * width
        masks = chunk * chunk * (1 if self.causal else 2)
        return precision * (2 * tokens * heads + padded * per_token + 2 * chunks * matrices) + masks

    def _norm_and_gate(self, shape: Shape, execution: Execution) -> Term:
        tokens, elements, precision = (
            shape.batch * shape.time,
            execution.element_bytes,
            execution.exact_bytes,
        )
        read = tokens
        if execution.fused and self.causal:
            chunk = min(self.chunk, shape.time)
            read = shape.batch * -(-shape.time // chunk) * chunk
        kept = precision * (tokens * (self.heads + self.width) + read * self.width)
        if self.gate:
            kept += tokens * self.width * (precision + elements)
        if self.gate or self.feature_map != "identity":
            # Whoever keeps a part of the projection keeps all of it.
            kept += tokens * self.projected * elements
        functions = tokens * self.width if self.gate else 0
        return Term(
            name="norm and gate",
            parameters=self.head_size,
            activation_bytes=kept,
            scales_with=("batch", "time", "hidden"),
            streamed_forward=Streamed(5, 10 * tokens * self.width * precision, functions, small=3),
            streamed_backward=Streamed(8, 16 * tokens * self.width * precision, functions, small=4),
        )

    def build(self) -> LinearAttention:
        """The module."""
        return LinearAttention(self)


FEATURE_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": lambda x: 1 + F.elu(x),
    "silu": F.silu,
    "identity": lambda x: x,
}


class LinearAttention(Mixer):
    """x_BTD -> y_BTD by gated linear attention.

    State: one matrix per head, [B, H, K, V], in float32 at least, also under autocast. The matrix `qkvg` makes
    queries, keys, values and gate, stacked in this order, head after head.
    """

    settings: LinearAttentionSettings
    solve: LinearSolve

    def __init__(self, settings: LinearAttentionSettings) -> None:
        super().__init__(settings)
        self.qkvg = nn.Linear(settings.width, settings.projected, bias=False)
        self.decay = nn.Linear(settings.width, settings.heads)
        self.norm = nn.RMSNorm(settings.head_size, eps=_EPSILON)
        self.out = nn.Linear(settings.width, settings.width, bias=False)
        self.solve = partial(solve_by_chunks, chunk=settings.chunk)
        self.init_rules = {"decay.bias": retention_rates}

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Zeros, in float32 at least; `capacity` changes nothing, since the state does not grow."""
        if not self.causal:
            raise no_state(self.settings)
        weight, size, heads = self.out.weight, self.settings.head_size, self.decay.weight.shape[0]
        precision = torch.promote_types(dtype or weight.dtype, torch.float32)
        return (torch.zeros(batch, heads, size, size, device=device or weight.device, dtype=precision),)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """See `Mixer.forward`."""
        return self._mix(x_BTD, state, span or Span(), self.solve)

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same, one readable step after the other."""
        return self._mix(x_BTD, state, span or Span(), solve_by_steps)

    def _mix(self, x_BTD: Tensor, state: State | None, span: Span, solve: LinearSolve) -> tuple[Tensor, State | None]:
        if not self.causal:
            refuse_state(self.settings, state)
        mask_BT = span.mask_BT(x_BTD.shape[1])
        steps, gate_BTD = self.prepare(hide(x_BTD, mask_BT), span)
        with without_autocast(x_BTD.device):
            if self.causal:
                start = self._zeros(steps) if state is None else state[0].to(steps.q.dtype)
                y_BHTV, end = solve(steps, start)
            else:
                y_BHTV, end = self._both_ways(steps, solve), None
        after = (end,) if end is not None and span.carry else None
        return self.finish(y_BHTV, gate_BTD, mask_BT), after

    def prepare(self, x_BTD: Tensor, span: Span) -> tuple[Steps, Tensor | None]:
        """The recurrence's inputs and the gate's, [B, T, D]; padding changes nothing in the recurrence."""
        size, precision = self.settings.head_size, torch.promote_types(x_BTD.dtype, torch.float32)
        parts = self.qkvg(x_BTD).chunk(4 if self.settings.gate else 3, dim=-1)
        mapped = FEATURE_MAPS[self.settings.feature_map]
        q_BTD, k_BTD, v_BTD = (part.to(precision) for part in parts[:3])
        # Before heads stand apart: a CPU takes several times as long over rows of one head's features.
        by_head = (mapped(q_BTD) * size**-0.5, mapped(k_BTD), v_BTD)
        q, k, v = (part.unflatten(-1, (-1, size)).transpose(1, 2) for part in by_head)
        # A rounding of the decay would add up over the steps: its projection is too small to be worth it.
        with without_autocast(x_BTD.device):
            log_decay_BTH = F.logsigmoid(self.decay(x_BTD.to(self.decay.weight.dtype)).to(precision))
        log_decay_BHT = hide(log_decay_BTH, span.mask_BT(x_BTD.shape[1])).transpose(1, 2)
        resets_BT = real_resets(span, x_BTD.shape[1])
        resets = None if resets_BT is None else resets_BT[:, None]
        steps = Steps(q, k, v, log_decay_BHT, resets)
        return steps, parts[3] if self.settings.gate else None

    def finish(self, y_BHTV: Tensor, gate_BTD: Tensor | None, mask_BT: Tensor | None) -> Tensor:
        """Each head normalised, gated, through the output projection; zero after a row's end."""
        y_BTD = self.norm(y_BHTV.transpose(1, 2)).flatten(2)
        if gate_BTD is not None:
            y_BTD = y_BTD * F.silu(gate_BTD)
        return hide(self.out(y_BTD), mask_BT)

    def _both_ways(self, steps: Steps, solve: LinearSolve) -> Tensor:
        half = steps.q.shape[1] // 2
        forwards, backwards = steps.heads(slice(None, half)), steps.heads(slice(half, None)).reversed()
        ahead, _ = solve(forwards, self._zeros(forwards))
        back, _ = solve(backwards, self._zeros(backwards))
        return torch.cat([ahead, back.flip(2)], dim=1)

    def _zeros(self, steps: Steps) -> Tensor:
        batch, heads, _, size = steps.k.shape
        return steps.k.new_zeros(batch, heads, size, size)


def retention_rates(values_H: Tensor, generator: torch.Generator) -> None:
    """Biases at which head h keeps 1 - 2^(-5-h) of its state per step (Sun et al. 2023, RetNet, equation 8)."""
    values_H.copy_((2.0 ** (5 + torch.arange(values_H.shape[0])) - 1).log())
