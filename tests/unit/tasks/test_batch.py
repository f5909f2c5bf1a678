"""A batch and its slices."""

from __future__ import annotations

import torch

from crossover.tasks.base import Batch


def test_slices_by_class_hold_every_row_once_in_the_order_of_their_targets() -> None:
    targets = torch.tensor([2, 0, 1, 0, 2])
    batch = Batch(
        inputs=torch.arange(10).view(5, 2), lengths_B=torch.tensor([2, 2, 1, 2, 1]), targets=targets,
        rows_B=torch.arange(5), features={"tag": torch.arange(10).view(5, 2)},
    )  # fmt: skip
    slices = [batch.slice_by_class((index, 2)) for index in range(2)]
    assert [part.targets.tolist() for part in slices] == [[0, 0], [1, 2, 2]]
    assert [part.rows_B.tolist() for part in slices] == [[1, 3], [2, 0, 4]]
    assert slices[1].features["tag"].tolist() == slices[1].inputs.tolist() == [[4, 5], [0, 1], [8, 9]]
