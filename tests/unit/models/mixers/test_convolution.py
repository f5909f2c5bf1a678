"""The gated convolution against its sum over taps, and its state: the last inputs."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.convolution import Convolution, ConvolutionSettings
from crossover.testing.conformance import check_mixer

BATCH, TIME, WIDTH = 3, 9, 4


def make(**options: object) -> Convolution:
    torch.manual_seed(0)
    return ConvolutionSettings(width=WIDTH, **options).build().double()


def rows(time: int = TIME) -> Tensor:
    return torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def last_inputs(state: State | None) -> Tensor:
    assert state is not None
    return state[0]


def by_taps(mixer: Convolution, x_BTD: Tensor, lengths: list[int], resets: list[set[int]]) -> Tensor:
    """y_t from the inputs that step t may see, tap by tap: the last tap meets the latest of them."""
    kernel = mixer.settings.kernel
    back = kernel - 1 if mixer.causal else kernel // 2
    taps_DJ = mixer.depthwise.weight[:, 0]
    out = torch.zeros_like(x_BTD)
    for b in range(BATCH):
        part = [sum(1 for r in resets[b] if r <= t) for t in range(TIME)]
        for t in range(lengths[b]):
            c_D = mixer.depthwise.get_parameter("bias").clone()
            for tap in range(kernel):
                j = t - back + tap
                if 0 <= j < lengths[b] and part[j] == part[t]:
                    c_D = c_D + taps_DJ[:, tap] * x_BTD[b, j]
            value, gate = mixer.pointwise(c_D).chunk(2)
            out[b, t] = value * gate.sigmoid()
    return out


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 4, 12])
def test_equals_the_sum_over_taps(fused: bool, causal: bool, kernel: int) -> None:
    mixer, x_BTD = make(causal=causal, kernel=kernel), rows()
    lengths, resets = [9, 5, 0], [{4, 5}, {0, 3}, set()]
    resets_BT = torch.tensor([[t in marked for t in range(TIME)] for marked in resets])
    run = mixer if fused else mixer.definition
    for marked, span in (
        ([set()] * 3, Span(lengths_B=torch.tensor(lengths))),
        (resets, Span(lengths_B=torch.tensor(lengths), resets_BT=resets_BT)),
    ):
        y_BTD, _ = run(x_BTD, None, span)
        torch.testing.assert_close(y_BTD, by_taps(mixer, x_BTD, lengths, marked))


def test_the_state_is_the_last_inputs_of_each_row() -> None:
    mixer, x_BTD = make(kernel=4), rows()
    found = last_inputs(mixer(x_BTD, None, Span(lengths_B=torch.tensor([9, 2, 0])))[1])
    zeros = torch.zeros(3, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(found[0], x_BTD[0, 6:9])
    torch.testing.assert_close(found[1], torch.cat([zeros[:1], x_BTD[1, :2]]))
    torch.testing.assert_close(found[2], zeros)


def test_after_a_reset_the_state_forgets_what_was_before() -> None:
    mixer, x_BTD = make(kernel=4), rows()
    resets_BT = torch.zeros(BATCH, TIME, dtype=torch.bool)
    resets_BT[0, 7] = True
    resets_BT[1, 2] = True
    found = last_inputs(mixer(x_BTD, None, Span(resets_BT=resets_BT))[1])
    assert not found[0, 0].any()
    torch.testing.assert_close(found[0, 1:], x_BTD[0, 7:])
    torch.testing.assert_close(found[1], x_BTD[1, 6:])


def test_state_bytes_are_those_of_the_last_inputs() -> None:
    mixer = make(kernel=5).float()
    found = last_inputs(mixer(rows().float())[1])
    cost = mixer.settings.cost(Shape(batch=BATCH, time=TIME, context=100), Execution())
    assert cost.state_bytes == found.numel() * found.element_size()
    assert make(kernel=5, causal=False).settings.cost(Shape(batch=1, time=1), Execution()).state_bytes == 0


def test_whole_rows_carry_no_state() -> None:
    mixer = make(causal=False)
    with pytest.raises(ConfigError, match="causal=True"):
        mixer(rows(), make().initial_state(BATCH))


@pytest.mark.parametrize(("options", "named"), [({"kernel": 0}, "kernel=0"), ({"width": 0}, "width 0")])
def test_sizes_below_one_are_named(options: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        ConvolutionSettings(**{"width": WIDTH, **options})


def test_conforms_with_an_odd_kernel() -> None:
    failed = [r for r in check_mixer(partial(ConvolutionSettings, kernel=5)) if not r.passed]
    assert failed == []
