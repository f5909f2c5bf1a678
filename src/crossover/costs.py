"""Cost: a value that adds up. What a module computes, stores and must do in sequence, term by term."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace
from typing import Literal

COUNTER_BYTES = 8
"""Of a whole number in a state: it takes no gradient, and has the same size in every number format."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a cost is asked for: `batch` rows of `time` steps; `context` earlier steps already in the state.

    `source` is the length of the source that an encoder-decoder reads. `scored` is the number of steps, of all rows
    together, that outputs are computed at; None: at every one.
    """

    batch: int
    time: int
    context: int = 0
    source: int = 0
    scored: int | None = None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a module is run: bytes per element, whether fused kernels are used, and which gradients are taken.

    Under autocast products take and give `element_bytes`, and what goes from block to block has `residual_bytes` (0:
    as many). Dropout keeps `noise_bytes` of an element for its backward (0: as many as the element has, which is how
    a CPU does it; kernels for GPUs keep one). With `dropped_scores` the probabilities of attention are dropped out.
    """

    element_bytes: int = 4
    residual_bytes: int = 0
    noise_bytes: int = 0
    dropped_scores: bool = False
    fused: bool = True
    recompute: bool = False
    input_gradient: bool = True
    state_gradient: bool = False

    @property
    def exact_bytes(self) -> int:
        """Bytes of an element of a scan or a state that is computed in fp32 at least, whatever products are in."""
        return max(self.element_bytes, 4)

    @property
    def between_blocks(self) -> int:
        """Bytes of an element that goes from block to block."""
        return self.residual_bytes or self.element_bytes


@dataclass(frozen=True)
class Product:
    """`count` products of matrices [rows, depth] x [depth, columns] side by side, `serial` times after one another.

    A machine's rate depends on these sizes. `split` is the one that ranks of a tensor axis share out.
    """

    rows: int
    depth: int
    columns: int
    count: int = 1
    serial: int = 1
    split: Literal["columns", "depth", "count"] = "columns"

    @property
    def flops(self) -> int:
        """A multiply-add counts as two."""
        return 2 * self.rows * self.depth * self.columns * self.count * self.serial


def flops_of(products: Iterable[Product]) -> int:
    """FLOPs of several products."""
    return sum(product.flops for product in products)


@dataclass(frozen=True)
class Streamed:
    """Kernels that multiply no matrices: how many share the bytes that are read and written.

    `functions` are the exponentials and the like that they compute, which take a CPU longer than reading does.
    `small` kernels are started besides and move next to nothing.
    """

    kernels: int = 0
    bytes: float = 0.0
    functions: float = 0.0
    small: int = 0

    @property
    def started(self) -> int:
        """All kernels."""
        return self.kernels + self.small

    def __add__(self, other: Streamed) -> Streamed:
        return Streamed(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def part(self, share: float) -> Streamed:
        """As many kernels on a share of the elements."""
        return replace(self, bytes=self.bytes * share, functions=self.functions * share)


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of a cost.

    FLOPs count a multiply-add as two. `scales_with` names the dims that the term grows with (batch, time, heads,
    hidden, feed-forward, vocabulary). Ranks of a tensor axis share it out if it is `divided`, but for the
    `whole_bytes` of its activations, which each of them keeps. `unwritten_bytes` of them are set aside by a kernel
    that writes them on the way back only: until then a CPU has no pages of them. `flops_skipped` is the part of
    `flops_forward` that a causal kernel need not compute. `products` are the forward pass's products of matrices,
    which make up its FLOPs wherever there are any (more where the form that is run does more than the definition that
    is counted); with `fused` they and all between them are one kernel that writes down nothing else, such as
    FlashAttention. `streamed_forward` and `streamed_backward` are what other kernels move.
    """

    name: str
    flops_forward: float = 0
    flops_backward: float = 0
    flops_skipped: float = 0
    parameters: int = 0
    activation_bytes: float = 0
    unwritten_bytes: float = 0
    state_bytes: float = 0
    serial_steps: int = 0
    scales_with: tuple[str, ...] = ()
    divided: bool = True
    whole_bytes: float = 0
    products: tuple[Product, ...] = ()
    fused: bool = False
    streamed_forward: Streamed = Streamed()
    streamed_backward: Streamed = Streamed()


@dataclass(frozen=True)
class Cost:
    """A sum of terms: `+` joins costs, `sum(costs, Cost())` adds up a model."""

    terms: tuple[Term, ...] = field(default=())

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.terms + other.terms)

    @classmethod
    def of(cls, *terms: Term) -> Cost:
        """A cost from its terms."""
        return cls(terms)

    @classmethod
    def sum(cls, costs: Iterable[Cost]) -> Cost:
        """The sum of any number of costs."""
        return cls(tuple(term for cost in costs for term in cost.terms))

    @property
    def flops_forward(self) -> float:
        """FLOPs of the forward pass, causal attention counted full."""
        return sum(term.flops_forward for term in self.terms)

    @property
    def flops_backward(self) -> float:
        """FLOPs of the backward pass, counted apart from the forward."""
        return sum(term.flops_backward for term in self.terms)

    @property
    def flops_skipped(self) -> float:
        """FLOPs of the forward pass that a causal kernel need not compute."""
        return sum(term.flops_skipped for term in self.terms)

    @property
    def parameters(self) -> int:
        """Parameter count."""
        return sum(term.parameters for term in self.terms)

    @property
    def activation_bytes(self) -> float:
        """Bytes kept from the forward pass for the backward pass."""
        return sum(term.activation_bytes for term in self.terms)

    @property
    def unwritten_bytes(self) -> float:
        """Of those, the bytes that are set aside and written on the way back only."""
        return sum(term.unwritten_bytes for term in self.terms)

    @property
    def streamed_bytes(self) -> float:
        """Bytes that kernels other than products read and write, in both passes."""
        return sum(term.streamed_forward.bytes + term.streamed_backward.bytes for term in self.terms)

    @property
    def state_bytes(self) -> float:
        """Bytes of the state carried from step to step."""
        return sum(term.state_bytes for term in self.terms)

    @property
    def serial_steps(self) -> int:
        """Length of the longest chain of steps that must be taken one after the other."""
        return sum(term.serial_steps for term in self.terms)
