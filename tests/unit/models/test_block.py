from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from crossover.models.block import Block, FeedForward, feed_forward_width, make_norm
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.models.settings import ModelSettings

SETTINGS = ModelSettings(name="test", mixers=("lstm",), width=6, dropout=0.0)


class Tripling(Mixer):
    """Three times its input: a mixer whose place in a block shows."""

    def __init__(self) -> None:
        super().__init__(MixerSettings(width=6))

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        return 3 * x_BTD, state


def built(**changes: object) -> tuple[Block, Tensor]:
    torch.manual_seed(0)
    return Block(replace(SETTINGS, **changes), Tripling()).eval(), torch.randn(2, 5, 6)


def test_pre_norm_adds_what_was_mixed_from_the_normalised_input() -> None:
    block, x = built(feed_forward="none")
    y, _ = block(x, None, None)
    torch.testing.assert_close(y, x + 3 * nn.functional.layer_norm(x, (6,)))


def test_post_norm_normalises_the_sum() -> None:
    block, x = built(style="post-norm", feed_forward="none")
    y, _ = block(x, None, None)
    torch.testing.assert_close(y, nn.functional.layer_norm(x + 3 * x, (6,)))


def test_classic_is_the_mixer_alone() -> None:
    block, x = built(style="classic")
    y, _ = block(x, None, None)
    torch.testing.assert_close(y, 3 * x)
    assert not list(block.parameters())


@pytest.mark.parametrize("style", ["pre-norm", "post-norm"])
def test_the_feed_forward_is_the_second_half(style: str) -> None:
    block, x = built(style=style)
    mixed, _ = Block(replace(SETTINGS, style=style, feed_forward="none"), Tripling()).eval()(x, None, None)
    y, _ = block(x, None, None)
    norm = nn.functional.layer_norm
    if style == "pre-norm":
        torch.testing.assert_close(y, mixed + block.feed_forward(norm(mixed, (6,))))
    else:
        torch.testing.assert_close(y, norm(mixed + block.feed_forward(mixed), (6,)))


@pytest.mark.parametrize(
    ("changes", "hidden"),
    [
        ({}, 24),
        ({"feed_forward": "relu"}, 24),
        ({"feed_forward": "swiglu"}, 16),
        ({"feed_forward": "swiglu", "width": 96}, 256),
        ({"feed_forward": "none"}, 0),
        ({"feed_forward_width": 10}, 10),
        ({"feed_forward_width": 0}, 0),
        ({"style": "classic"}, 0),
    ],
)
def test_the_width_of_the_feed_forward(changes: dict[str, object], hidden: int) -> None:
    assert feed_forward_width(replace(SETTINGS, **changes)) == hidden


def test_feed_forwards_by_hand() -> None:
    x = torch.randn(2, 3, 6)
    relu = FeedForward(6, 8, "relu")
    torch.testing.assert_close(relu(x), relu.leave(relu.enter(x).clamp(min=0)))
    gelu = FeedForward(6, 8, "gelu")
    torch.testing.assert_close(gelu(x), gelu.leave(nn.functional.gelu(gelu.enter(x))))
    swiglu = FeedForward(6, 8, "swiglu")
    gate, value = swiglu.enter(x).split(8, dim=-1)
    torch.testing.assert_close(swiglu(x), swiglu.leave(gate * gate.sigmoid() * value))
    assert swiglu.enter.bias is None and swiglu.leave.bias is None


def test_norms() -> None:
    x = torch.randn(4, 6) * 5 + 2
    torch.testing.assert_close(make_norm(SETTINGS)(x), nn.functional.layer_norm(x, (6,)))
    scaled = make_norm(replace(SETTINGS, norm="rms"))(x)
    torch.testing.assert_close(scaled, x / x.square().mean(-1, keepdim=True).sqrt(), rtol=1e-4, atol=1e-5)


def test_dropout_falls_on_what_is_added_and_only_in_training() -> None:
    block, x = built(feed_forward="none", dropout=0.5)
    torch.testing.assert_close(block(x, None, None)[0], block(x, None, None)[0])
    block.train()
    added = block(x, None, None)[0] - x
    share = (added == 0).float().mean()
    assert 0.2 < share < 0.8
