from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossover.errors import ConfigError
from crossover.models.backbones import Backbone, mixer_settings
from crossover.models.mixers.base import Span
from crossover.models.presets import PRESETS
from crossover.models.settings import ModelSettings

HYBRID = ModelSettings(name="hybrid", mixers=("lstm", "attention"), layers=5, width=16)


def test_the_pattern_repeats_over_the_layers() -> None:
    names = [mixer.name for mixer in mixer_settings(HYBRID, causal=True)]
    assert names == ["lstm", "attention", "lstm", "attention", "lstm"]
    assert all(mixer.causal and mixer.width == 16 for mixer in mixer_settings(HYBRID, causal=True))
    assert not any(mixer.causal for mixer in mixer_settings(HYBRID, causal=False))


def test_settings_of_a_mixer_reach_it_and_only_it() -> None:
    settings = replace(HYBRID, mixer={"attention": {"heads": 2}, "lstm": {"forget_bias": 2.0}}, positions="rotary")
    lstm, attention, *_ = mixer_settings(settings, causal=True)
    assert (lstm.forget_bias, attention.heads, attention.rotary) == (2.0, 2, True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("mixer", "message"),
    [
        ({"atention": {"heads": 2}}, "did you mean 'attention'"),
        ({"attention": {"haeds": 2}}, "unknown setting 'attention.haeds'"),
        ({"attention": {"heads": "two"}}, "attention.heads='two' is not admissible"),
    ],
)
def test_what_no_mixer_has_is_refused(mixer: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixer_settings(replace(HYBRID, mixer=mixer), causal=True)


def test_only_pre_norm_ends_in_a_norm() -> None:
    ends = {
        style: type(Backbone(replace(PRESETS.get("lstm"), style=style, width=8), causal=True).norm).__name__
        for style in ("pre-norm", "post-norm", "classic")
    }
    assert ends == {"pre-norm": "LayerNorm", "post-norm": "Identity", "classic": "Identity"}


@torch.no_grad()
def test_the_state_holds_one_part_per_block_and_each_rows_position() -> None:
    backbone = Backbone(HYBRID, causal=True).eval()
    x = torch.randn(2, 4, 16)
    _, state = backbone(x, span=Span(lengths_B=torch.tensor([4, 1])))
    assert len(state.mixers) == 5 and state.position_B.tolist() == [4, 1]
    _, state = backbone(x, state)
    assert state.position_B.tolist() == [8, 5]


@torch.no_grad()
def test_positions_start_at_the_offset_of_the_span() -> None:
    backbone = Backbone(HYBRID, causal=True).eval()
    _, state = backbone(torch.randn(2, 4, 16), span=Span(offset=10))
    assert state.position_B.tolist() == [14, 14]
    _, state = backbone(torch.randn(2, 4, 16), span=Span(offset=torch.tensor([3, 0])))
    assert state.position_B.tolist() == [7, 4]


@torch.no_grad()
def test_a_state_that_nobody_reads_is_not_returned() -> None:
    _, state = Backbone(HYBRID, causal=True).eval()(torch.randn(2, 4, 16), span=Span(carry=False))
    assert state is None


def test_the_initial_state_is_that_of_every_mixer() -> None:
    state = Backbone(HYBRID, causal=True).initial_state(3, capacity=7)
    assert len(state.mixers) == 5 and state.position_B.tolist() == [0, 0, 0]
    assert all(part.shape[0] == 3 for mixer in state.mixers for part in mixer if part.ndim > 1)
