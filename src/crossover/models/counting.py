"""Counting a model from its settings alone: cost term by term, and parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term, flops_of
from crossover.models.backbones import mixer_settings
from crossover.models.block import feed_forward_width
from crossover.models.cross import cross_cost
from crossover.models.encoder import encoder_mixers, encoder_settings
from crossover.models.frames import frames_term
from crossover.models.heads import row_features
from crossover.models.mixers.terms import bias_gradient
from crossover.models.ports import Frames, Inputs, Outputs, PerRow, SourceTarget, Steps, Tokens, steps_of
from crossover.models.settings import ModelSettings


@dataclass(frozen=True)
class ParameterCount:
    """Parameters in all, and those of the blocks alone (without embedding, positions and head)."""

    total: int
    without_embedding: int


def model_cost(
    settings: ModelSettings,
    inputs: Inputs,
    outputs: Outputs,
    shape: Shape,
    *,
    causal: bool,
    execution: Execution | None = None,
) -> Cost:
    """The cost of one pass over `shape`, from embedding to head; see `crossover.costs.Term` for the units."""
    execution = execution or Execution()
    first, last = end_costs(settings, inputs, outputs, shape, execution=execution)
    return Cost.sum([first, *block_costs(settings, inputs, shape, causal=causal, execution=execution), last])


def block_costs(
    settings: ModelSettings, inputs: Inputs, shape: Shape, *, causal: bool, execution: Execution | None = None
) -> list[Cost]:
    """Those of every block, those of an encoder first: what a pipeline deals out to its stages."""
    execution = execution or Execution()
    causal = causal if settings.causal is None else settings.causal
    around, found, look = _around_mixer(settings, shape, execution), list[Cost](), Cost.of()
    if isinstance(inputs, SourceTarget):
        own, read = encoder_settings(settings), _reading(shape)
        around_own = _around_mixer(own, read, execution)
        found = [mixer.cost(read, execution) + around_own for mixer in encoder_mixers(settings)]
        look = _look(settings, shape, execution)
    for number, mixer in enumerate(mixer_settings(settings, causal=causal)):
        found.append(mixer.cost(shape, execution) + (around + look if settings.looks(number) else around))
    return found


def end_costs(
    settings: ModelSettings, inputs: Inputs, outputs: Outputs, shape: Shape, *, execution: Execution | None = None
) -> tuple[Cost, Cost]:
    """Those of what stands before the first block, and behind the last; what begins a decoder is with the first."""
    execution = execution or Execution()
    first = _embedding(settings, steps_of(inputs), shape, execution)
    if isinstance(inputs, SourceTarget):
        own = encoder_settings(settings)
        embedding = _embedding(own, inputs.source, _reading(shape), execution)
        if inputs.shared:
            own_ones = own.max_length * own.width if own.positions == "learned" else 0
            own_ones += _norm_parameters(own) if own.embedding_norm else 0
            own_terms = (replace(t, parameters=own_ones) if t.name == "embedding" else t for t in embedding.terms)
            embedding = Cost(tuple(own_terms))
        first = Cost.sum([first, embedding, _final_norm(own)])
    return first, _final_norm(settings) + _head(settings, outputs, shape, execution)


def _reading(shape: Shape) -> Shape:
    """What an encoder reads; where a pass goes on from a state that is behind it, and only its parameters count."""
    # A model without a source yet (parameters alone are counted) reads nothing; mixers need one step all the same.
    rows = 0 if shape.context or not shape.source else shape.batch
    return Shape(batch=rows, time=max(shape.source, 1))


def _look(settings: ModelSettings, shape: Shape, execution: Execution) -> Cost:
    """A decoder block's look at the source, and its norm."""
    look = cross_cost(settings.cross, settings.width, settings.cross_heads, shape, execution)
    norm = 0 if settings.style == "classic" else _norm_parameters(settings)
    kept = shape.batch * shape.time * settings.width * execution.element_bytes if norm else 0
    return look + Cost.of(Term(name="norm", parameters=norm, activation_bytes=kept))


def count_parameters(settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool) -> ParameterCount:
    """Exactly what `build_model` would create."""
    cost = model_cost(settings, inputs, outputs, Shape(batch=1, time=1), causal=causal)
    ends = sum(term.parameters for term in cost.terms if term.name in ("embedding", "head"))
    return ParameterCount(cost.parameters, cost.parameters - ends)


def flops_per_token(settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool, time: int) -> float:
    """Forward FLOPs per step of a row of `time` steps; a source is taken to be as long."""
    shape = Shape(batch=1, time=time, source=time)
    return model_cost(settings, inputs, outputs, shape, causal=causal).flops_forward / time


def _around_mixer(settings: ModelSettings, shape: Shape, execution: Execution) -> Cost:
    """Norms and feed-forward of one block."""
    tokens, width = shape.batch * shape.time, settings.width
    hidden = feed_forward_width(settings)
    norms = 0 if settings.style == "classic" else (2 if hidden else 1)
    size = execution.between_blocks
    kept = norms * tokens * width * size
    # What a product takes in fewer bytes is copied first.
    cast = (
        Streamed(norms, norms * tokens * width * (size + execution.element_bytes))
        if execution.residual_bytes
        else Streamed()
    )
    norm = Term(
        name="norm",
        parameters=norms * _norm_parameters(settings),
        activation_bytes=kept,
        scales_with=("batch", "time", "hidden"),
        divided=False,
        whole_bytes=kept,
        streamed_forward=Streamed(2 * norms, 5 * kept) + cast,
        streamed_backward=Streamed(3 * norms, 6 * kept) + cast,
    )
    around = Cost.of(norm, *_dropout(settings, tokens * width, size, execution, times=max(norms, 1)))
    return around + _feed_forward(settings, tokens, execution) if hidden else around


