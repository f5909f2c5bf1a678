from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from crossover.tasks.generated.linear_window import WINDOW, TokenBaselines, _examples, token_items
from crossover.tasks.objectives import IGNORE
from crossover.tasks.rows import Rows


def rows(count: int, length: int, rule: str, seed: int = 0) -> Rows:
    """Tokens 1 to 3; the target of the last step is the token `WINDOW` - 1 or one more before it, or a bag's."""
    rng = np.random.default_rng(seed)
    inputs = [rng.integers(1, 4, size=length) for _ in range(count)]
    back = {"in the window": WINDOW - 1, "just before it": WINDOW}
    targets = []
    for tokens in inputs:
        target = np.full(length, IGNORE)
        if rule == "in the bag":
            target[-1] = int((tokens == 1).sum() > (tokens == 2).sum())
        else:
            target[-1] = tokens[length - 1 - back[rule]]
        targets.append(target)
    return Rows(inputs=inputs, targets=targets)


def score(rule: str, name: str = "linear") -> float:
    fits = {fit.name: fit for fit in TokenBaselines(rows(900, 20, rule), 4).score(rows(300, 20, rule, seed=1))}
    return float(fits[name].items["correct"].sum() / fits[name].items["count"].sum())


def test_the_linear_model_sees_the_last_tokens_one_by_one_and_not_the_one_before() -> None:
    assert score("in the window") == 1.0
    assert score("just before it") < 0.6


def test_the_linear_model_sees_how_often_each_token_occurred() -> None:
    assert score("in the bag") > 0.9


def test_an_example_holds_the_last_tokens_and_the_counts_up_to_its_step_and_nothing_after() -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.integers(1, 4, size=length) for length in (3, WINDOW + 5, 1)]
    held = Rows(inputs=inputs, targets=[np.arange(len(tokens)) for tokens in inputs])
    steps_N2 = np.array([(0, 0), (0, 2), (1, 4), (1, WINDOW + 4), (2, 0)])
    expected = np.zeros((len(steps_N2), (WINDOW + 1) * 4))
    for example, (row, step) in enumerate(steps_N2):
        for position in range(step + 1):
            token = inputs[row][position]
            expected[example, WINDOW * 4 + token] += 1
            if step - position < WINDOW:
                expected[example, (step - position) * 4 + token] = 1
    matrix, targets_N = _examples(held, steps_N2, 4)
    assert (matrix.toarray() == expected).all()
    assert targets_N.tolist() == steps_N2[:, 1].tolist()


def test_the_linear_model_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    fit = RidgeClassifier.fit
    monkeypatch.setattr(RidgeClassifier, "fit", lambda self, *data: fitted.append(self) or fit(self, *data))
    baselines = TokenBaselines(rows(50, 20, "in the bag"), 4)
    for seed in (1, 2):
        baselines.score(rows(20, 20, "in the bag", seed=seed))
    assert len(fitted) == 1


def test_the_majority_is_that_of_train() -> None:
    train = Rows(inputs=[np.array([1, 2])] * 3, targets=[np.array([IGNORE, t]) for t in (0, 2, 2)])
    scored = Rows(inputs=[np.array([1, 2])] * 2, targets=[np.array([2, IGNORE]), np.array([0, 2])])
    majority, linear = TokenBaselines(train, 3).score(scored)
    assert (majority.kind, linear.kind) == ("trivial", "strong")
    assert majority.items["correct"].tolist() == [1, 1] and majority.items["count"].tolist() == [1, 2]
    assert majority.parameters == 1 and linear.parameters > 1


def test_items_are_those_of_token_prediction_without_a_loss() -> None:
    scored = Rows(inputs=[np.array([1, 2, 3]), np.array([1])], targets=[np.array([IGNORE, 4, 5]), np.array([6])])
    items = token_items(scored, [np.array([4, 4]), np.array([6])])
    assert items["count"].tolist() == [2, 1] and items["correct"].tolist() == [1, 1]
    assert items["length"].tolist() == [3, 1] and np.isnan(items["loss"]).all()
