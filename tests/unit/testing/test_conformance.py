"""The suite over every registered mixer; and that each check fails on a mixer that lacks its property."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import nn

from crossover.costs import Cost, Execution, Shape
from crossover.errors import ConfigError
from crossover.models.mixers import MIXERS, Span
from crossover.models.mixers.attention import AttentionSettings
from crossover.models.mixers.gru import GRUMixer, GRUSettings
from crossover.models.mixers.mingru import MinGRUMixer, MinGRUSettings
from crossover.sharding import Sharding
from crossover.testing import check_mixer
from crossover.testing.conformance import checks_for, variants

SMALLER = {
    "mingru": [{"expansion": 1.5}],
    "minlstm": [{"expansion": 2}],
    "attention": [{"kv_heads": 2}],
    "window-attention": [{"window": 3}],
    "xl-attention": [{"memory": 3}],
    "linear-attention": [{"chunk": 3}],
}
"""Settings under which short rows reach what the defaults reach on long ones."""

CASES = [
    pytest.param(check, settings, id=f"{name}{number or ''}-{'causal' if settings.causal else 'both'}-{check.name}")
    for name in MIXERS.names()
    for number, extra in enumerate([{}, *SMALLER.get(name, [])])
    for settings in variants(partial(MIXERS.get(name), **extra))
    if not isinstance(settings, ConfigError)
    for check in checks_for(settings)
]


@pytest.mark.parametrize(("check", "settings"), CASES)
def test_registered_mixer(check, settings):
    assert check.run(settings)


@pytest.mark.parametrize("name", MIXERS.names())
def test_describes_itself(name):
    settings = MIXERS.get(name)
    assert settings.name == name
    assert settings.family in ("recurrent", "attention", "other")
    assert all((settings.formula, settings.cost_law, settings.source))


class Broken(GRUMixer):
    """A GRU with one fault at a time."""

    def forward(self, x_BTD, state=None, span=None):
        span = span or Span()
        fault = self.settings.fault
        if fault == "sees the future":
            x_BTD = x_BTD + 0.01 * x_BTD.roll(-1, 1)
        if fault == "drops the state":
            state = None
        if fault == "ignores lengths":
            span = replace(span, lengths_B=None)
        if fault == "ignores resets":
            span = replace(span, resets_BT=None)
        if fault == "detaches":
            x_BTD = x_BTD.detach() + 0 * x_BTD
        y_BTD, state = super().forward(x_BTD, state, span)
        if fault == "wrong by little":
            y_BTD = y_BTD * (1 + 1e-4)
        if fault == "constant":
            y_BTD = torch.zeros_like(y_BTD) + 0 * y_BTD
        if fault == "keeps more":
            y_BTD = y_BTD.exp().log()
        return y_BTD, state


@dataclass(frozen=True, kw_only=True)
class BrokenSettings(GRUSettings):
    fault: str = ""

    def build(self):
        mixer = Broken(self)
        if self.fault == "extra parameter":
            mixer.extra = nn.Parameter(torch.zeros(3))
        if self.fault == "rule without parameter":
            mixer.init_rules["nothing"] = mixer.init_rules["rnn.weight_hh_l0"]
        if self.fault == "rule from global randomness":
            mixer.init_rules["rnn.weight_hh_l0"] = lambda values, generator: values.normal_()
        return mixer

    def sharding(self):
        return Sharding(divisible={"heads": 7}) if self.fault == "unreal size" else super().sharding()

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        cost = super().cost(shape, execution)
        if self.fault == "one FLOP more":
            return cost + Cost.of(replace(cost.terms[0], flops_forward=1, flops_backward=0, parameters=0))
        return cost


FAULTS = [
    ("sees the future", "future", "sees the future"),
    ("constant", "future", "does not depend"),
    ("drops the state", "chunks", "chunk by chunk differs"),
    ("drops the state", "ragged chunks", "row 0 over two ragged chunks differs"),
    ("ignores lengths", "padding", "after its end"),
    ("ignores resets", "resets", "row 0 from 3"),
    ("detaches", "fast path", "the gradient of the input"),
    ("wrong by little", "fast path", "the output of the fast path differs"),
    ("keeps more", "activations", "kept bytes for the fast path"),
    ("extra parameter", "parameters", "parameters() states"),
    ("rule without parameter", "initial weights", "'nothing'"),
    ("rule from global randomness", "initial weights", "from the generator alone"),
    ("unreal size", "sharding", "heads=7"),
    ("one FLOP more", "cost", "FLOPs forward"),
]


@pytest.mark.parametrize(("fault", "check", "sentence"), FAULTS)
def test_a_fault_is_found_and_told(fault, check, sentence):
    results = {result.name: result for result in check_mixer(partial(BrokenSettings, fault=fault))}
    found = results[f"{check} (causal)"]
    assert not found.passed
    assert sentence in found.detail


def test_without_a_fault_the_same_mixer_passes():
    assert all(result.passed for result in check_mixer(BrokenSettings))


class RoundedState(MinGRUMixer):
    """The published fault: what is carried is not the state."""

    def forward(self, x_BTD, state=None, span=None):
        y_BTD, state = super().forward(x_BTD, state, span)
        return y_BTD, state and (state[0].sigmoid(),)


class RoundedSettings(MinGRUSettings):
    def build(self):
        return RoundedState(self)


def test_a_state_that_is_not_the_state_is_found():
    failed = [result.name for result in check_mixer(RoundedSettings) if not result.passed]
    assert "chunks (causal)" in failed


def test_a_state_that_grows_unsaid_is_found():
    class Unsaid(AttentionSettings):
        state_grows = False

    (found,) = [result for result in check_mixer(Unsaid) if result.name == "state size (causal)"]
    assert not found.passed
    assert "grows with the steps" in found.detail


def test_a_direction_may_be_refused_but_not_both():
    def only_causal(*, width, causal):
        if not causal:
            raise ConfigError("it streams only: use causal=True")
        return GRUSettings(width=width)

    def neither(*, width, causal):
        raise ConfigError("no")

    results = check_mixer(only_causal)
    assert all(result.passed for result in results)
    assert "it streams only" in results[-1].detail
    assert not any(result.passed for result in check_mixer(neither))


def test_an_exception_is_a_failed_check_with_its_type():
    class Raising(GRUSettings):
        def build(self):
            raise KeyError("weights")

    results = check_mixer(Raising)
    assert not any(result.passed for result in results if "sharding" not in result.name)
    assert "KeyError" in results[0].detail


def test_an_unknown_name_is_a_config_error():
    with pytest.raises(ConfigError, match="did you mean 'lstm'"):
        check_mixer("lstmm")
