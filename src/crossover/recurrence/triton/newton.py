"""One of Newton's iterations for diagonal GRUs and LSTMs in Triton: gates, Jacobians and the scan in one kernel.

Nothing of a step is written down but the improved state: a chunk's steps are linearised once to be summarised and
once more to be solved. A program has one row, one chunk and `WIDE` units. `marks` are 1 where a step starts anew and
2 where it holds.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossover.recurrence.marks import Marks

_WIDE, _STEPS = 64, 64


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _gru(x, u, place, width, real, h):
    """f(h) and its derivative by h."""
    x_r = tl.load(x + place, mask=real, other=0.0)
    x_z = tl.load(x + width + place, mask=real, other=0.0)
    x_n = tl.load(x + 2 * width + place, mask=real, other=0.0)
    u_r = tl.load(u + place, mask=real, other=0.0)
    u_z = tl.load(u + width + place, mask=real, other=0.0)
    u_n = tl.load(u + 2 * width + place, mask=real, other=0.0)
    r, z = tl.sigmoid(x_r + u_r * h), tl.sigmoid(x_z + u_z * h)
    mapped = u_n * h
    n = _tanh(x_n + r * mapped)
    by_map = (1 - n * n) * (1 - z) * r
    slope = by_map * mapped * (1 - r) * u_r + (h - n) * z * (1 - z) * u_z + by_map * u_n + z
    return n + z * (h - n), slope


@triton.jit
def _lstm(x, u, place, width, real, h, c):
    """f(h, c) and its derivatives: of h by h and c, of c by h and c."""
    x_i = tl.load(x + place, mask=real, other=0.0)
    x_f = tl.load(x + width + place, mask=real, other=0.0)
    x_g = tl.load(x + 2 * width + place, mask=real, other=0.0)
    x_o = tl.load(x + 3 * width + place, mask=real, other=0.0)
    u_i = tl.load(u + place, mask=real, other=0.0)
    u_f = tl.load(u + width + place, mask=real, other=0.0)
    u_g = tl.load(u + 2 * width + place, mask=real, other=0.0)
    u_o = tl.load(u + 3 * width + place, mask=real, other=0.0)
    i, f, o = tl.sigmoid(x_i + u_i * h), tl.sigmoid(x_f + u_f * h), tl.sigmoid(x_o + u_o * h)
    g = _tanh(x_g + u_g * h)
    after = f * c + i * g
    shown = _tanh(after)
    c_by_h = g * i * (1 - i) * u_i + c * f * (1 - f) * u_f + i * (1 - g * g) * u_g
    h_by_c = o * (1 - shown * shown)
    h_by_h = h_by_c * c_by_h + shown * o * (1 - o) * u_o
    return o * shown, after, h_by_h, h_by_c * f, c_by_h, f


@triton.jit
def _largest(so_far, x):
    """The larger magnitude; what is not a number stays so."""
    found = tl.abs(x)
    return tl.where((found > so_far) | (found != found), found, so_far)


@triton.jit
def _before_chunk(own, boundary, first, width, place, real):
    """A part of the state before a chunk's first step."""
    given = tl.load(boundary + place, mask=real & (first == 0), other=0.0)
    return given + tl.load(own + (first - 1) * width + place, mask=real & (first > 0), other=0.0)


