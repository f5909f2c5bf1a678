from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from crossover.errors import ConfigError
from crossover.recurrence import Cell, Limits, Manner, Marks, Tally, trajectory
from crossover.recurrence.affine import MinGRUCell, MinLSTMCell
from crossover.recurrence.gated import ElmanCell, GRUCell, LSTMCell

LENGTHS = [1, 2, 7, 64, 127, 1000, 4097]
SOLVED = [
    (ElmanCell, 1, "newton"),
    (GRUCell, 1, "newton"),
    (LSTMCell, 1, "newton"),
    (ElmanCell, 3, "newton"),
    (GRUCell, 2, "newton"),
    (LSTMCell, 2, "newton"),
    (ElmanCell, 1, "sequential"),
    (GRUCell, 4, "sequential"),
    (LSTMCell, 1, "sequential"),
    (MinGRUCell, 1, "scan"),
    (MinLSTMCell, 1, "scan"),
    (MinGRUCell, 1, "sequential"),
    (MinLSTMCell, 1, "newton"),
]
NAMES = [f"{cell.__name__}-{units}-{solver}" for cell, units, solver in SOLVED]


class Rotor(Cell):
    """Two numbers that turn into one another; differentiated by PyTorch, since it says nothing of its own."""

    gates = 1

    def step(self, x_GkSN, state, weights):
        first, second = state[0]
        turned = torch.stack([second * weights[0][0], -first * weights[0][1]])
        return (torch.tanh(x_GkSN[0] + turned),)


class Neighbours(Cell):
    """Says that its systems are independent, and lets each see the next one."""

    gates = 1

    def step(self, x_GkSN, state, weights):
        return (torch.tanh(x_GkSN[0] + state[0].roll(1, dims=-1)),)


def draw(cell, time, *, batch=2, systems=3, spread=0.5, dtype=torch.float64, weights=None):
    generator = torch.Generator().manual_seed(time)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = normal(batch, time, cell.gates * systems * cell.units)
    initial = [normal(cell.units, batch, systems).tanh() for _ in range(cell.parts)]
    if weights is None:
        gated = isinstance(cell, ElmanCell | GRUCell | LSTMCell)
        weights = [(cell.gates, cell.units, cell.units, systems)] if gated else []
        weights += [(1, cell.units, systems)] if isinstance(cell, GRUCell) else []
    own = [spread * normal(*shape) for shape in weights]
    return [tensor.to(dtype).requires_grad_() for tensor in (inputs, *initial, *own)]


def parts_of(cell, given):
    return given[0], tuple(given[1 : 1 + cell.parts]), tuple(given[1 + cell.parts :])


def by_definition(cell, given, marks=None):
    """One step of the cell after the other, differentiated by PyTorch."""
    inputs, state, weights = parts_of(cell, given)
    x = inputs.unflatten(-1, (cell.gates, -1, cell.units)).permute(2, 4, 0, 1, 3)
    own, marks, found = cell.spread(weights, 1), marks or Marks(), []
    for number in range(inputs.shape[1]):
        if marks.starts_BT is not None:
            state = tuple(part.masked_fill(marks.starts_BT[:, number, None], 0) for part in state)
        stepped = cell.step(x[:, :, :, number], state, own)
        if marks.holds_BT is not None:
            held = marks.holds_BT[:, number, None]
            stepped = tuple(torch.where(held, old, new) for old, new in zip(state, stepped, strict=True))
        state = stepped
        found.append(state)
    return tuple(torch.stack(steps, dim=2) for steps in zip(*found, strict=True))


def solved(cell, given, manner, marks=None):
    inputs, initial, weights = parts_of(cell, given)
    return trajectory(cell, inputs, initial, weights, marks=marks, manner=manner)


