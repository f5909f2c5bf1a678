"""SSIM against its definition, written out place by place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crossover.tasks.video.similarity import ssim


def by_definition(a_HW, b_HW, size):
    """The mean of formula 13 of the paper over every window that lies inside, each summed by itself."""
    at = np.arange(size) - size // 2
    weights = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for y in range(a_HW.shape[0] - size + 1):
        for x in range(a_HW.shape[1] - size + 1):
            a, b = a_HW[y : y + size, x : x + size], b_HW[y : y + size, x : x + size]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            upper = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
            found.append(upper / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4)))
    return np.mean(found)


@pytest.mark.parametrize(("shape", "size"), [((16, 20), 11), ((8, 13), 7)])
def test_it_is_the_mean_over_all_windows(shape, size):
    generator = np.random.default_rng(0)
    ours = generator.uniform(0, 1, (3, *shape))
    theirs = np.clip(ours + generator.normal(0, [[[0.05]], [[0.3]], [[0.0]]], ours.shape), 0, 1)
    found = ssim(torch.tensor(ours), torch.tensor(theirs)).numpy()
    np.testing.assert_allclose(
        found, [by_definition(a, b, size) for a, b in zip(ours, theirs, strict=True)], rtol=1e-9
    )
    assert found[2] == pytest.approx(1) and found[1] < found[0] < 1
