"""Window attention against sums written out row by row, and its state of fixed size."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.mixers.attention import AttentionSettings
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.window import Window
from crossover.models.mixers.window_attention import WindowAttention, WindowAttentionSettings
from crossover.testing.conformance import check_mixer

BATCH, TIME, WIDTH = 3, 11, 8


def make(**options: object) -> WindowAttention:
    torch.manual_seed(0)
    return WindowAttentionSettings(width=WIDTH, **options).build().double()


def rows(time: int = TIME) -> Tensor:
    return torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def need(state: State | None) -> Window:
    assert state is not None
    return Window(*state)


def by_sums(mixer: WindowAttention, x_BTD: Tensor, lengths: list[int], resets: list[set[int]]) -> Tensor:
    """Every output as a weighted sum over the list of steps that it may see."""
    heads, window, size = mixer.settings.heads, mixer.settings.window, WIDTH // mixer.settings.heads
    out = torch.zeros_like(x_BTD)
    for b in range(BATCH):
        part = [sum(1 for r in resets[b] if r <= t) for t in range(TIME)]
        q, k, v = (x_BTD[b] @ mixer.qkv.weight.T + mixer.qkv.bias).split(WIDTH, dim=-1)
        for t in range(lengths[b]):
            near = range(t - window + 1, t + 1 if mixer.causal else t + window)
            seen = [j for j in near if 0 <= j < lengths[b] and part[j] == part[t]]
            outputs = []
            for h in range(heads):
                own = slice(h * size, (h + 1) * size)
                weights = (torch.stack([q[t, own] @ k[j, own] for j in seen]) / size**0.5).softmax(0)
                outputs.append(sum(w * v[j, own] for w, j in zip(weights, seen, strict=True)))
            out[b, t] = torch.cat(outputs) @ mixer.out.weight.T + mixer.out.bias
    return out


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [1, 3, 4, 11, 30])
def test_equals_sums_over_the_window(fused: bool, causal: bool, window: int) -> None:
    mixer, x_BTD = make(causal=causal, window=window), rows()
    lengths, resets = [11, 6, 0], [{4, 5}, {0, 3}, set()]
    resets_BT = torch.tensor([[t in marked for t in range(TIME)] for marked in resets])
    run = mixer if fused else mixer.definition
    for marked, span in (
        ([set()] * 3, Span(lengths_B=torch.tensor(lengths))),
        (resets, Span(lengths_B=torch.tensor(lengths), resets_BT=resets_BT)),
    ):
        y_BTD, _ = run(x_BTD, None, span)
        torch.testing.assert_close(y_BTD, by_sums(mixer, x_BTD, lengths, marked))


@pytest.mark.parametrize("causal", [True, False])
def test_a_window_as_long_as_the_row_is_full_attention(causal: bool) -> None:
    mixer = make(causal=causal, window=TIME, rotary=True, kv_heads=2)
    full = AttentionSettings(width=WIDTH, causal=causal, rotary=True, kv_heads=2).build().double()
    full.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(rows())[0], full(rows())[0])


def test_a_long_stream_keeps_a_state_of_the_same_size() -> None:
    mixer, x_BTD = make(window=4, rotary=True), rows(40)
    whole, _ = mixer(x_BTD)
    state: State | None = mixer.initial_state(BATCH)
    for t in range(40):
        y_BTD, state = mixer(x_BTD[:, t : t + 1], state)
        torch.testing.assert_close(y_BTD[:, 0], whole[:, t])
        assert need(state).k.shape == (BATCH, 4, 3, 2)
        assert need(state).filled.tolist() == [min(t + 1, 3)] * BATCH


def test_state_bytes_are_those_of_the_window() -> None:
    mixer = make(window=5, kv_heads=2).float()
    found = sum(part.numel() * part.element_size() for part in need(mixer(rows().float())[1]))
    for context in (0, 1000):
        cost = mixer.settings.cost(Shape(batch=BATCH, time=TIME, context=context), Execution())
        assert cost.state_bytes == found


def test_work_grows_with_time_and_the_window_not_with_their_square() -> None:
    settings = WindowAttentionSettings(width=WIDTH, window=4)

    def score_flops(time: int) -> float:
        return next(
            t for t in settings.cost(Shape(batch=1, time=time), Execution()).terms if t.name == "scores"
        ).flops_forward

    assert score_flops(4096) == 8 * score_flops(512) == 4 * 4096 * 4 * WIDTH


@pytest.mark.parametrize(("context", "causal"), [(0, True), (2, True), (9, True), (0, False)])
def test_skipped_work_is_that_of_the_keys_outside_the_row(context: int, causal: bool) -> None:
    settings = WindowAttentionSettings(width=WIDTH, window=4, causal=causal)
    for time in (1, 2, 3, 8):
        last = context + time - 1
        near = [(t, j) for t in range(context, last + 1) for j in range(t - 3, t + (1 if causal else 4))]
        outside = sum(1 for _, j in near if j < 0 or j > last)
        cost = settings.cost(Shape(batch=1, time=time, context=context), Execution())
        assert cost.flops_skipped == 4 * WIDTH * outside


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="window=0"):
        WindowAttentionSettings(width=WIDTH, window=0)


@pytest.mark.parametrize("options", [{"window": 3}, {"window": 4, "heads": 2, "kv_heads": 1, "rotary": True}])
def test_conforms_with_windows_shorter_than_the_rows(options: dict[str, object]) -> None:
    failed = [r for r in check_mixer(partial(WindowAttentionSettings, **options)) if not r.passed]
    assert failed == []
