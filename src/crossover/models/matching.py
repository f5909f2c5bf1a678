"""Widths that make models equal: in parameters, or in FLOPs per token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lcm

from crossover.errors import ConfigError
from crossover.models.block import feed_forward_width
from crossover.models.counting import count_parameters, flops_per_token
from crossover.models.ports import Inputs, Outputs, SourceTarget
from crossover.models.settings import ModelSettings


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