def differences(found, expected, given):
    """Relative to each tensor's norm: of the states, and of every gradient of a random sum of them."""
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.dtype) for part in expected]
    pairs = list(zip(found, expected, strict=True))
    gradients = [
        torch.autograd.grad(sum((w * part).sum() for w, part in zip(weights, states, strict=True)), given)
        for states in (found, expected)
    ]
    pairs += list(zip(*gradients, strict=True))
    return [float((a - b).detach().norm() / b.detach().norm().clamp(min=1e-30)) for a, b in pairs]


@pytest.mark.parametrize("time", LENGTHS)
@pytest.mark.parametrize(("kind", "units", "solver"), SOLVED, ids=NAMES)
def test_states_and_gradients_are_those_of_the_definition_in_float64(kind, units, solver, time):
    cell = kind(units) if units > 1 else kind()
    given = draw(cell, time)
    found = differences(solved(cell, given, Manner(solver=solver)), by_definition(cell, given), given)
    assert max(found) <= 1e-9


@pytest.mark.parametrize("time", [7, 1000])
@pytest.mark.parametrize(("kind", "units", "solver"), SOLVED, ids=NAMES)
def test_states_and_gradients_are_those_of_the_definition_in_float32(kind, units, solver, time):
    cell = kind(units) if units > 1 else kind()
    given = draw(cell, time, dtype=torch.float32)
    found = differences(solved(cell, given, Manner(solver=solver)), by_definition(cell, given), given)
    assert max(found) <= 1e-4


@pytest.mark.parametrize(("kind", "units", "solver"), SOLVED, ids=NAMES)
def test_steps_that_start_anew_and_steps_that_hold(kind, units, solver):
    cell = kind(units) if units > 1 else kind()
    given = draw(cell, 90, batch=3)
    starts, holds = torch.zeros(3, 90, dtype=torch.bool), torch.zeros(3, 90, dtype=torch.bool)
    starts[0, [0, 17, 18]] = starts[1, 63] = True
    holds[2, 40:] = holds[1, 0] = True
    marks = Marks(starts, holds)
    found = differences(solved(cell, given, Manner(solver=solver), marks), by_definition(cell, given, marks), given)
    assert max(found) <= 1e-9


def test_inputs_that_are_views_give_the_same():
    cell = GRUCell()
    inputs, initial, weights = parts_of(cell, draw(cell, 65))
    view = torch.stack([inputs, inputs], -1).flatten(2)[..., ::2].transpose(0, 1).contiguous().transpose(0, 1)
    for solver in ("sequential", "newton"):
        manner = Manner(solver=solver)
        found = trajectory(cell, view, initial, weights, manner=manner)
        torch.testing.assert_close(found, trajectory(cell, inputs, initial, weights, manner=manner))


@pytest.mark.parametrize("spread", [1.0, 4.0])
@pytest.mark.parametrize("kind", [ElmanCell, GRUCell, LSTMCell])
def test_large_recurrent_weights_give_the_right_result_and_what_is_solved_step_by_step_is_counted(kind, spread):
    cell, tally = kind(), Tally()
    given = draw(cell, 4096, batch=4, systems=8, spread=spread)
    found = solved(cell, given, Manner(solver="newton", tally=tally))
    assert tally.solves == 1 and tally.rows == 4 and 1 <= tally.iterations <= Limits().iterations
    assert max(differences(found, by_definition(cell, given), given)) <= 1e-9
    fixed = Manner(solver="newton", limits=Limits(iterations=3), tally=Tally())
    assert max(differences(solved(cell, given, fixed), by_definition(cell, given), given)) <= 1e-9
    assert fixed.tally.fallbacks > 0


def test_rows_settle_one_by_one():
    cell, tally = ElmanCell(), Tally()
    given = draw(cell, 500, batch=3, spread=0.3)
    with torch.no_grad():
        given[0][1] = torch.nan
    states = solved(cell, given, Manner(solver="newton", tally=tally))[0]
    expected = by_definition(cell, given)[0]
    torch.testing.assert_close(states[:, [0, 2]], expected[:, [0, 2]], rtol=1e-9, atol=1e-12)
    assert bool(states[:, 1].isnan().all()) and tally.fallbacks == 1