def _dropout(settings: ModelSettings, dropped: int, size: int, execution: Execution, times: int = 1) -> list[Term]:
    """`dropped` elements of `size` bytes are multiplied by noise, which is kept; see `models.dropout`.

    A CPU draws it in 16-bit levels; a GPU has one kernel for it all, which leaves a mask.
    """
    if settings.dropout == 0:
        return []
    elements, kept = times * dropped, times * dropped * (execution.noise_bytes or size)
    drawn = Streamed(times, 2 * elements * size + kept) if execution.noise_bytes else Streamed(5 * times, 7.5 * kept)
    return [
        Term(
            name="dropout",
            activation_bytes=kept,
            scales_with=("batch", "time", "hidden"),
            divided=False,
            whole_bytes=kept,
            streamed_forward=drawn,
            streamed_backward=Streamed(times, 2 * elements * size + kept),
        )
    ]


def _feed_forward(settings: ModelSettings, tokens: int, execution: Execution) -> Cost:
    width, hidden = settings.width, feed_forward_width(settings)
    matrices = 3 if settings.feed_forward == "swiglu" else 2
    biases = 0 if settings.feed_forward == "swiglu" else hidden + width
    products = (
        Product(tokens, width, (matrices - 1) * hidden),
        Product(tokens, hidden, width, split="depth"),
    )
    kept = (width + (3 if matrices == 3 else 2) * hidden) * tokens * execution.element_bytes
    unit = tokens * hidden * execution.element_bytes
    functions = 0 if settings.feed_forward == "relu" else tokens * hidden
    forward, backward = Streamed(2, 5 * unit, functions), Streamed(4, 13 * unit, functions)
    if matrices == 2:
        biased = bias_gradient(tokens, hidden, execution) + bias_gradient(tokens, width, execution)
        # The gradient of a GELU is a second function beside the first.
        twice = functions * (2 if settings.feed_forward == "gelu" else 1)
        forward, backward = Streamed(1, 2 * unit, functions), Streamed(1, 3 * unit, twice) + biased
    return Cost.of(
        Term(
            name="feed-forward",
            flops_forward=flops_of(products),
            flops_backward=2 * flops_of(products),
            parameters=matrices * width * hidden + biases,
            activation_bytes=kept,
            scales_with=("batch", "time", "hidden", "feed-forward"),
            whole_bytes=width * tokens * execution.element_bytes,
            products=products,
            streamed_forward=forward,
            streamed_backward=backward,
        ),
    )


def _norm_parameters(settings: ModelSettings) -> int:
    return settings.width * (2 if settings.norm == "layer" else 1)


def _final_norm(settings: ModelSettings) -> Cost:
    return Cost.of(
        Term(name="final norm", parameters=_norm_parameters(settings) if settings.style == "pre-norm" else 0)
    )


def _embedding(settings: ModelSettings, inputs: Steps, shape: Shape, execution: Execution) -> Cost:
    width = settings.width
    positions = settings.max_length * width if settings.positions == "learned" else 0
    norm = _norm_parameters(settings) if settings.embedding_norm else 0
    tables = positions + norm + sum(inputs.features.values()) * width
    tokens = shape.batch * shape.time
    kept = tokens * width * execution.element_bytes
    if isinstance(inputs, Frames):
        term = frames_term(inputs, width, shape, execution)
        normed = term.activation_bytes + (kept if norm else 0)
        return Cost.of(replace(term, parameters=term.parameters + tables, activation_bytes=normed))
    products = () if isinstance(inputs, Tokens) else (Product(tokens, inputs.channels, width),)
    matrix = (inputs.vocabulary if isinstance(inputs, Tokens) else inputs.channels + 1) * width
    added = 3 * ((settings.positions in ("learned", "sinusoidal")) + len(inputs.features))
    looked_up = Streamed(1 + added // 3, (2 + added) * kept)
    table = matrix * execution.element_bytes if isinstance(inputs, Tokens) else 0
    return Cost.of(
        Term(
            name="embedding",
            flops_forward=flops_of(products),
            flops_backward=flops_of(products),
            parameters=matrix + tables,
            activation_bytes=(2 if norm else 1) * kept,
            whole_bytes=(2 if norm else 1) * kept,
            scales_with=("batch", "time", "hidden", *(("vocabulary",) if isinstance(inputs, Tokens) else ())),
            products=products,
            streamed_forward=looked_up,
            streamed_backward=Streamed(2 + added // 3, table + (3 + added) * kept),
        ),
        *_dropout(settings, tokens * width, execution.element_bytes, execution),
    )


def _head(settings: ModelSettings, outputs: Outputs, shape: Shape, execution: Execution) -> Cost:
    per_row = isinstance(outputs, PerRow)
    steps = shape.batch * shape.time if shape.scored is None else shape.scored
    rows = shape.batch if per_row else steps
    entering = row_features(settings.width, outputs) if isinstance(outputs, PerRow) else settings.width
    product = Product(rows, entering, outputs.size)
    matrix = 0 if settings.tie_embeddings else entering * outputs.size
    return Cost.of(
        Term(
            name="head",
            flops_forward=product.flops,
            flops_backward=2 * product.flops,
            parameters=matrix + outputs.size,
            activation_bytes=rows * (entering + outputs.size) * execution.element_bytes,
            whole_bytes=rows * entering * execution.element_bytes,
            scales_with=("batch", "hidden") if per_row else ("batch", "time", "hidden", "vocabulary"),
            products=(product,),
            streamed_backward=bias_gradient(rows, outputs.size, execution),
        )
    )