@triton.jit
def _gru_chunk(
    x, u, h_old, h_new, boundary, marks, starts, summary, measures, time, width, chunks, x_row, x_step, damping,
    STEPS: tl.constexpr, WIDE: tl.constexpr, MARKED: tl.constexpr, SOLVES: tl.constexpr,
):  # fmt: skip
    row, chunk = tl.program_id(0), tl.program_id(1)
    place = tl.program_id(2) * WIDE + tl.arange(0, WIDE)
    real, first = place < width, chunk * STEPS
    plane, at_chunk = tl.num_programs(0) * chunks * width, (row * chunks + chunk) * width + place
    own = h_old + row * time * width
    h = _before_chunk(own, boundary + row * width, first, width, place, real)
    d, passed = h * 0, h * 0 + 1
    if SOLVES:
        d = tl.load(starts + at_chunk, mask=real, other=0.0)
    changed, off, size = h * 0, h * 0, h * 0
    for number in range(STEPS):
        step = first + number
        here = real & (step < time)
        if MARKED:
            mark = tl.load(marks + row * time + step, mask=step < time, other=0)
            h = tl.where(mark == 1, 0.0, h)
        value, slope = _gru(x + row * x_row + step * x_step, u, place, width, here, h)
        if MARKED:
            value = tl.where(mark == 2, h, value)
            slope = tl.where(mark == 1, 0.0, tl.where(mark == 2, 1.0, slope))
        h = tl.load(own + step * width + place, mask=here, other=0.0)
        residual = value - h
        d = tl.where(here, slope * d + residual, d)
        passed = tl.where(here, passed * slope, passed)
        if SOLVES:
            new = h + damping * d
            tl.store(h_new + (row * time + step) * width + place, new, mask=here)
            changed = tl.where(here, _largest(changed, d), changed)
            off = tl.where(here, _largest(off, residual), off)
            size = tl.where(here, _largest(size, new), size)
    if SOLVES:
        tl.store(measures + at_chunk, changed, mask=real)
        tl.store(measures + plane + at_chunk, off, mask=real)
        tl.store(measures + 2 * plane + at_chunk, size, mask=real)
    else:
        tl.store(summary + at_chunk, passed, mask=real)
        tl.store(summary + plane + at_chunk, d, mask=real)


@triton.jit
def _lstm_chunk(
    x, u, h_old, c_old, h_new, c_new, boundary, marks, starts, summary, measures, time, width, chunks, x_row, x_step,
    damping, STEPS: tl.constexpr, WIDE: tl.constexpr, MARKED: tl.constexpr, SOLVES: tl.constexpr,
):  # fmt: skip
    row, chunk, rows = tl.program_id(0), tl.program_id(1), tl.num_programs(0)
    place = tl.program_id(2) * WIDE + tl.arange(0, WIDE)
    real, first = place < width, chunk * STEPS
    plane, at_chunk = rows * chunks * width, (row * chunks + chunk) * width + place
    h = _before_chunk(h_old + row * time * width, boundary + row * width, first, width, place, real)
    c = _before_chunk(c_old + row * time * width, boundary + (rows + row) * width, first, width, place, real)
    zero = h * 0
    d_h, d_c = zero, zero
    p_hh, p_hc, p_ch, p_cc = zero + 1, zero, zero, zero + 1
    if SOLVES:
        d_h = tl.load(starts + at_chunk, mask=real, other=0.0)
        d_c = tl.load(starts + plane + at_chunk, mask=real, other=0.0)
    changed, off, size = zero, zero, zero
    for number in range(STEPS):
        step = first + number
        here = real & (step < time)
        at = (row * time + step) * width + place
        if MARKED:
            mark = tl.load(marks + row * time + step, mask=step < time, other=0)
            h, c = tl.where(mark == 1, 0.0, h), tl.where(mark == 1, 0.0, c)
        of_h, of_c, hh, hc, ch, cc = _lstm(x + row * x_row + step * x_step, u, place, width, here, h, c)
        if MARKED:
            of_h, of_c = tl.where(mark == 2, h, of_h), tl.where(mark == 2, c, of_c)
            one = tl.where(mark == 2, 1.0, 0.0)
            hh, cc = tl.where(mark > 0, one, hh), tl.where(mark > 0, one, cc)
            hc, ch = tl.where(mark > 0, 0.0, hc), tl.where(mark > 0, 0.0, ch)
        h, c = tl.load(h_old + at, mask=here, other=0.0), tl.load(c_old + at, mask=here, other=0.0)
        r_h, r_c = of_h - h, of_c - c
        next_h, next_c = hh * d_h + hc * d_c + r_h, ch * d_h + cc * d_c + r_c
        d_h, d_c = tl.where(here, next_h, d_h), tl.where(here, next_c, d_c)
        if SOLVES:
            new_h, new_c = h + damping * d_h, c + damping * d_c
            tl.store(h_new + at, new_h, mask=here)
            tl.store(c_new + at, new_c, mask=here)
            changed = tl.where(here, _largest(_largest(changed, d_h), d_c), changed)
            off = tl.where(here, _largest(_largest(off, r_h), r_c), off)
            size = tl.where(here, _largest(_largest(size, new_h), new_c), size)
        else:
            q_hh, q_hc = hh * p_hh + hc * p_ch, hh * p_hc + hc * p_cc
            q_ch, q_cc = ch * p_hh + cc * p_ch, ch * p_hc + cc * p_cc
            p_hh, p_hc = tl.where(here, q_hh, p_hh), tl.where(here, q_hc, p_hc)
            p_ch, p_cc = tl.where(here, q_ch, p_ch), tl.where(here, q_cc, p_cc)
    if SOLVES:
        tl.store(measures + at_chunk, changed, mask=real)
        tl.store(measures + plane + at_chunk, off, mask=real)
        tl.store(measures + 2 * plane + at_chunk, size, mask=real)
    else:
        tl.store(summary + at_chunk, p_hh, mask=real)
        tl.store(summary + plane + at_chunk, p_hc, mask=real)
        tl.store(summary + 2 * plane + at_chunk, p_ch, mask=real)
        tl.store(summary + 3 * plane + at_chunk, p_cc, mask=real)
        tl.store(summary + 4 * plane + at_chunk, d_h, mask=real)
        tl.store(summary + 5 * plane + at_chunk, d_c, mask=real)


