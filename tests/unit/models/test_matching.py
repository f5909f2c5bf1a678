from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.costs import Shape
from crossover.errors import ConfigError
from crossover.models.counting import count_parameters, model_cost
from crossover.models.matching import match_flops, match_parameters, match_width
from crossover.models.model import build_model
from crossover.models.ports import PerRow, PerStep, Tokens
from crossover.models.presets import PRESETS
from crossover.models.settings import ModelSettings

LABELLED = Tokens(vocabulary=50, features={"tags": 7}), PerRow(size=4)


def small(name: str, **changes: object) -> ModelSettings:
    """A preset small enough to be built in no time."""
    return replace(PRESETS.get(name), **{"width": 32, "max_length": 16, "tie_embeddings": False, **changes})


@pytest.mark.parametrize("width", [64, 96, 128, 256])
@pytest.mark.parametrize("name", PRESETS.names())
def test_models_are_matched_within_three_per_cent(name: str, width: int) -> None:
    inputs, outputs = LABELLED
    causal = PRESETS.get(name).causal or False
    first = count_parameters(small("lstm", width=width), inputs, outputs, causal=False).without_embedding
    matched = match_parameters(small(name), inputs, outputs, causal=causal, target=first)
    found = count_parameters(matched, inputs, outputs, causal=causal).without_embedding
    assert abs(found / first - 1) <= 0.03
    build_model(matched, inputs, outputs, causal=causal, seed=0)


@pytest.mark.parametrize("name", ["mingru", "transformer", "llama-like"])
def test_models_are_matched_by_flops_per_token(name: str) -> None:
    inputs, outputs = Tokens(vocabulary=50), PerStep(size=50)
    shape = Shape(batch=1, time=64)
    target = model_cost(small("lstm", width=128), inputs, outputs, shape, causal=True).flops_forward / 64
    matched = match_flops(small(name), inputs, outputs, causal=True, target=target, time=64)
    found = model_cost(matched, inputs, outputs, shape, causal=True).flops_forward / 64
    assert abs(found / target - 1) <= 0.03


def test_only_the_width_and_the_feed_forward_move_in_a_match() -> None:
    settings = small("transformer", layers=3, dropout=0.3)
    matched = match_parameters(settings, *LABELLED, causal=False, target=500_000)
    same = replace(matched, width=settings.width, feed_forward_width=settings.feed_forward_width)
    assert same == settings


def test_a_target_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        match_width(small("lstm"), lambda settings: settings.width, 0, inputs=Tokens(vocabulary=9))
