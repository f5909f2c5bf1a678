"""Terms of a cost that several mixers have."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term


def projection(
    name: str,
    shape: Shape,
    execution: Execution,
    inputs: int,
    outputs: int,
    *,
    bias: bool,
    input_gradient: bool = True,
    keeps_input: bool = True,
    split: Literal["columns", "depth"] = "columns",
) -> Term:
    """x W^T + b over every step: `inputs` to `outputs` features. The input is kept for the weight's gradient.

    Ranks of a tensor axis share out the outputs (`split` by columns) or the inputs (by depth).
    """
    tokens = shape.batch * shape.time
    product = Product(tokens, inputs, outputs, split=split)
    kept = tokens * inputs * execution.element_bytes if keeps_input else 0
    return Term(
        name=name,
        flops_forward=product.flops,
        flops_backward=product.flops * (2 if input_gradient else 1),
        parameters=inputs * outputs + (outputs if bias else 0),
        activation_bytes=kept,
        whole_bytes=kept if split == "columns" else 0,
        scales_with=("batch", "time", "hidden"),
        products=(product,),
        streamed_backward=bias_gradient(tokens, outputs, execution) if bias else Streamed(),
    )


def bias_gradient(rows: int, features: int, execution: Execution) -> Streamed:
    """The sum over rows that a bias's gradient is."""
    return Streamed(1, rows * features * execution.element_bytes)


def cost_of(terms: list[Term], shape: Shape, execution: Execution, *, width: int) -> Cost:
    """The cost of these terms; with `execution.recompute` only the input is kept and the forward is done twice."""
    if not execution.recompute:
        return Cost(tuple(terms))
    again = [
        replace(term, flops_backward=term.flops_backward + term.flops_forward, activation_bytes=0) for term in terms
    ]
    kept = shape.batch * shape.time * width * execution.element_bytes
    return Cost.of(*again, Term(name="input", activation_bytes=kept, scales_with=("batch", "time", "hidden")))
