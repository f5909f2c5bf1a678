"""The last steps of a row over all of them: the fused kernel in two parts against the scores written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from crossover.models.mixers.attend import explicit_attention, fused_attention


def draw(queries: int, keys: int, heads: int, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(keys)
    sizes = ((4, queries), (heads, keys), (heads, keys))
    return [torch.randn(2, number, steps, 8, dtype=dtype).requires_grad_() for number, steps in sizes]


@pytest.mark.parametrize("heads", [4, 2])
@pytest.mark.parametrize(("queries", "keys"), [(1, 7), (2, 3), (5, 12), (64, 700), (300, 301), (6, 6)])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_outputs_and_gradients_are_those_of_the_scores_written_out(
    queries: int, keys: int, heads: int, dtype: torch.dtype, limit: float
) -> None:
    given = draw(queries, keys, heads, dtype)
    found, expected = (kernel(*given, None, causal=True) for kernel in (fused_attention, explicit_attention))
    weights = torch.randn_like(found)
    for one, other in zip(
        [found, *torch.autograd.grad(found, given, weights)],
        [expected, *torch.autograd.grad(expected, given, weights)],
        strict=True,
    ):
        assert float((one - other).detach().norm()) <= limit * float(other.detach().norm())


def test_low_precision_is_as_exact_as_its_numbers() -> None:
    given = [x.detach() for x in draw(64, 700, 4, torch.float32)]
    low = [x.bfloat16() for x in given]
    found = fused_attention(*low, None, causal=True)
    assert found.dtype == torch.bfloat16
    expected = explicit_attention(*(x.float() for x in low), None, causal=True)
    assert float((found.float() - expected).norm()) <= 5e-3 * float(expected.norm())
