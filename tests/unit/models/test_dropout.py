from __future__ import annotations

import pytest
import torch

from crossover.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_it_drops_the_share_it_is_told_and_scales_the_rest_like_its_definition(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, dropout = torch.ones(501, 1001, dtype=dtype), Dropout(p)
    ours, theirs = dropout(x), dropout.definition(x)
    assert ours.shape == x.shape and ours.dtype == dtype
    shares = [float((y == 0).float().mean()) for y in (ours, theirs)]
    deviation = (p * (1 - p) / x.numel()) ** 0.5
    assert all(abs(share - p) < 4 * deviation + 1e-5 for share in shares)
    assert ours.unique().float() == pytest.approx(
        theirs.unique().float(), rel=1e-2 if dtype == torch.bfloat16 else 1e-4
    )


def test_every_element_is_dropped_by_itself() -> None:
    torch.manual_seed(1)
    dropped = torch.stack([Dropout(0.5)(torch.ones(64)) == 0 for _ in range(4000)]).double()
    assert (dropped.mean(0) - 0.5).abs().max() < 0.04
    correlation = torch.corrcoef(dropped.T) - torch.eye(64, dtype=torch.float64)
    assert correlation.abs().max() < 0.08


def test_the_gradient_passes_where_the_value_did() -> None:
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.4)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)


def test_the_draw_is_a_function_of_the_seed() -> None:
    def draw() -> torch.Tensor:
        torch.manual_seed(3)
        return Dropout(0.5)(torch.ones(3, 3))

    assert torch.equal(draw(), draw())


def test_nothing_is_dropped_in_evaluation_or_at_zero_and_empty_rows_pass() -> None:
    x = torch.randn(4, 4)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
