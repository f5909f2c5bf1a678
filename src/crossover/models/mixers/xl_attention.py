"""Transformer-XL's attention: relative positions, and a memory of the last steps that is carried on.

Dai et al. 2019, "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context", arXiv 1901.02860, section
3.3. Two things differ from the original. Every step sees the same number of steps before itself, so that a row is
the same function whole, in segments and step by step (the original's first step of a segment sees the memory, its
last the memory and the segment). And what is carried are keys and values, as in decoding, not the layer's inputs
to be projected again at every segment. Whether a gradient flows into them is up to who carries them: training cuts
it.
Shape suffixes: H heads, K size of a head, W keys in a window, S steps of keys, L queries of a block, R its keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import COUNTER_BYTES, Cost, Execution, Product, Shape, Term
from crossover.errors import ConfigError
from crossover.models.embedding import sinusoids
from crossover.models.initialise import normal
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.models.mixers.spans import hide, no_state, refuse_state
from crossover.models.mixers.terms import cost_of, projection
from crossover.models.mixers.window import Blocks, Surroundings, empty_window, surround, window_scores
from crossover.sharding import Sharding, Split, TensorSharding

_BIAS_STD = 0.02
"""Spread of the initial biases u and v, as in the authors' code."""


@dataclass(frozen=True, kw_only=True)
class XLAttentionSettings(MixerSettings):
    """Attention over the step and the `memory` steps before it (not causal: as many after it), by distance.

    The score of a query q and a key k at distance d is (q + u)·k + (q + v)·W_r r_d, with sinusoids r and biases u, v
    of each head: content, content with position, and the weight of either by itself.
    """

    name: ClassVar[str] = "xl-attention"
    family: ClassVar[str] = "attention"
    formula: ClassVar[str] = "y_t = W_o softmax(((q_t + u) k_j + (q_t + v) W_r r_{t-j}) / sqrt(k)) V, t-m <= j <= t"
    cost_law: ClassVar[str] = "O(T d^2 + T m d) work, 1 serial step, a state of 2 m d"
    source: ClassVar[str] = "Dai et al. 2019, arXiv 1901.02860"

    heads: int = 4
    memory: int = 128

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width < 1 or self.width % self.heads:
            raise ConfigError(
                f"{self.name}: width={self.width} does not split over heads={self.heads}: use a positive number of "
                "heads that divides the width"
            )
        if self.memory < 1:
            raise ConfigError(f"{self.name}: memory={self.memory} must be at least 1 step")

    @property
    def head_size(self) -> int:
        """Features of one head."""
        return self.width // self.heads

    @property
    def before(self) -> int:
        """Number of keys that a step sees before itself."""
        return self.memory

    @property
    def after(self) -> int:
        """Number of keys that a step sees after itself."""
        return 0 if self.causal else self.memory

    @property
    def window(self) -> int:
        """Number of keys that a step sees, its own included."""
        return self.before + 1 + self.after

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Three matrices and two biases of each head."""
        return {
            "content_bias": (self.heads, self.head_size),
            "position_bias": (self.heads, self.head_size),
            "qkv.weight": (3 * self.width, self.width),
            "position.weight": (self.width, self.width),
            "out.weight": (self.width, self.width),
        }

    def sharding(self) -> Sharding:
        """Heads split over `tensor`; the last keys and values are handed on over `sequence`."""
        divisible, biases, features = {"heads": self.heads}, Split(0, (self.heads,)), (self.width,)
        parameters = {
            "content_bias": biases,
            "position_bias": biases,
            "qkv.weight": Split(0, features * 3),
            "position.weight": Split(0, features),
            "out.weight": Split(-1, features),
        }
        remembered = Split(1, (self.heads,))
        tensor = TensorSharding(parameters=parameters, summed=("out",), state=(remembered, remembered, None))
        refusal = self.unless_causal("looks both ways")
        return Sharding(divisible=divisible, tensor=tensor, state="hand-on", refusal=refusal)

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Every query is counted with a whole window; `flops_skipped` is what lies before or after the row."""
        width, project = self.width, partial(projection, shape=shape, execution=execution, bias=False)
        distances = Product(self.window, width, width)
        state = 2 * width * self.memory * execution.element_bytes + COUNTER_BYTES
        terms = [
            project(
                "queries, keys, values", inputs=width, outputs=3 * width, input_gradient=execution.input_gradient
            ),
            Term(
                name="distances",
                flops_forward=distances.flops,
                flops_backward=distances.flops,
                parameters=width * width + 2 * width,
                activation_bytes=(1 + shape.batch) * self.window * width * execution.element_bytes,
                scales_with=("hidden",),
                products=(distances,),
            ),
            self._scores(shape, execution),
            project("output", inputs=width, outputs=width, split="depth"),
            Term(
                name="keys and values",
                state_bytes=shape.batch * state if self.causal else 0,
                scales_with=("batch", "heads"),
            ),
        ]
        return cost_of(terms, shape, execution, width=width)

    def _scores(self, shape: Shape, execution: Execution) -> Term:
        """Content, position and values: three products over all pairs of a query and a key in its window."""
        return window_scores(
            self,
            shape,
            heads=self.heads,
            head_size=self.head_size,
            scorings=2,
            kept=self._kept(shape, execution),
            streamed=self._moved(shape, execution),
        )

    def _moved(self, shape: Shape, execution: Execution) -> tuple[float, float]:
        """Bytes moved around the products: all pairs of a block several times (fused), or every query's window."""
        tokens = shape.batch * shape.time
        if not execution.fused:
            pairs = 2 * tokens * self.heads * self.window
            return 7 * pairs * execution.element_bytes, 10 * pairs * execution.element_bytes
        blocks = Blocks(shape.time, self.memory, self)
        pairs = shape.batch * blocks.count * blocks.size * blocks.keys * self.heads
        forward, backward = 11 * pairs + 41 * tokens * self.width, 11 * pairs + 15 * tokens * self.width
        return forward * execution.element_bytes, backward * execution.element_bytes

    def _kept(self, shape: Shape, execution: Execution) -> float:
        """Bytes kept: queries with either bias, keys and values of every window or block, weights and their mask."""
        batch, time, elements = shape.batch, shape.time, execution.element_bytes
        if execution.fused:
            blocks = Blocks(time, self.memory, self)
            padded, keys = blocks.count * blocks.size, blocks.keys
            block_keys = 2 * batch * blocks.count * keys * self.width * elements
            weights = batch * padded * keys * (self.heads * elements + 1)
            return 2 * batch * padded * self.width * elements + block_keys + weights
        window = 2 * self.window * self.width * elements + self.heads * self.window * elements + self.window
        return batch * time * (2 * self.width * elements + window)

    def build(self) -> XLAttention:
        """The module."""
        return XLAttention(self)


