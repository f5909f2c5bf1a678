from __future__ import annotations

import pytest
import torch

from crossover.recurrence import scan, solve
from crossover.recurrence.scan import blocks, summary


def by_steps(a, b, initial, reverse):
    flip = (lambda x: x.flip(1)) if reverse else (lambda x: x)
    width = a.shape[-1]

    def cell(step_BX, state):
        h = step_BX[:, :width] * state[0] + step_BX[:, width:]
        return h, (h,)

    return flip(solve(cell, torch.cat([flip(a), flip(b)], dim=-1), (initial,))[0])


def draw(batch, time, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(time)
    sizes = [(batch, time, width), (batch, time, width), (batch, width)]
    return [torch.randn(size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [1, 2, 15, 16, 17, 64, 67, 99])
def test_equals_the_loop_in_outputs_and_every_gradient(time, reverse):
    a, b, initial = draw(2, time, 3)
    a = (a.detach().sigmoid()).requires_grad_()
    h, expected = scan(a, b, initial, reverse=reverse), by_steps(a, b, initial, reverse)
    torch.testing.assert_close(h, expected, rtol=1e-12, atol=1e-12)
    gradient = torch.randn_like(h)
    found = torch.autograd.grad(h, (a, b, initial), gradient)
    for ours, theirs in zip(found, torch.autograd.grad(expected, (a, b, initial), gradient), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck(reverse):
    assert torch.autograd.gradcheck(lambda *x: scan(*x, reverse=reverse), draw(2, 18, 2))


def test_one_chunk_where_a_step_alone_is_wide_enough_gives_the_same():
    a, b, initial = draw(2, 20, 16_384, torch.float32)
    assert blocks(2, 20, 16_384) == (20, 1)
    torch.testing.assert_close(scan(a, b, initial), by_steps(a, b, initial, False))


@pytest.mark.parametrize(("time", "expected"), [(0, 0), (1, 1), (5, 1), (16, 5), (17, 4), (4096, 65)])
def test_number_of_chunks(time, expected):
    length, chunks = blocks(2, time, 8)
    assert chunks == expected
    assert 0 <= time - length * chunks < max(length, 1)


def test_a_zero_coefficient_starts_anew():
    a, b, initial = draw(1, 40, 2)
    cut = torch.ones(1, 40, 1, dtype=torch.float64)
    cut[:, 23] = 0
    torch.testing.assert_close(scan(a * cut, b, initial)[:, 23:], scan(a[:, 23:], b[:, 23:]))


def test_no_initial_state_is_zero_and_no_steps_give_no_output():
    a, b, initial = draw(2, 9, 3)
    torch.testing.assert_close(scan(a, b), scan(a, b, torch.zeros_like(initial)))
    empty = scan(a[:, :0], b[:, :0], initial)
    assert empty.shape == (2, 0, 3)
    empty.sum().backward()
    assert initial.grad is not None and not initial.grad.any()


def test_views_and_expanded_gradients():
    a, b, initial = draw(3, 33, 4)
    turned = a.transpose(0, 1).contiguous().transpose(0, 1)
    strided = torch.stack([b, b], dim=-1).flatten(2)[..., ::2]
    h, expected = scan(turned, strided, initial), scan(a, b, initial)
    assert torch.equal(h, expected)
    torch.testing.assert_close(
        torch.autograd.grad(h.sum(), b)[0], torch.autograd.grad(expected, b, torch.ones_like(h))[0]
    )


def test_bfloat16_is_summed_in_float32():
    a, b = torch.full((1, 1000, 1), 0.99609375).bfloat16(), torch.ones(1, 1000, 1).bfloat16()
    h = scan(a, b)
    assert h.dtype == torch.float32
    torch.testing.assert_close(h[0, -1, 0].item(), (1 - 0.99609375**1000) / (1 - 0.99609375), rtol=1e-5, atol=0)


def test_a_long_memory_neither_overflows_nor_vanishes():
    a, b = torch.full((1, 5000, 1), 0.999), torch.zeros(1, 5000, 1)
    b[0, 0] = 1
    torch.testing.assert_close(scan(a, b)[0, -1, 0].item(), 0.999**4999, rtol=1e-3, atol=0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [1, 2, 15, 16, 17, 100])
def test_a_summary_is_what_the_steps_do_to_the_state_before_them(time, reverse):
    a, b, initial = (torch.rand(shape, dtype=torch.float64) for shape in ((3, time, 4), (3, time, 4), (3, 4)))
    product, last = summary(a, b, reverse=reverse)
    h = scan(a, b, initial, reverse=reverse)
    torch.testing.assert_close(product * initial + last, h[:, 0 if reverse else -1], rtol=1e-12, atol=1e-12)


class Told:
    """An exchange for one of two stretches, of which the other one's part is known beforehand."""

    def __init__(self, forward: torch.Tensor, backward: torch.Tensor, *, first: bool) -> None:
        self.forward, self.backward, self.first = forward, backward, first

    def before(self, product, last, initial, *, reverse):
        return self.backward if reverse else self.forward

    def begins(self, *, reverse):
        return self.first != reverse


def test_two_stretches_of_time_give_what_one_gives_gradients_included():
    whole = [torch.rand(shape, dtype=torch.float64).requires_grad_() for shape in ((2, 9, 3), (2, 9, 3), (2, 3))]
    weights = torch.rand(2, 9, 3, dtype=torch.float64)
    h = scan(*whole)
    expected = torch.autograd.grad((h * weights).sum(), whole)
    # What crosses the boundary: h forward, a mu of the later stretch's first step backward.
    crossing = whole[0][:, 5] * expected[1][:, 5]
    for steps, first in ((slice(0, 5), True), (slice(5, 9), False)):
        told = Told(whole[2] if first else h[:, 4], crossing if first else torch.zeros(2, 3), first=first)
        own = [part.detach()[:, steps].clone().requires_grad_() for part in whole[:2]]
        initial = whole[2].detach().clone().requires_grad_()
        found_h = scan(*own, initial, exchange=told)
        torch.testing.assert_close(found_h, h[:, steps], rtol=1e-12, atol=1e-12)
        found = torch.autograd.grad((found_h * weights[:, steps]).sum(), [*own, initial])
        for ours, theirs in zip(found[:2], expected[:2], strict=True):
            torch.testing.assert_close(ours, theirs[:, steps], rtol=1e-12, atol=1e-12)
        of_initial = expected[2] if first else torch.zeros_like(initial)
        torch.testing.assert_close(found[2], of_initial, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [1, 7, 16, 70])
@pytest.mark.parametrize("size", [2, 4])
def test_blocks_equal_the_loop_in_outputs_and_every_gradient(size, time, reverse):
    generator = torch.Generator().manual_seed(time)
    shapes = [(size, size, 2, time, 3), (size, 2, time, 3), (size, 2, 3)]
    a, b, initial = (0.4 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    given = [part.requires_grad_() for part in (a, b, initial)]
    state, steps = initial, {}
    for t in range(time)[:: -1 if reverse else 1]:
        state = torch.einsum("jkbn,kbn->jbn", a[..., t, :], state) + b[..., t, :]
        steps[t] = state
    expected = torch.stack([steps[t] for t in range(time)], dim=2)
    h = scan(a, b, initial, reverse=reverse)
    torch.testing.assert_close(h, expected, rtol=1e-12, atol=1e-12)
    gradient = torch.randn(h.shape, generator=generator, dtype=torch.float64)
    found, by_loop = (torch.autograd.grad(states, given, gradient) for states in (h, expected))
    for ours, theirs in zip(found, by_loop, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [1, 15, 33])
def test_a_summary_of_blocks_is_what_the_steps_do_to_the_state_before_them(time, reverse):
    shapes = [(3, 3, 2, time, 4), (3, 2, time, 4), (3, 2, 4)]
    a, b, initial = (0.5 * torch.rand(shape, dtype=torch.float64) for shape in shapes)
    product, last = summary(a, b, reverse=reverse)
    found = torch.einsum("jkbn,kbn->jbn", product, initial) + last
    torch.testing.assert_close(found, scan(a, b, initial, reverse=reverse)[..., 0 if reverse else -1, :])
