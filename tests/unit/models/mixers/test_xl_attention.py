"""Transformer-XL's attention against its four terms written out, and a memory that makes segments one long pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.embedding import sinusoids
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.window import Window
from crossover.models.mixers.xl_attention import XLAttention, XLAttentionSettings, shifted
from crossover.models.model import build_model
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model

BATCH, TIME, WIDTH = 3, 11, 8


def make(**options: object) -> XLAttention:
    torch.manual_seed(0)
    mixer = XLAttentionSettings(width=WIDTH, **{"heads": 2, **options}).build().double()
    for bias in (mixer.content_bias, mixer.position_bias):
        torch.nn.init.normal_(bias)
    return mixer


def rows(time: int = TIME, batch: int = BATCH) -> Tensor:
    return torch.randn(batch, time, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_terms(mixer: XLAttention, x_BTD: Tensor, lengths: list[int]) -> Tensor:
    """Every output as a weighted sum, its scores term by term as in the paper's section 3.3."""
    size, memory = mixer.settings.head_size, mixer.settings.memory
    out = torch.zeros_like(x_BTD)
    for b, length in enumerate(lengths):
        q, k, v = (x_BTD[b] @ mixer.qkv.weight.T).split(WIDTH, dim=-1)
        for t in range(length):
            seen = range(max(0, t - memory), t + 1 if mixer.causal else min(length, t + memory + 1))
            outputs = []
            for h in range(mixer.settings.heads):
                own = slice(h * size, (h + 1) * size)
                u, w = mixer.content_bias[h], mixer.position_bias[h]
                scores = []
                for j in seen:
                    r = mixer.position.weight[own] @ sinusoids(torch.tensor(t - j), WIDTH).double()
                    scores.append(q[t, own] @ k[j, own] + q[t, own] @ r + u @ k[j, own] + w @ r)
                weights = (torch.stack(scores) / size**0.5).softmax(0)
                outputs.append(sum(p * v[j, own] for p, j in zip(weights, seen, strict=True)))
            out[b, t] = torch.cat(outputs) @ mixer.out.weight.T
    return out


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("memory", [1, 3, 4, 30])
def test_equals_the_four_terms_of_the_paper(fused: bool, causal: bool, memory: int) -> None:
    mixer, x_BTD, lengths = make(causal=causal, memory=memory), rows(), [11, 6, 0]
    y_BTD, _ = (mixer if fused else mixer.definition)(x_BTD, None, Span(lengths_B=torch.tensor(lengths)))
    torch.testing.assert_close(y_BTD, by_terms(mixer, x_BTD, lengths))


def test_relative_shift_by_hand() -> None:
    scores = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert shifted(scores).tolist() == [[1, 2, 3, 0], [0, 4, 5, 6]]


def test_few_queries_take_the_other_order_of_products_with_the_same_result() -> None:
    mixer = make(memory=20)
    for time, batch in ((1, 1), (2, 1), (20, 3)):
        q_BHTK = rows(time, batch).unflatten(-1, (2, -1)).transpose(1, 2)
        expected = mixer.with_position_bias(q_BHTK) @ mixer.distances_HKW()
        torch.testing.assert_close(mixer.position_scores(q_BHTK), expected)


@pytest.mark.parametrize("segment", [1, 5, 16])
def test_segments_with_memory_are_one_long_pass(segment: int) -> None:
    """In float32 through a whole model: outputs to 1e-5, whatever the length of the segments."""
    settings = replace(parse_model("transformer-xl[memory=9]"), width=32, layers=3, dropout=0.0)
    model = build_model(settings, Tokens(vocabulary=11), PerStep(size=11), causal=True, seed=0).eval()
    tokens_BT = torch.randint(11, (2, 48), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole, _ = model(tokens_BT)
        parts, state = [], None
        for chunk in tokens_BT.split(segment, dim=1):
            y, state = model(chunk, state=state)
            parts.append(y)
    assert float((torch.cat(parts, dim=1) - whole).abs().max()) < 1e-5


def test_without_its_memory_a_segment_is_another_function() -> None:
    mixer, x_BTD = make(memory=4), rows()
    whole, alone = mixer(x_BTD)[0][:, 6:], mixer(x_BTD[:, 6:])[0]
    assert float((whole - alone).detach().abs().max()) > 1e-2


def test_a_long_stream_keeps_a_state_of_the_stated_bytes() -> None:
    mixer = make(memory=5).float()
    state: State | None = None
    for chunk in rows(60).float().split(7, dim=1):
        _, state = mixer(chunk, state)
    assert state is not None
    assert Window(*state).k.shape == (BATCH, 2, 5, WIDTH // 2)
    found = sum(part.numel() * part.element_size() for part in state)
    for context in (0, 1000):
        cost = mixer.settings.cost(Shape(batch=BATCH, time=TIME, context=context), Execution())
        assert cost.state_bytes == found


@pytest.mark.parametrize(("context", "causal"), [(0, True), (2, True), (9, True), (0, False)])
def test_skipped_work_is_that_of_the_keys_outside_the_row(context: int, causal: bool) -> None:
    settings = XLAttentionSettings(width=WIDTH, memory=3, causal=causal)
    for time in (1, 2, 8):
        last = context + time - 1
        near = [(t, j) for t in range(context, last + 1) for j in range(t - 3, t + (1 if causal else 4))]
        outside = sum(1 for _, j in near if j < 0 or j > last)
        cost = settings.cost(Shape(batch=1, time=time, context=context), Execution())
        assert cost.flops_skipped == 6 * WIDTH * outside


@pytest.mark.parametrize(("options", "sentence"), [({"memory": 0}, "memory=0"), ({"heads": 3}, "heads=3")])
def test_impossible_sizes_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        XLAttentionSettings(width=WIDTH, **options)
