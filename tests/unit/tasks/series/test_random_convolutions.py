from __future__ import annotations

import numpy as np
import pytest

from crossover.tasks.series.random_convolutions import convolution_features, draw_kernels, resample


def by_hand(series_TC: np.ndarray, weights_CL: np.ndarray, bias: float, dilation: int, padding: int):
    """Share of positive outputs and largest output, one output at a time."""
    padded_TC = np.pad(series_TC, ((padding, padding), (0, 0)))
    length = weights_CL.shape[1]
    outputs = []
    for start in range(len(padded_TC) - (length - 1) * dilation):
        values_LC = padded_TC[start : start + (length - 1) * dilation + 1 : dilation]
        outputs.append(float((values_LC.T * weights_CL).sum() + bias))
    return np.mean(np.array(outputs) > 0), max(outputs)


def test_features_are_the_share_of_positive_outputs_and_the_maximum():
    series_NTC = np.random.default_rng(0).normal(size=(3, 40, 2)).astype(np.float32)
    kernels = draw_kernels(40, 2, count=30, seed=1)
    features = convolution_features(series_NTC, kernels)
    assert features.shape == (3, 60)
    column = 0
    for group in kernels:
        count = len(group.biases_K)
        for k in range(count):
            share, largest = by_hand(
                series_NTC[2], group.weights_KCL[k].numpy(), float(group.biases_K[k]), group.dilation, group.padding
            )
            assert features[2, column + k] == pytest.approx(share, abs=1e-6)
            assert features[2, column + count + k] == pytest.approx(largest, abs=1e-4)
        column += 2 * count


def test_kernels_are_a_function_of_the_seed_and_fit_the_series():
    for steps in (1, 2, 8, 9, 100):
        kernels = draw_kernels(steps, 4, count=50, seed=0)
        assert sum(len(group.biases_K) for group in kernels) == 50
        again = draw_kernels(steps, 4, count=50, seed=0)
        assert all((a.weights_KCL == b.weights_KCL).all() for a, b in zip(kernels, again, strict=True))
        for group in kernels:
            span = (group.weights_KCL.shape[2] - 1) * group.dilation + 1
            assert span <= steps + 2 * group.padding
        assert np.isfinite(convolution_features(np.ones((1, steps, 4), dtype=np.float32), kernels)).all()


def test_weights_are_centred_on_the_channels_they_read():
    for group in draw_kernels(60, 6, count=40, seed=0):
        assert group.weights_KCL.sum(2).abs().max() < 1e-5
        assert ((group.weights_KCL != 0).any(2).sum(1) >= 1).all()


def test_resampling_keeps_the_ends_and_straight_lines():
    line_TC = np.linspace(0, 6, 7, dtype=np.float32)[:, None]
    resampled_NTC = resample([line_TC, line_TC[:1], np.arange(13, dtype=np.float32)[:, None] / 2], 13)
    assert np.allclose(resampled_NTC[0, :, 0], np.linspace(0, 6, 13))
    assert (resampled_NTC[1] == 0).all()
    assert np.allclose(resampled_NTC[2], resampled_NTC[0])
