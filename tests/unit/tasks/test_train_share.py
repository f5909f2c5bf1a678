"""A share of train: what is drawn, what stays whole, and who refuses it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from crossover.data.options import DataOptions
from crossover.data.splits import draw_share
from crossover.errors import ConfigError, DataError
from crossover.report.messages import translate
from crossover.report.notes import recognised
from crossover.tasks import TASKS
from crossover.tasks.train_share import share_of_train

LABELS = ["a"] * 60 + ["b"] * 30 + ["c"] * 10


def test_a_share_is_stratified_and_a_larger_one_holds_the_smaller() -> None:
    shares = {share: draw_share(100, share, 3, stratify=LABELS) for share in (0.1, 0.5, 1.0)}
    assert Counter(LABELS[i] for i in shares[0.1]) == {"a": 6, "b": 3, "c": 1}
    assert Counter(LABELS[i] for i in shares[0.5]) == {"a": 30, "b": 15, "c": 5}
    assert set(shares[0.1]) < set(shares[0.5]) and np.array_equal(shares[1.0], np.arange(100))
    assert np.array_equal(shares[0.5], draw_share(100, 0.5, 3, stratify=LABELS))
    assert not np.array_equal(shares[0.5], draw_share(100, 0.5, 4, stratify=LABELS))
    assert len(draw_share(100, 0.001, 0)) == 1 and len(draw_share(7, 0.5, 0)) == 4


@pytest.mark.parametrize(
    "name", ["classification/digits", "translation/names", "qa/stories", "masked-language-modeling/python-docs"]
)
def test_train_alone_is_cut_and_the_report_says_so(name: str) -> None:
    whole, tenth = TASKS.get(name)(DataOptions()), TASKS.get(name)(DataOptions(train_share=0.1))
    assert tenth.size("train") < 0.13 * whole.size("train")
    assert [tenth.size(split) for split in ("valid", "test")] == [whole.size(split) for split in ("valid", "test")]
    (note,) = [note for note in tenth.spec.notes if note.startswith("Trained on 0.1 of train: ")]
    assert not any(note.startswith("Trained on") for note in whole.spec.notes)
    assert translate("zh")(recognised(note)) != note


def test_the_vocabulary_is_that_of_the_rows_trained_on() -> None:
    whole, some = (TASKS.get("sentiment/headlines")(DataOptions(train_share=share)) for share in (1.0, 0.01))
    assert some.spec.inputs.vocabulary < whole.spec.inputs.vocabulary
    (trivial, strong) = some.baselines("test")
    assert strong.parameters < whole.baselines("test")[1].parameters and trivial.score < strong.score


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"--train-share is .*: give a share above 0 and at most 1"):
        DataOptions(train_share=share)


def test_a_task_that_cannot_be_cut_refuses_and_one_label_is_too_few() -> None:
    with pytest.raises(ConfigError, match="'forecasting/co2' does not read --train-share"):
        TASKS.get("forecasting/co2")(DataOptions(train_share=0.5))
    with pytest.raises(DataError, match="leaves 1 of 100 train rows, all with one label"):
        share_of_train(100, DataOptions(train_share=0.01), LABELS)