class Iteration:
    """One iteration for rows of a diagonal GRU (one part of the state) or LSTM (two): summaries first, then states.

    `x_BTX` holds what enters the gates, the units of a gate contiguous; `u_GN`, `boundary_KBN` and the parts of the
    state, [B, T, N], are contiguous; `marks_BT` is int8.
    """

    def __init__(
        self, x_BTX: Tensor, u_GN: Tensor, parts: tuple[Tensor, ...], boundary_KBN: Tensor, marks_BT: Tensor | None
    ) -> None:
        self.parts, self.marked = parts, marks_BT is not None
        self.new = tuple(torch.empty_like(part) for part in parts)
        batch, time, width = parts[0].shape
        self.chunks = triton.cdiv(time, _STEPS)
        self.grid = (batch, self.chunks, triton.cdiv(width, _WIDE))
        self.shape = (batch, self.chunks, width)
        self.kernel = _gru_chunk if len(parts) == 1 else _lstm_chunk
        self.marks = marks_BT if marks_BT is not None else parts[0].new_zeros(1, dtype=torch.int8)
        self.given = (x_BTX, u_GN, *parts, *self.new, boundary_KBN, self.marks)
        self.sizes = (time, width, self.chunks, x_BTX.stride(0), x_BTX.stride(1))

    def summaries(self) -> tuple[Tensor, Tensor]:
        """Of every chunk: the product of Jacobians [K, K, B, C, N], the last correction from none [K, B, C, N]."""
        size = len(self.parts)
        summary = self.parts[0].new_empty(size * size + size, *self.shape)
        self._run(summary, summary, summary, 1.0, solves=False)
        return summary[: size * size].unflatten(0, (size, size)), summary[size * size :]

    def improve(self, starts_KBCN: Tensor, damping: float) -> tuple[tuple[Tensor, ...], Tensor]:
        """The states with the corrections that go on from those before each chunk, and each row's measures, [3, B].

        Those are its largest correction, residual and state.
        """
        measures = self.parts[0].new_empty(3, *self.shape)
        self._run(starts_KBCN.contiguous(), measures, measures, damping, solves=True)
        return self.new, measures.amax((2, 3))

    def _run(self, starts: Tensor, summary: Tensor, measures: Tensor, damping: float, *, solves: bool) -> None:
        options = {"STEPS": _STEPS, "WIDE": _WIDE, "MARKED": self.marked, "SOLVES": solves}
        self.kernel[self.grid](*self.given, starts, summary, measures, *self.sizes, damping, **options)


def marks_as_numbers(marks: Marks) -> Tensor | None:
    """1 where a step starts anew, 2 where it holds, else 0; None where all are 0."""
    if marks.starts_BT is None and marks.holds_BT is None:
        return None
    found_BT = None
    if marks.starts_BT is not None:
        found_BT = marks.starts_BT.to(torch.int8)
    if marks.holds_BT is not None:
        held_BT = 2 * marks.holds_BT.to(torch.int8)
        found_BT = held_BT if found_BT is None else torch.maximum(found_BT, held_BT)
    return None if found_BT is None else found_BT.contiguous()
