"""One rank's share of a block: a cost, and the parameters, that a whole block has, divided over tensor and time."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod

from crossover.costs import Cost, Product, Streamed, Term
from crossover.models.block import feed_forward_width
from crossover.models.mixers.base import MixerSettings
from crossover.models.ports import PerStep, SourceTarget, Tokens, steps_of
from crossover.models.settings import ModelSettings
from crossover.planning.job import Job
from crossover.planning.practice import OURS, Practice

_KERNELS_OF_A_STEP = 12
"""Of a recurrence that is computed step by step, since its ranks say something at every one."""


_CAST = 2 + 1 + 1
"""Bytes that are read and written of a number in 16 bits that becomes one in 8, and stands in two places."""


def with_casts(cost: Cost) -> Cost:
    """A block whose products are in 8 bits, with the kernels that put their operands from 16 bits into these.

    As they are and turned, since such products read rows alone: inputs forward, gradients of outputs backward.
    Weights are cast once a step, which is left out.
    """
    return Cost.of(*(term if term.fused else _with_casts(term) for term in cost.terms))


def _with_casts(term: Term) -> Term:
    products = [product for product in term.products if product.serial == 1]
    entering = sum(product.rows * product.depth * product.count for product in products)
    leaving = sum(product.rows * product.columns * product.count for product in products)
    return replace(
        term,
        streamed_forward=term.streamed_forward + Streamed(len(products), _CAST * entering),
        streamed_backward=term.streamed_backward + Streamed(len(products), _CAST * leaving),
    )


def share_of(
    cost: Cost,
    *,
    tensor: int = 1,
    stretches: int = 1,
    by_direction: bool = False,
    practice: Practice = OURS,
) -> Cost:
    """What one of `tensor` ranks does in one of `stretches` of time, which are as long and cost as much.

    With `by_direction` the ranks have a direction each.
    """
    if tensor == stretches == 1 and not practice.streamed:
        return cost
    return Cost(tuple(_share(term, tensor, stretches, by_direction, practice) for term in cost.terms))


def _share(term: Term, tensor: int, stretches: int, by_direction: bool, practice: Practice) -> Term:
    ranks = tensor if term.divided or practice.spread else 1
    flops = 1 / (ranks * stretches)
    shared = practice.streamed.get(term.name, 1.0) * flops
    whole = term.whole_bytes / (tensor if practice.spread else 1)
    products = tuple(_product(product, ranks, stretches, by_direction) for product in term.products)
    ahead, back = (streamed.part(shared) for streamed in (term.streamed_forward, term.streamed_backward))
    steps = max((product.serial for product in products), default=1)
    if ranks > 1 and steps > 1 and not by_direction:
        ahead += Streamed(_KERNELS_OF_A_STEP * steps)
        back += Streamed(2 * _KERNELS_OF_A_STEP * steps)
    return replace(
        term,
        flops_forward=term.flops_forward * flops,
        flops_backward=term.flops_backward * flops,
        flops_skipped=term.flops_skipped * flops,
        activation_bytes=(whole + (term.activation_bytes - term.whole_bytes) / ranks) / stretches,
        whole_bytes=whole / stretches,
        unwritten_bytes=term.unwritten_bytes / ranks / stretches,
        state_bytes=term.state_bytes / ranks,
        products=products,
        streamed_forward=ahead,
        streamed_backward=back,
    )


def _product(product: Product, ranks: int, stretches: int, by_direction: bool) -> Product:
    dim: str
    if ranks > 1:
        dim = "count" if by_direction and product.count == ranks else product.split
        product = replace(product, **{dim: ceil(getattr(product, dim) / ranks)})
    if stretches > 1:
        dim = "serial" if product.serial > 1 else "rows"
        product = replace(product, **{dim: ceil(getattr(product, dim) / stretches)})
    return product


def mixer_parameters(mixer: MixerSettings, tensor: int) -> int:
    """Parameters that one of `tensor` ranks has of a mixer."""
    sharding = mixer.sharding().tensor
    split = sharding.over(tensor).parameters if sharding is not None and tensor > 1 else {}
    return sum(prod(shape) // (tensor if name in split else 1) for name, shape in mixer.parameters().items())


def around_parameters(settings: ModelSettings, tensor: int, *, looks: bool) -> int:
    """Parameters that a rank has of a block besides its mixer; `looks` says that it looks at a source."""
    width, hidden = settings.width, feed_forward_width(settings)
    norm = width * (2 if settings.norm == "layer" else 1)
    norms = 0 if settings.style == "classic" else 1 + bool(hidden) + looks
    found = norms * norm
    if hidden:
        matrices = 3 if settings.feed_forward == "swiglu" else 2
        found += matrices * width * hidden // tensor
        found += 0 if matrices == 3 else hidden // tensor + width
    if looks:
        matrix = width * width + width
        found += {"attention": 4 * matrix, "additive": 3 * matrix, "last": matrix}[settings.cross]
        if settings.cross == "attention":
            found -= (4 * width * width + 3 * width) * (tensor - 1) // tensor
    return found


def ends_parameters(job: Job, tensor: int) -> tuple[int, int]:
    """Parameters that a rank has before the first block and behind the last, tables shared out where they divide."""
    first, last = (cost.parameters for cost in job.ends(1))
    if tensor == 1:
        return first, last
    tables = [steps_of(job.inputs)]
    if isinstance(job.inputs, SourceTarget) and not job.inputs.shared:
        tables.append(job.inputs.source)
    for port in tables:
        if isinstance(port, Tokens) and port.vocabulary % tensor == 0:
            first -= port.vocabulary * job.model.width * (tensor - 1) // tensor
    if isinstance(job.outputs, PerStep) and job.outputs.size % tensor == 0:
        rows = 1 if job.model.tie_embeddings else job.model.width + 1
        last -= job.outputs.size * rows * (tensor - 1) // tensor
    return first, last
