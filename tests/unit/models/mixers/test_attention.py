"""Softmax attention against sums written out row by row, and its cache of keys and values."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.mixers.attend import WRITTEN_OUT_KEYS, attend_together, explicit_attention, fused_attention
from crossover.models.mixers.attention import Attention, AttentionSettings
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.cache import Cache
from crossover.models.mixers.rotary import rotate, turns
from crossover.testing.conformance import check_mixer

BATCH, TIME, WIDTH = 3, 7, 8


def make(**options: object) -> Attention:
    torch.manual_seed(0)
    return AttentionSettings(width=WIDTH, **options).build().double()


def rows(time: int = TIME, seed: int = 1) -> Tensor:
    return torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def need(state: State | None) -> Cache:
    assert state is not None
    return Cache(*state)


def by_sums(mixer: Attention, x_BTD: Tensor, lengths: list[int], resets: list[set[int]]) -> Tensor:
    """Every output as a weighted sum over the list of steps that it may see."""
    heads, shared, size = (
        mixer.settings.heads,
        mixer.settings.heads // mixer.settings.key_heads,
        WIDTH // mixer.settings.heads,
    )
    out = torch.zeros_like(x_BTD)
    for b in range(BATCH):
        starts = sorted({0} | {t for t in resets[b] if t < lengths[b]})
        projected = x_BTD[b] @ mixer.qkv.weight.T + mixer.qkv.bias
        q, k, v = projected.split([WIDTH, mixer.settings.key_heads * size, mixer.settings.key_heads * size], dim=-1)
        for t in range(lengths[b]):
            first = max(start for start in starts if start <= t)
            end = min([start for start in starts if start > t] + [lengths[b]])
            seen = range(first, t + 1 if mixer.causal else end)
            parts = []
            for h in range(heads):
                own, group = slice(h * size, (h + 1) * size), slice((h // shared) * size, (h // shared + 1) * size)
                scores = torch.stack([q[t, own] @ k[j, group] for j in seen]) / size**0.5
                weights = scores.exp() / scores.exp().sum()
                parts.append(sum(w * v[j, group] for w, j in zip(weights, seen, strict=True)))
            out[b, t] = torch.cat(parts) @ mixer.out.weight.T + mixer.out.bias
    return out


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 2, 1])
def test_equals_sums_over_the_visible_steps(fused: bool, causal: bool, kv_heads: int | None) -> None:
    mixer, x_BTD = make(causal=causal, kv_heads=kv_heads), rows()
    lengths, resets = [7, 4, 0], [{3, 5}, {0, 2, 6}, {0}]
    resets_BT = torch.tensor([[t in marked for t in range(TIME)] for marked in resets])
    run = mixer if fused else mixer.definition
    for marked, span in (
        ([set()] * 3, Span(lengths_B=torch.tensor(lengths))),
        (resets, Span(lengths_B=torch.tensor(lengths), resets_BT=resets_BT)),
    ):
        y_BTD, _ = run(x_BTD, None, span)
        torch.testing.assert_close(y_BTD, by_sums(mixer, x_BTD, lengths, marked))


def test_positions_move_scores_only_by_distance() -> None:
    mixer, x_BTD = make(rotary=True), rows()
    at_zero, _ = mixer(x_BTD)
    later, state = mixer(x_BTD, None, Span(offset=torch.tensor([5, 1000, 77])))
    torch.testing.assert_close(later, at_zero)
    assert need(state).position.tolist() == [12, 1007, 84]
    assert not torch.allclose(at_zero, make()(x_BTD)[0])


def test_rotation_is_a_product_with_a_complex_phase() -> None:
    x = torch.randn(2, 5, 3, 6, dtype=torch.float64)
    turned = rotate(x, turns(torch.arange(5), 6, 100.0, x.dtype))
    frequency = torch.tensor([100.0 ** (-i / 3) for i in range(3)], dtype=torch.float64)
    phase = torch.polar(torch.ones(5, 3, dtype=torch.float64), torch.arange(5)[:, None] * frequency)
    expected = torch.complex(x[..., :3], x[..., 3:]) * phase[:, None]
    torch.testing.assert_close(turned, torch.cat([expected.real, expected.imag], dim=-1))


@pytest.mark.parametrize("capacity", [None, 2, 20])
def test_ragged_chunks_give_each_row_its_own_whole_result(capacity: int | None) -> None:
    mixer, x_BTD = make(rotary=True, kv_heads=2), rows(12)
    chunks = [[3, 0, 2], [1, 4, 0], [0, 0, 0], [2, 1, 5], [1, 1, 1]]
    state: State | None = mixer.initial_state(BATCH, capacity=capacity)
    found: list[list[Tensor]] = [[], [], []]
    done = [0, 0, 0]
    with torch.no_grad():
        for counts in chunks:
            time = max(*counts, 1)
            chunk = torch.full((BATCH, time, WIDTH), torch.nan, dtype=torch.float64)
            for b, count in enumerate(counts):
                chunk[b, :count] = x_BTD[b, done[b] : done[b] + count]
            y_BTD, state = mixer(chunk, state, Span(lengths_B=torch.tensor(counts)))
            for b, count in enumerate(counts):
                assert not y_BTD[b, count:].any()
                found[b].append(y_BTD[b, :count])
                done[b] += count
    assert need(state).length.tolist() == done
    for b in range(BATCH):
        torch.testing.assert_close(torch.cat(found[b]), mixer(x_BTD[b : b + 1, : done[b]])[0][0])


def test_a_cache_with_capacity_is_written_in_place_and_doubles() -> None:
    mixer, x_BTD = make(), rows(9)
    state: State | None = mixer.initial_state(BATCH, capacity=4)
    slots, addresses = [], []
    with torch.no_grad():
        for t in range(9):
            _, state = mixer(x_BTD[:, t : t + 1], state)
            slots.append(need(state).k.shape[2])
            addresses.append(need(state).k.data_ptr())
    assert slots == [5, 5, 5, 5, 10, 10, 10, 10, 10]
    assert len(set(addresses[:4])) == 1
    assert len(set(addresses[4:])) == 1


def test_a_cache_is_left_alone_where_a_gradient_is_needed() -> None:
    mixer, x_BTD = make(), rows(6)
    with torch.no_grad():
        state = mixer(x_BTD[:, :2], mixer.initial_state(BATCH, capacity=8))[1]
    before = need(state).k.clone()
    x_BTD.requires_grad_()
    mixer(x_BTD[:, 2:], state)[0].sum().backward()
    assert torch.equal(need(state).k, before)


def test_gradients_through_the_carried_cache_are_those_of_the_whole_row() -> None:
    mixer, x_BTD = make(rotary=True), rows().requires_grad_()
    weight_BTD = rows(seed=5)
    (expected,) = torch.autograd.grad((mixer(x_BTD)[0] * weight_BTD).sum(), x_BTD)
    first, state = mixer(x_BTD[:, :3])
    second, _ = mixer(x_BTD[:, 3:], state)
    (found,) = torch.autograd.grad((torch.cat([first, second], dim=1) * weight_BTD).sum(), x_BTD)
    torch.testing.assert_close(found, expected)


def test_a_reset_hides_the_cache_from_all_later_chunks() -> None:
    mixer, x_BTD = make(rotary=True), rows()
    resets_BT = torch.tensor([[False, True], [False, False], [True, False]])
    _, state = mixer(x_BTD[:, :3])
    _, state = mixer(x_BTD[:, 3:5], state, Span(resets_BT=resets_BT))
    y_BTD, _ = mixer(x_BTD[:, 5:], state)
    for b, start in enumerate([4, 0, 3]):
        torch.testing.assert_close(y_BTD[b], mixer(x_BTD[b : b + 1, start:])[0][0, 5 - start :])


def test_bfloat16_cache_holds_half_the_bytes_and_takes_autocast() -> None:
    mixer, x_BTD = make().float(), rows().float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert need(mixer.initial_state(BATCH, capacity=4)).k.dtype == torch.bfloat16
        state = mixer(x_BTD[:, :4], mixer.initial_state(BATCH, dtype=torch.float32))[1]
        y_BTD, state = mixer(x_BTD[:, 4:], state)
    assert need(state).k.dtype == torch.float32
    torch.testing.assert_close(y_BTD.float(), mixer(x_BTD)[0][:, 4:], atol=3e-2, rtol=3e-2)


def test_state_bytes_grow_with_the_context_as_the_cache_does() -> None:
    mixer = make(kv_heads=2).float()
    state = mixer(rows(5).float())[1]
    state = mixer(rows(2).float(), state)[1]
    found = sum(part.numel() * part.element_size() for part in need(state))
    assert mixer.settings.cost(Shape(batch=BATCH, time=2, context=5), Execution()).state_bytes == found


@pytest.mark.parametrize("causal", [True, False])
def test_scores_are_counted_full_and_the_skipped_half_beside_them(causal: bool) -> None:
    settings = AttentionSettings(width=WIDTH, causal=causal, kv_heads=2)
    with torch.device("meta"):
        mixer, x_BTD = settings.build(), torch.empty(BATCH, TIME, WIDTH)
    with FlopCounterMode(display=False) as counter:
        mixer.definition(x_BTD)
    cost = settings.cost(Shape(batch=BATCH, time=TIME), Execution())
    assert cost.flops_forward == counter.get_total_flops()
    assert cost.flops_skipped == (4 * BATCH * WIDTH * TIME * (TIME - 1) // 2 if causal else 0)
    again = settings.cost(Shape(batch=BATCH, time=TIME), Execution(recompute=True))
    assert again.flops_backward == cost.flops_backward + cost.flops_forward
    assert again.activation_bytes == 4 * BATCH * TIME * WIDTH


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": 3}, "heads=3"),
        ({"heads": 0}, "heads=0"),
        ({"kv_heads": 3}, "kv_heads=3"),
        ({"heads": 8, "rotary": True}, "even size"),
        ({"rope_base": 0.0}, "rope_base=0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        AttentionSettings(width=WIDTH, **options)


def test_whole_rows_carry_no_state() -> None:
    mixer = make(causal=False)
    assert mixer(rows())[1] is None
    with pytest.raises(ConfigError, match="causal=True"):
        mixer.initial_state(BATCH)
    with pytest.raises(ConfigError, match="causal=True"):
        mixer(rows(), make().initial_state(BATCH))


def test_conforms_with_shared_keys_and_rotary_positions() -> None:
    failed = [r for r in check_mixer(partial(AttentionSettings, heads=2, kv_heads=1, rotary=True)) if not r.passed]
    assert failed == []


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("keys", [WRITTEN_OUT_KEYS, WRITTEN_OUT_KEYS + 1])
def test_bf16_training_equals_float64_on_both_sides_of_the_kernel_choice(causal, keys):
    generator = torch.Generator().manual_seed(0)
    exact = [torch.randn(1, 2, keys, 8, generator=generator, dtype=torch.float64) for _ in range(3)]
    rounded = [x.to(torch.bfloat16).requires_grad_() for x in exact]
    reference = [x.detach().double().requires_grad_() for x in rounded]
    results = [results_of(fused_attention, rounded, causal), results_of(explicit_attention, reference, causal)]
    for value, true in zip(*results, strict=True):
        assert (value.double() - true).norm() <= 2e-2 * true.norm()


def results_of(kernel, inputs, causal):
    y = kernel(*inputs, None, causal=causal)
    return [y, *torch.autograd.grad(y.double().square().sum(), inputs)]


@pytest.mark.parametrize("chunk", [1, 3])
def test_rows_that_advance_together_need_no_look_at_the_cache(chunk: int) -> None:
    mixer = make(heads=4, kv_heads=2, rotary=True)
    expected, whole = mixer(rows(6))
    mixer.solve = attend_together
    state, found = None, []
    for start in range(0, 6, chunk):
        y_BTD, state = mixer(rows(6)[:, start : start + chunk], state)
        found.append(y_BTD)
    torch.testing.assert_close(torch.cat(found, dim=1), expected)
    for ours, theirs in zip(need(state), need(whole), strict=True):
        torch.testing.assert_close(ours, theirs)