class XLKernel(Protocol):
    """Attention of q [B, H, T, K] over what stands around it, given the weights that turn distances into scores."""

    def __call__(self, q_BHTK: Tensor, around: Surroundings, mixer: XLAttention) -> Tensor: ...  # noqa: D102


def attend_windows(q_BHTK: Tensor, around: Surroundings, mixer: XLAttention) -> Tensor:
    """Each query over its own window, written out."""
    settings = mixer.settings
    k_BHTKW, v_BHTKW = (part.unfold(2, settings.window, 1) for part in (around.k, around.v))
    own_BT = around.segment.narrow(1, settings.before, q_BHTK.shape[2])
    visible_BTW = around.segment.unfold(1, settings.window, 1) == own_BT[..., None]
    content_BHTW = (mixer.with_content_bias(q_BHTK)[:, :, :, None] @ k_BHTKW)[:, :, :, 0]
    position_BHTW = mixer.with_position_bias(q_BHTK) @ mixer.distances_HKW()
    scores_BHTW = (content_BHTW + position_BHTW).masked_fill(~visible_BTW[:, None], -torch.inf)
    weights_BHTW = scores_BHTW.softmax(-1).to(v_BHTKW.dtype)
    return (weights_BHTW[:, :, :, None] @ v_BHTKW.transpose(3, 4))[:, :, :, 0]


def attend_blocks(q_BHTK: Tensor, around: Surroundings, mixer: XLAttention) -> Tensor:
    """Blocks of queries, each over the keys that any of them sees: two large products instead of many small ones."""
    settings = mixer.settings
    blocks = Blocks(q_BHTK.shape[2], settings.memory, settings)
    k, v = blocks.around(around.k), blocks.around(around.v)
    position = blocks.queries(mixer.position_scores(q_BHTK))
    # In place: no backward needs the scores before their softmax.
    scores = mixer.with_content_bias(blocks.queries(q_BHTK)) @ k.transpose(2, 3)
    scores = scores.add_(shifted(position)).masked_fill_(~blocks.visible(around.segment), -torch.inf)
    return blocks.joined(scores.softmax(-1).to(v.dtype) @ v)


