"""The diagonal scan in Triton: chunks reduced side by side, their summaries in turn, chunks solved side by side.

As `crossover.recurrence.scan`, with a chunk's steps in one kernel: a and b are read twice and h is written once,
whatever the length. A program has one row, one chunk and `WIDE` neighbouring numbers of a step.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_WIDE, _STEPS = 64, 128


@triton.jit
def _chunk(
    a, b, starts, product, last, h_out, time, width, chunks, a_row, a_step, b_row, b_step, h_row, h_step,
    STEPS: tl.constexpr, WIDE: tl.constexpr, REVERSE: tl.constexpr, SOLVES: tl.constexpr,
):  # fmt: skip
    row, chunk = tl.program_id(0), tl.program_id(1)
    place = tl.program_id(2) * WIDE + tl.arange(0, WIDE)
    real = place < width
    at_chunk = (row * chunks + chunk) * width + place
    h = tl.zeros((WIDE,), dtype=product.dtype.element_ty)
    passed = h + 1
    if SOLVES:
        h = tl.load(starts + at_chunk, mask=real, other=0.0)
    for number in range(STEPS):
        step = chunk * STEPS + number
        here = real & (step < time)
        at = time - 1 - step if REVERSE else step
        a_t = tl.load(a + row * a_row + at * a_step + place, mask=here, other=1.0)
        b_t = tl.load(b + row * b_row + at * b_step + place, mask=here, other=0.0)
        h = a_t * h + b_t
        if SOLVES:
            tl.store(h_out + row * h_row + at * h_step + place, h, mask=here)
        else:
            passed = passed * a_t
    if not SOLVES:
        tl.store(product + at_chunk, passed, mask=real)
        tl.store(last + at_chunk, h, mask=real)


@triton.jit
def _starts(product, last, initial, starts, chunks, width, initial_row, WIDE: tl.constexpr):
    row = tl.program_id(0)
    place = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    real = place < width
    h = tl.load(initial + row * initial_row + place, mask=real, other=0.0)
    for chunk in range(chunks):
        at = (row * chunks + chunk) * width + place
        tl.store(starts + at, h, mask=real)
        h = tl.load(product + at, mask=real, other=0.0) * h + tl.load(last + at, mask=real, other=0.0)


def solve_into(h_BTD: Tensor, a_BTD: Tensor, b_BTD: Tensor, initial_BD: Tensor, *, reverse: bool) -> None:
    """See `crossover.recurrence.scan.solve_into`; the last dim must be contiguous, other strides are free."""
    batch, time, width = b_BTD.shape
    if 0 in (batch, time, width):
        return
    chunks, blocks = triton.cdiv(time, _STEPS), triton.cdiv(width, _WIDE)
    product_BCD, last_BCD, starts_BCD = (b_BTD.new_empty(batch, chunks, width) for _ in range(3))
    initial_BD, grid = initial_BD.contiguous(), (batch, chunks, blocks)
    given = (a_BTD, b_BTD, starts_BCD, product_BCD, last_BCD, h_BTD, time, width, chunks)
    strides = (*a_BTD.stride()[:2], *b_BTD.stride()[:2], *h_BTD.stride()[:2])
    options = {"STEPS": _STEPS, "WIDE": _WIDE, "REVERSE": reverse}
    _chunk[grid](*given, *strides, SOLVES=False, **options)
    _starts[(batch, blocks)](
        product_BCD, last_BCD, initial_BD, starts_BCD, chunks, width, initial_BD.stride(0), WIDE=_WIDE
    )
    _chunk[grid](*given, *strides, SOLVES=True, **options)


def fits(*tensors: Tensor) -> bool:
    """Whether these can be scanned here: [B, T, N], the numbers of a step contiguous, in float32 or float64."""
    return all(x.ndim == 3 and x.stride(-1) == 1 and x.dtype in (torch.float32, torch.float64) for x in tensors)
