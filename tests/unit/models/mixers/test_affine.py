from __future__ import annotations

import pytest
import torch

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.initialise import initialise
from crossover.models.mixers.base import Span
from crossover.models.mixers.mingru import MinGRUSettings
from crossover.models.mixers.minlstm import MinLSTMSettings


def build(settings):
    mixer = settings.build()
    initialise(mixer, 0)
    return mixer


@pytest.mark.parametrize("settings", [MinGRUSettings(width=4), MinLSTMSettings(width=4)])
def test_a_state_carried_over_thousands_of_steps_is_exact(settings):
    mixer = build(settings).double()
    x_BTD = 3 * torch.randn(1, 3000, 4, dtype=torch.float64)
    whole, last = mixer(x_BTD)
    first, state = mixer(x_BTD[:, :1234])
    second, after = mixer(x_BTD[:, 1234:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(after[0], last[0], rtol=0, atol=1e-12)


def test_extreme_gates_of_minlstm_stay_finite_where_the_quotient_is_not():
    mixer = build(MinLSTMSettings(width=1))
    gates = torch.tensor([[[-200.0, -200.0, 3.0], [-200.0, -190.0, 5.0], [200.0, 200.0, 1.0]]]).requires_grad_()
    z, _ = mixer.cell.gate(gates.movedim(-1, 0)[:, None, :, :, None])
    torch.testing.assert_close(z.flatten(), torch.tensor([0.5, torch.sigmoid(torch.tensor(10.0)), 0.5]))
    h, _ = mixer.solve(gates, (torch.zeros(1, 1),), Span())
    h.sum().backward()
    assert h.isfinite().all() and gates.grad.isfinite().all()


@pytest.mark.parametrize(("causal", "directions"), [(True, 1), (False, 2)])
def test_gates_start_on_the_side_that_keeps(causal, directions):
    bias = build(MinGRUSettings(width=4, causal=causal, forget_bias=3.0)).projection.bias
    assert bias.view(directions, 2, -1)[:, 0].eq(-3).all()
    assert not bias.view(directions, 2, -1)[:, 1].any()
    bias = build(MinLSTMSettings(width=4, causal=causal)).projection.bias
    assert bias.view(directions, 3, -1)[:, 0].eq(1).all()
    assert not bias.view(directions, 3, -1)[:, 1:].any()


def test_an_output_projection_only_where_hidden_units_are_not_the_width():
    assert "output.weight" not in MinGRUSettings(width=4).parameters()
    assert MinGRUSettings(width=4, expansion=1.5).parameters()["output.weight"] == (4, 6)
    assert build(MinGRUSettings(width=4, expansion=1.5))(torch.randn(2, 3, 4))[1][0].shape == (2, 6)


@pytest.mark.parametrize("expansion", [0, -1, 0.3])
def test_an_expansion_without_whole_units_is_refused(expansion):
    with pytest.raises(ConfigError, match=r"width 4 and expansion"):
        MinGRUSettings(width=4, expansion=expansion)


def test_the_state_is_float32_under_autocast():
    mixer = build(MinGRUSettings(width=4))
    with torch.autocast("cpu", torch.bfloat16):
        _, (state,) = mixer(torch.randn(2, 3, 4))
    assert state.dtype == torch.float32


def test_serial_steps_grow_with_the_logarithm_of_time():
    steps = [
        MinGRUSettings(width=4).cost(Shape(batch=1, time=time), Execution()).serial_steps for time in (1, 1023, 4095)
    ]
    assert steps == [1, 10, 12]