def shifted(scores_LW: Tensor) -> Tensor:
    """Scores by place in each query's window, [..., L, W], to places among the block's keys, [..., L, L + W - 1].

    Query l sees the keys from l on: its row moves l places to the right, and zeros stand elsewhere. Padded by L
    columns and read with one column less, every row starts one place later than the row before it.
    """
    size, window = scores_LW.shape[-2:]
    padded = F.pad(scores_LW, (0, size)).flatten(-2)
    return padded[..., : size * (size + window - 1)].unflatten(-1, (size, size + window - 1))


class XLAttention(Mixer):
    """x_BTD -> y_BTD by attention over the last steps and their distances. State: `Window`."""

    settings: XLAttentionSettings

    def __init__(self, settings: XLAttentionSettings) -> None:
        super().__init__(settings)
        width, heads = settings.width, (settings.heads, settings.head_size)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.position = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads))
        self.position_bias = nn.Parameter(torch.zeros(heads))
        self.out = nn.Linear(width, width, bias=False)
        self.init_rules = {name: normal(_BIAS_STD) for name in ("content_bias", "position_bias")}
        self.solve: XLKernel = attend_blocks

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """An empty memory; `capacity` changes nothing, since it does not grow."""
        if not self.causal:
            raise no_state(self.settings)
        settings = self.settings
        return empty_window(
            settings,
            self.qkv.weight,
            batch=batch,
            heads=self.content_bias.shape[0],
            head_size=settings.head_size,
            device=device,
            dtype=dtype,
        )

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """See `Mixer.forward`."""
        return self._mix(x_BTD, state, span or Span(), self.solve)

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same with every query's window written out."""
        return self._mix(x_BTD, state, span or Span(), attend_windows)

    def _mix(self, x_BTD: Tensor, state: State | None, span: Span, kernel: XLKernel) -> tuple[Tensor, State | None]:
        if not self.causal:
            refuse_state(self.settings, state)
        mask_BT = span.mask_BT(x_BTD.shape[1])
        split = self.qkv(hide(x_BTD, mask_BT)).unflatten(-1, (3, -1, self.settings.head_size))
        q_BHTK, k_BHTK, v_BHTK = (part.transpose(1, 2) for part in split.unbind(2))
        around, after = surround(k_BHTK, v_BHTK, state, span, self.settings)
        y_BHTK = kernel(q_BHTK, around, self)
        return hide(self.out(y_BHTK.transpose(1, 2).flatten(2)), mask_BT), after

    def with_content_bias(self, q_BHTK: Tensor) -> Tensor:
        """(q + u) / sqrt(K)."""
        return (q_BHTK + self.content_bias[:, None].to(q_BHTK.dtype)) * self.settings.head_size**-0.5

    def with_position_bias(self, q_BHTK: Tensor) -> Tensor:
        """(q + v) / sqrt(K)."""
        return (q_BHTK + self.position_bias[:, None].to(q_BHTK.dtype)) * self.settings.head_size**-0.5

    def distances_HKW(self) -> Tensor:
        """W_r r_d for the distance d to each key of a window, the furthest first."""
        return self.position(self._sinusoids_WD()).unflatten(-1, (-1, self.settings.head_size)).permute(1, 2, 0)

    def position_scores(self, q_BHTK: Tensor) -> Tensor:
        """(q + v)·W_r r_d / sqrt(K) for each key of the query's window [B, H, T, W].

        The product of three is taken in the cheaper order: for few queries (decoding) W_r meets them first.
        """
        queries, window = q_BHTK.shape[0] * q_BHTK.shape[2], self.settings.window
        heads, width = self.settings.heads, self.settings.width
        q_BHTK = self.with_position_bias(q_BHTK)
        if queries * (width + (heads - 1) * window) >= window * width:
            return q_BHTK @ self.distances_HKW()
        weight_HKD = self.position.weight.unflatten(0, (-1, self.settings.head_size))
        return q_BHTK @ weight_HKD @ self._sinusoids_WD().T

    def _sinusoids_WD(self) -> Tensor:
        weight, settings = self.position.weight, self.settings
        distance_W = torch.arange(settings.before, -settings.after - 1, -1, device=weight.device)
        return sinusoids(distance_W, settings.width).to(weight.dtype)
