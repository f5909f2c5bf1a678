from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.initialise import initialise
from crossover.models.mixers import MIXERS, Span
from crossover.models.mixers.elman import ElmanSettings
from crossover.models.mixers.gru import GRUSettings
from crossover.models.mixers.lstm import LSTMSettings
from crossover.models.mixers.recurrent import turn

STOCK = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def build(settings, seed=0):
    mixer = settings.build()
    initialise(mixer, seed)
    return mixer


@pytest.mark.parametrize("name", STOCK)
def test_equals_stock_torch_with_the_same_weights(name):
    mixer = build(MIXERS.get(name)(width=6))
    stock = STOCK[name](6, 6, batch_first=True)
    stock.load_state_dict(mixer.rnn.state_dict())
    x_BTD = torch.randn(3, 5, 6)
    torch.testing.assert_close(mixer(x_BTD)[0], stock(x_BTD)[0])


def test_bidirectional_equals_stock_torch():
    mixer = build(LSTMSettings(width=6, causal=False))
    stock = nn.LSTM(6, 3, batch_first=True, bidirectional=True)
    ahead, back = mixer.rnn.state_dict(), mixer.reverse_rnn.state_dict()
    stock.load_state_dict(ahead | {f"{name}_reverse": value for name, value in back.items()})
    x_BTD = torch.randn(3, 5, 6)
    torch.testing.assert_close(mixer(x_BTD)[0], stock(x_BTD)[0])


@pytest.mark.parametrize("name", STOCK)
def test_recurrent_weights_start_orthogonal_in_each_gate(name):
    settings = MIXERS.get(name)(width=8)
    for block in build(settings).rnn.weight_hh_l0.chunk(settings.gates):
        torch.testing.assert_close(block @ block.T, torch.eye(8), atol=1e-5, rtol=0)


def test_gain_scales_the_recurrent_weights_of_elman():
    weight = build(ElmanSettings(width=8, gain=0.5)).rnn.weight_hh_l0
    torch.testing.assert_close(weight @ weight.T, 0.25 * torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize("causal", [True, False])
def test_only_the_forget_gate_starts_with_a_bias(causal):
    mixer = build(LSTMSettings(width=8, causal=causal, forget_bias=2.0))
    for rnn in mixer.children():
        i, f, g, o = (rnn.bias_ih_l0 + rnn.bias_hh_l0).chunk(4)
        assert f.eq(2).all()
        assert not torch.cat([i, g, o]).any()


def test_an_odd_width_cannot_be_split_over_two_directions():
    with pytest.raises(ConfigError, match="7 hidden units over two directions"):
        GRUSettings(width=7, causal=False)
    with pytest.raises(ConfigError, match="width 0"):
        GRUSettings(width=0)


def test_the_state_of_a_mixer_that_is_not_causal_is_refused():
    mixer = build(GRUSettings(width=4, causal=False))
    with pytest.raises(ConfigError, match="whole rows"):
        mixer.initial_state(2)


def test_backward_flops_of_the_lstm_leave_out_the_first_steps_gradient():
    batch, time, hidden = 3, 7, 16
    cost = LSTMSettings(width=hidden).cost(Shape(batch=batch, time=time), Execution())
    forward = 8 * hidden * batch * time * (hidden + hidden)
    assert cost.flops_forward == forward
    assert cost.flops_backward == 2 * forward - 8 * hidden**2 * batch
    assert cost.serial_steps == time
    assert cost.state_bytes == batch * 2 * hidden * 4


@pytest.mark.parametrize(
    ("span", "calls"),
    [
        (Span(), 1),
        (Span(lengths_B=torch.tensor([6, 2, 4])), 3),
        (Span(lengths_B=torch.tensor([6, 2, 4]), carry=False), 1),
        (Span(lengths_B=torch.tensor([6, 6, 6])), 1),
        (Span(resets_BT=torch.arange(6).eq(3).expand(3, 6)), 2),
    ],
)
def test_the_kernel_is_called_once_unless_a_reset_or_an_end_needs_a_cut(span, calls):
    mixer = build(LSTMSettings(width=4))
    seen = []
    mixer.rnn.register_forward_hook(lambda *_: seen.append(1))
    _, state = mixer(torch.randn(3, 6, 4), None, span)
    assert len(seen) == calls
    assert (state is None) == (not span.carry)


@pytest.mark.parametrize("name", MIXERS.names()[:5])
def test_solve_can_be_replaced(name):
    mixer = build(MIXERS.get(name)(width=4))
    x_BTD = torch.randn(2, 5, 4)
    expected, _ = mixer(x_BTD)
    calls = []

    def other(prepared, state, span):
        calls.append(prepared.shape)
        return mixer.solve_by_steps(prepared, state, span)

    mixer.solve = other
    torch.testing.assert_close(mixer(x_BTD)[0], expected)
    assert len(calls) == 1


@pytest.mark.parametrize("name", MIXERS.names()[:5])
def test_no_steps_leave_the_state_as_it_was(name):
    mixer = build(MIXERS.get(name)(width=4))
    _, state = mixer(torch.randn(2, 3, 4))
    y_BTD, after = mixer(torch.randn(2, 0, 4), state)
    assert y_BTD.shape == (2, 0, 4)
    assert all(torch.equal(a, b) for a, b in zip(after, state, strict=True))


def test_turning_rows_is_its_own_inverse_and_leaves_padding_in_place():
    x_BT = torch.tensor([[1, 2, 3, 0], [1, 2, 3, 4], [7, 8, 9, 0]])[..., None]
    lengths_B = torch.tensor([3, 4, 0])
    turned = turn(x_BT, lengths_B)
    assert turned[..., 0].tolist() == [[3, 2, 1, 0], [4, 3, 2, 1], [7, 8, 9, 0]]
    assert torch.equal(turn(turned, lengths_B), x_BT)
    assert torch.equal(turn(x_BT, None), x_BT.flip(1))


PAGES_OF_A_PASS = """
import torch
from torch import nn
from crossover.measure.resident import resident_bytes
layer, x_BTD = nn.LSTM({width}, {width}, batch_first=True), torch.randn({batch}, {time}, {width})
layer(x_BTD[:, :2])
before = resident_bytes()
outputs = layer(x_BTD)
print(resident_bytes() - before)
"""


@pytest.mark.parametrize(("batch", "time", "width"), [(32, 512, 128), (8, 512, 256)])
def test_the_fused_lstm_has_no_pages_of_what_it_writes_on_its_way_back(batch: int, time: int, width: int) -> None:
    code = PAGES_OF_A_PASS.format(batch=batch, time=time, width=width)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    term = LSTMSettings(width=width).cost(Shape(batch=batch, time=time), Execution()).terms[1]
    written = term.activation_bytes - term.unwritten_bytes
    assert int(run.stdout) == pytest.approx(written, rel=0.08)
    assert int(run.stdout) < term.activation_bytes / 2