def test_damping_takes_more_iterations_to_the_same_result():
    cell, full, damped = GRUCell(), Tally(), Tally()
    given = draw(cell, 300)
    expected = solved(cell, given, Manner(solver="newton", tally=full))
    limits = Limits(damping=0.7, iterations=60)
    found = solved(cell, given, Manner(solver="newton", limits=limits, tally=damped))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert damped.iterations > full.iterations and damped.fallbacks == full.fallbacks == 0


@pytest.mark.parametrize("solver", ["sequential", "newton"])
def test_a_cell_that_says_nothing_of_its_derivatives(solver):
    cell = Rotor(units=2)
    given = draw(cell, 70, weights=[(2, 3)])
    found = differences(solved(cell, given, Manner(solver=solver)), by_definition(cell, given), given)
    assert max(found) <= 1e-9


@pytest.mark.parametrize("kind", [Rotor, GRUCell])
def test_inference_mode_changes_nothing(kind, monkeypatch):
    monkeypatch.setattr(import_module("crossover.recurrence.checks"), "_STRUCTURES", set())
    cell = kind(units=2)
    given = draw(cell, 70, weights=[(2, 3)] if kind is Rotor else None)
    expected = solved(cell, given, Manner(solver="newton"))
    import_module("crossover.recurrence.checks")._STRUCTURES.clear()
    with torch.inference_mode():
        copies = [part.detach().clone() for part in given]
        found = [solved(cell, copies, Manner(solver=solver)) for solver in ("sequential", "newton")]
    for states in found:
        torch.testing.assert_close(states, tuple(part.detach() for part in expected), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [Rotor, LSTMCell])
def test_a_trajectory_that_is_computed_again_keeps_as_much_as_the_first_time(kind):
    cell = kind(units=2)
    inputs, initial, weights = parts_of(cell, draw(cell, 70, weights=[(2, 3)] if kind is Rotor else None))

    def solve(inputs):
        return trajectory(cell, inputs, initial, weights, manner=Manner(solver="newton"))[0]

    import_module("crossover.recurrence.checks")._STRUCTURES.clear()
    again = checkpoint(solve, inputs, use_reentrant=False)
    found, expected = (torch.autograd.grad(states.sum(), inputs)[0] for states in (again, solve(inputs)))
    torch.testing.assert_close(found, expected)


def test_chunk_by_chunk_with_the_state_carried_is_the_whole():
    for cell, solver in ((LSTMCell(), "newton"), (MinLSTMCell(), "scan"), (MinGRUCell(), "scan")):
        inputs, state, weights = parts_of(cell, draw(cell, 130))
        whole, chunks = trajectory(cell, inputs, state, weights, manner=Manner(solver=solver)), []
        for chunk in inputs.split([1, 60, 2, 67], dim=1):
            chunks.append(trajectory(cell, chunk, state, weights, manner=Manner(solver=solver)))
            state = tuple(part[:, :, -1] for part in chunks[-1])
        for part, pieces in zip(whole, zip(*chunks, strict=True), strict=True):
            torch.testing.assert_close(torch.cat(pieces, dim=2), part, rtol=1e-9, atol=1e-11)


def test_what_cannot_be_solved_is_one_sentence():
    cell = GRUCell()
    inputs, initial, weights = parts_of(cell, draw(cell, 5))
    with pytest.raises(ConfigError, match="T = 0"):
        trajectory(cell, inputs[:, :0], initial, weights)
    with pytest.raises(ConfigError, match="not affine"):
        trajectory(cell, inputs, initial, weights, manner=Manner(solver="scan"))
    with pytest.raises(ConfigError, match="no solver 'fixed'"):
        trajectory(cell, inputs, initial, weights, manner=Manner(solver="fixed"))
    seen = Neighbours()
    inputs, initial, _ = parts_of(seen, draw(seen, 5))
    with pytest.raises(ConfigError, match="blocks of 1 x 1"):
        trajectory(seen, inputs, initial, manner=Manner(solver="newton"))
