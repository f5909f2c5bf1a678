"""Gated linear attention: chunks against steps, steps against the sum that they unroll to."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.initialise import initialise
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.chunkwise import Steps, solve_by_chunks, solve_by_steps
from crossover.models.mixers.linear_attention import LinearAttention, LinearAttentionSettings
from crossover.testing.conformance import check_mixer

BATCH, HEADS, TIME, SIZE, WIDTH = 2, 2, 13, 3, 8


def make(**options: object) -> LinearAttention:
    mixer = LinearAttentionSettings(width=WIDTH, **options).build().double()
    initialise(mixer, 0)
    return mixer


def rows(time: int = TIME) -> Tensor:
    return torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def draw_steps(*, resets: bool = False, decay: float = 1.0) -> tuple[Steps, Tensor]:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    q, k, v = (draw(BATCH, HEADS, TIME, SIZE) for _ in range(3))
    marks = torch.zeros(BATCH, 1, TIME, dtype=torch.bool)
    marks[0, 0, [3, 4, 8]] = True
    marks[1, 0, [0, 12]] = True
    log_decay = -decay * draw(BATCH, HEADS, TIME).abs()
    return Steps(q, k, v, log_decay, marks if resets else None), draw(BATCH, HEADS, SIZE, SIZE)


def unrolled(steps: Steps, state_BHKV: Tensor) -> Tensor:
    """y_t = sum_j (a_t ... a_{j+1}) (q_t k_j) v_j + (a_t ... a_1) q_t S_0, back to the last reset."""
    decay = steps.log_decay.exp()
    out = torch.zeros_like(steps.v)
    for b in range(BATCH):
        starts = [] if steps.resets is None else steps.resets[b, 0].nonzero().flatten().tolist()
        for h in range(HEADS):
            for t in range(TIME):
                first = max([s for s in starts if s <= t], default=-1)
                if first < 0:
                    out[b, h, t] += decay[b, h, : t + 1].prod() * (steps.q[b, h, t] @ state_BHKV[b, h])
                for j in range(max(first, 0), t + 1):
                    kept = decay[b, h, j + 1 : t + 1].prod()
                    out[b, h, t] += kept * (steps.q[b, h, t] @ steps.k[b, h, j]) * steps.v[b, h, j]
    return out


@pytest.mark.parametrize("resets", [False, True])
def test_steps_unroll_to_a_decaying_sum(resets: bool) -> None:
    steps, start = draw_steps(resets=resets)
    torch.testing.assert_close(solve_by_steps(steps, start)[0], unrolled(steps, start))


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 5, 13, 64])
def test_chunks_equal_steps_in_outputs_state_and_gradients(chunk: int, resets: bool) -> None:
    steps, start = draw_steps(resets=resets)
    inputs = [part.requires_grad_() for part in (*steps[:4], start)]
    results = []
    for solve in (solve_by_steps, partial(solve_by_chunks, chunk=chunk)):
        y, end = solve(steps, start)
        gradients = torch.autograd.grad(y.square().sum() + (end * start.detach()).sum(), inputs)
        results.append([y, end, *gradients])
    for fast, slow in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(fast, slow)


def test_chunks_stay_exact_where_a_state_is_forgotten_within_a_step() -> None:
    steps, start = draw_steps(decay=400.0)
    single = Steps(*(part.float().requires_grad_() for part in steps[:4]), None)
    y, _ = solve_by_chunks(single, start.float(), chunk=TIME)
    torch.testing.assert_close(y, solve_by_steps(steps, start)[0].float(), rtol=1e-5, atol=1e-5)
    for gradient in torch.autograd.grad(y.sum(), single[:4]):
        assert gradient.isfinite().all()


def test_one_head_is_an_attention_without_softmax() -> None:
    mixer, x_BTD = make(heads=1, gate=False, feature_map="identity"), rows(6)
    q, k, v = (x_BTD @ mixer.qkvg.weight.T).split(WIDTH, dim=-1)
    log_decay = torch.nn.functional.logsigmoid(x_BTD @ mixer.decay.weight.T + mixer.decay.bias)[..., 0].cumsum(1)
    fade = (log_decay[:, :, None] - log_decay[:, None]).exp().tril()
    read = (q @ k.transpose(1, 2) / WIDTH**0.5 * fade) @ v
    normal = read / (read.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(mixer(x_BTD)[0], normal @ mixer.out.weight.T)


def test_not_causal_reads_with_half_of_the_heads_each_way() -> None:
    mixer = make(causal=False, chunk=4)
    with torch.no_grad():
        mixer.out.weight.copy_(torch.eye(WIDTH))
    x_BTD, half = rows(), WIDTH // 2
    changed = x_BTD.clone()
    changed[:, 6] += 1
    moved_BTD = (mixer(changed)[0] - mixer(x_BTD)[0]).abs() > 1e-12
    assert not moved_BTD[:, :6, :half].any()
    assert moved_BTD[:, 6:, :half].all()
    assert moved_BTD[:, :7, half:].all()
    assert not moved_BTD[:, 7:, half:].any()


@pytest.mark.parametrize("causal", [True, False])
def test_a_reset_cuts_a_row_in_two(causal: bool) -> None:
    mixer, x_BTD = make(causal=causal, chunk=3), rows(9)
    resets_BT = torch.zeros(BATCH, 9, dtype=torch.bool)
    resets_BT[:, 5] = True
    y_BTD, _ = mixer(x_BTD, None, Span(resets_BT=resets_BT))
    apart = torch.cat([mixer(x_BTD[:, :5])[0], mixer(x_BTD[:, 5:])[0]], dim=1)
    torch.testing.assert_close(y_BTD, apart)


def test_heads_start_at_the_rates_of_retention() -> None:
    mixer = make()
    torch.testing.assert_close(mixer.decay.bias.sigmoid(), 1 - 2.0 ** -torch.arange(5, 9, dtype=torch.float64))


def test_the_state_is_float32_under_autocast_and_as_large_as_stated() -> None:
    mixer, x_BTD = make().float(), rows().float()
    with torch.autocast("cpu", torch.bfloat16):
        state: State | None = mixer(x_BTD)[1]
        assert state is not None
        again = mixer(x_BTD, mixer.initial_state(BATCH, dtype=torch.bfloat16))[1]
    assert again is not None
    assert state[0].dtype == again[0].dtype == torch.float32
    cost = mixer.settings.cost(Shape(batch=BATCH, time=TIME), Execution(element_bytes=2))
    assert cost.state_bytes == state[0].numel() * 4


def test_a_read_of_one_key_keeps_its_sign_under_autocast() -> None:
    mixer, x_BTD = make().float(), torch.randn(256, 1, WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, _ = mixer(x_BTD)
        with torch.autocast("cpu", torch.bfloat16):
            found, _ = mixer(x_BTD)
    assert float((found - expected).norm() / expected.norm()) < 0.02


def test_chunks_are_the_serial_steps_of_the_fast_path() -> None:
    settings, shape = LinearAttentionSettings(width=WIDTH, chunk=64), Shape(batch=1, time=1000)
    assert settings.cost(shape, Execution()).serial_steps == 16
    assert settings.cost(shape, Execution(fused=False)).serial_steps == 1000


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": 3}, "heads=3"),
        ({"heads": 1, "causal": False}, "even number"),
        ({"chunk": 0}, "chunk=0"),
        ({"feature_map": "cosine"}, "feature_map='cosine'"),
    ],
)
def test_settings_that_do_not_fit_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        LinearAttentionSettings(width=WIDTH, **options)


@pytest.mark.parametrize("options", [{"chunk": 5, "gate": False}, {"chunk": 4, "feature_map": "silu"}])
def test_conforms_with_several_chunks_a_row(options: dict[str, object]) -> None:
    failed = [r for r in check_mixer(partial(LinearAttentionSettings, **options)) if not r.passed]
    assert failed == []
