from __future__ import annotations

from pathlib import Path

from crossover.study.choice import save_choice, saved_choice
from crossover.train.settings import TrainSettings
from crossover.train.tune import Search, Trial, expected_best
from unit.train.tiny_task import tiny_model


def found(trials: int) -> Search:
    """A search whose second trial is the best."""
    tried = [
        Trial(
            model=tiny_model("lstm", width=16 + 4 * index),
            settings=TrainSettings(learning_rate=1e-3 * (index + 1), batch=8 * (index + 1), batch_by="tokens"),
            validation=0.9 if index == 1 else 0.5,
            loss=0.3,
            seconds=2.0,
        )
        for index in range(trials)
    ]
    scores = [trial.validation for trial in tried]
    return Search(
        task="tiny/sign",
        model="lstm",
        trials=tuple(tried),
        best=tried[1],
        expected=tuple(expected_best(scores, higher_is_better=True)),
    )


def test_what_was_chosen_is_kept_under_the_name_that_competes(tmp_path: Path) -> None:
    entered = tiny_model("lstm")
    choice = save_choice(tmp_path, entered, found(3))
    assert choice.model.name == entered.name and choice.model.width == 20
    assert (choice.learning_rate, choice.batch) == (2e-3, 16)
    assert choice.apply(TrainSettings(seed=7)) == TrainSettings(
        seed=7, learning_rate=2e-3, batch=16, batch_by="tokens"
    )
    assert choice.document["seconds"] == 6.0 and len(choice.document["expected_best"]) == 3
    assert saved_choice(tmp_path, 3) == choice


def test_a_search_of_another_length_or_none_is_no_choice(tmp_path: Path) -> None:
    assert saved_choice(tmp_path, 3) is None
    save_choice(tmp_path, tiny_model("lstm"), found(3))
    assert saved_choice(tmp_path, 4) is None
