"""Simple classifiers of series of one length: what a model must beat."""

from __future__ import annotations

import numpy as np

from crossover.tasks.series.random_convolutions import convolution_features, draw_kernels

KERNELS = 1000
RIDGE_STRENGTHS = np.logspace(-3, 3, 10)


def nearest(train_NTC: np.ndarray, targets_N: np.ndarray, scored_NTC: np.ndarray) -> tuple[np.ndarray, None]:
    """The label of the nearest train series by Euclidean distance."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1).fit(train_NTC.reshape(len(train_NTC), -1), targets_N)
    return model.predict(scored_NTC.reshape(len(scored_NTC), -1)), None


def convolutions(train_NTC: np.ndarray, targets_N: np.ndarray, scored_NTC: np.ndarray) -> tuple[np.ndarray, int]:
    """Ridge regression on z-scored random convolution features, its strength by leave-one-out on train."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kernels = draw_kernels(train_NTC.shape[1], train_NTC.shape[2], count=KERNELS, seed=0)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=RIDGE_STRENGTHS))
    model.fit(convolution_features(train_NTC, kernels), targets_N)
    ridge = model[-1]
    return model.predict(convolution_features(scored_NTC, kernels)), ridge.coef_.size + ridge.intercept_.size


CLASSIFIERS = (("1-nearest neighbour", nearest), ("random convolutions + ridge", convolutions))
"""By name; each gives the labels of the scored series, and its number of parameters (None: it has none)."""
