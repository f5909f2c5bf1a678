"""Counting a model from its settings alone: cost term by term, parameters, and widths that make models equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import lcm

from crossover.costs import Cost, Execution, Product, Shape, Term, flops_of
from crossover.errors import ConfigError
from crossover.models.backbones import mixer_settings
from crossover.models.block import feed_forward_width
from crossover.models.cross import cross_cost
from crossover.models.encoder import encoder_mixers, encoder_settings
from crossover.models.frames import frames_term
from crossover.models.heads import row_features
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
    around, found = _around_mixer(settings, shape, execution), list[Cost]()
    if isinstance(inputs, SourceTarget):
        own, read = encoder_settings(settings), _reading(shape)
        around_own = _around_mixer(own, read, execution)
        found = [mixer.cost(read, execution) + around_own for mixer in encoder_mixers(settings)]
        around += _look(settings, shape, execution)
    return found + [mixer.cost(shape, execution) + around for mixer in mixer_settings(settings, causal=causal)]


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
            embedding = Cost(tuple(replace(term, parameters=own_ones) for term in embedding.terms))
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


def match_parameters(
    settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool, target: int
) -> ModelSettings:
    """`settings` with the width (and, for the rest, the feed-forward) that gives `target` parameters without ends."""

    def measure(candidate: ModelSettings) -> float:
        return count_parameters(candidate, inputs, outputs, causal=causal).without_embedding

    return match_width(settings, measure, target, inputs=inputs)


def match_flops(
    settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool, target: float, time: int
) -> ModelSettings:
    """The same for `target` forward FLOPs per token at length `time`."""

    def measure(candidate: ModelSettings) -> float:
        return flops_per_token(candidate, inputs, outputs, causal=causal, time=time)

    return match_width(settings, measure, target, inputs=inputs)


def match_width(
    settings: ModelSettings,
    measure: Callable[[ModelSettings], float],
    target: float,
    *,
    inputs: Inputs,
    tolerance: float = 0.03,
) -> ModelSettings:
    """`settings` with a width at which `measure` is within `tolerance` of `target`.

    The width moves in steps that every mixer's heads divide; what the step leaves over is made up by the width of
    the feed-forward. Where neither reaches the tolerance (few widths are possible in very small models) the nearest
    is returned, and the table prints the counts.
    """
    if target <= 0:
        raise ConfigError(f"cannot match a model to {target:g}: the target must be positive")
    step = _width_step(settings, inputs)
    width = step
    while measure(_resized(settings, width + step)) <= target:
        width += step
    candidates = [_resized(settings, width), _resized(settings, width + step)]
    best = min(candidates, key=lambda candidate: abs(measure(candidate) / target - 1))
    if abs(measure(best) / target - 1) <= tolerance or feed_forward_width(best) == 0:
        return best
    for candidate in list(candidates):
        hidden = feed_forward_width(candidate)
        per_unit = (measure(replace(candidate, feed_forward_width=hidden + 8)) - measure(candidate)) / 8
        wanted = round((hidden + (target - measure(candidate)) / per_unit) / 8) * 8
        if wanted >= 8:
            candidates.append(replace(candidate, feed_forward_width=wanted))
    return min(candidates, key=lambda candidate: abs(measure(candidate) / target - 1))


def _resized(settings: ModelSettings, width: int) -> ModelSettings:
    if settings.feed_forward_width:
        hidden = max(8, round(settings.feed_forward_width * width / settings.width / 8) * 8)
        return replace(settings, width=width, feed_forward_width=hidden)
    return replace(settings, width=width)


def _width_step(settings: ModelSettings, inputs: Inputs) -> int:
    """Widths that every mixer admits: a multiple of 2 x heads (rotary pairs, two directions), and of 4.

    Without a feed-forward to make up for the rest, recurrent models move in steps of 2 (two directions).
    """
    heads = [int(values.get("heads", 4)) for values in settings.mixer.values()] or [4]
    attends = any("attention" in name for name in settings.mixers)
    looks = isinstance(inputs, SourceTarget) and settings.cross == "attention"
    step = 4 if attends or feed_forward_width(settings) else 2
    return lcm(step, *(2 * h for h in heads if attends), *([settings.cross_heads] if looks else []))


def _around_mixer(settings: ModelSettings, shape: Shape, execution: Execution) -> Cost:
    """Norms and feed-forward of one block."""
    tokens, width = shape.batch * shape.time, settings.width
    hidden = feed_forward_width(settings)
    norms = 0 if settings.style == "classic" else (2 if hidden else 1)
    norm = Term(
        name="norm",
        parameters=norms * _norm_parameters(settings),
        activation_bytes=norms * tokens * width * execution.element_bytes,
        scales_with=("batch", "time", "hidden"),
    )
    if not hidden:
        return Cost.of(norm)
    matrices = 3 if settings.feed_forward == "swiglu" else 2
    biases = 0 if settings.feed_forward == "swiglu" else hidden + width
    products = (
        Product(tokens, width, (matrices - 1) * hidden),
        Product(tokens, hidden, width, split="depth"),
    )
    kept = (width + (3 if matrices == 3 else 2) * hidden) * tokens * execution.element_bytes
    return Cost.of(
        norm,
        Term(
            name="feed-forward",
            flops_forward=flops_of(products),
            flops_backward=2 * flops_of(products),
            parameters=matrices * width * hidden + biases,
            activation_bytes=kept,
            scales_with=("batch", "time", "hidden", "feed-forward"),
            products=products,
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
    return Cost.of(
        Term(
            name="embedding",
            flops_forward=flops_of(products),
            flops_backward=flops_of(products),
            parameters=matrix + tables,
            activation_bytes=(2 if norm else 1) * kept,
            scales_with=("batch", "time", "hidden", *(("vocabulary",) if isinstance(inputs, Tokens) else ())),
            products=products,
        )
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
            scales_with=("batch", "hidden") if per_row else ("batch", "time", "hidden", "vocabulary"),
            products=(product,),
        )
    )
