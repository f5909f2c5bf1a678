"""Cost: a value that adds up. What a module computes, stores and must do in sequence, term by term."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal


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
    """How a module is run: bytes per element, whether fused kernels are used, and which gradients are taken."""

    element_bytes: int = 4
    fused: bool = True
    recompute: bool = False
    input_gradient: bool = True
    state_gradient: bool = False


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


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of a cost.

    FLOPs count a multiply-add as two. `scales_with` names the dims that the term grows with (batch, time, heads,
    hidden, feed-forward, vocabulary), so that a sharding of those dims gives the figure of one rank.
    `flops_skipped` is the part of `flops_forward` that a causal kernel need not compute. `products` are the forward
    pass's products of matrices, which make up its FLOPs wherever there are any.
    """

    name: str
    flops_forward: float = 0
    flops_backward: float = 0
    flops_skipped: float = 0
    parameters: int = 0
    activation_bytes: float = 0
    state_bytes: float = 0
    serial_steps: int = 0
    scales_with: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()


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
    def state_bytes(self) -> float:
        """Bytes of the state carried from step to step."""
        return sum(term.state_bytes for term in self.terms)

    @property
    def serial_steps(self) -> int:
        """Length of the longest chain of steps that must be taken one after the other."""
        return sum(term.serial_steps for term in self.terms)
