from __future__ import annotations

import pytest
import torch

from crossover.errors import ConfigError
from crossover.models.heads import RowHead, StepHead, make_head, row_features
from crossover.models.ports import PerRow, PerStep

X = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [50.0, 60.0]]])
"""One row of three steps, the last of them padding where a length of 2 is given."""


def pooled(pool: str, lengths: list[int] | None, steps: int | None = None) -> list[list[float]]:
    """What the head projects, read off through an identity."""
    outputs = PerRow(size=row_features(2, PerRow(size=1, pool=pool, steps=steps)), pool=pool, steps=steps)
    head = RowHead(2, outputs)
    with torch.no_grad():
        head.project.weight.copy_(torch.eye(outputs.size))
        head.project.bias.zero_()
    return head(X, None if lengths is None else torch.tensor(lengths)).tolist()


@pytest.mark.parametrize(
    ("pool", "of_two", "of_all"),
    [("mean", [2.0, -3.0], [18.0, 18.0]), ("last", [3.0, -4.0], [50.0, 60.0]), ("max", [3.0, -2.0], [50.0, 60.0])],
)
def test_pooling_reads_real_steps_only(pool: str, of_two: list[float], of_all: list[float]) -> None:
    assert pooled(pool, [2]) == [of_two]
    assert pooled(pool, None) == pooled(pool, [3]) == [of_all]
    assert pooled(pool, [0]) == [[0.0, 0.0]], "a row without steps pools to zero"


def test_flatten_takes_every_step_in_order() -> None:
    assert pooled("flatten", None, steps=3) == [X.flatten().tolist()]


def test_flatten_takes_rows_of_its_length_only() -> None:
    with pytest.raises(ConfigError, match="exactly 4 steps, and was given 3"):
        pooled("flatten", None, steps=4)
    with pytest.raises(ConfigError, match=r"set PerRow\.steps"):
        RowHead(2, PerRow(size=1, pool="flatten"))


def test_the_step_head_projects_every_step() -> None:
    head = make_head(2, PerStep(size=5))
    assert isinstance(head, StepHead)
    torch.testing.assert_close(head(X, None), X @ head.project.weight.T + head.project.bias)


def test_padding_passes_no_gradient() -> None:
    for pool in ("mean", "last", "max"):
        x = X.clone().requires_grad_()
        make_head(2, PerRow(size=3, pool=pool))(x, torch.tensor([2])).sum().backward()
        assert x.grad is not None and x.grad[0, 2].abs().max() == 0
