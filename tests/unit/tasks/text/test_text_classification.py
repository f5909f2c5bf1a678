from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.data.speech_parts import TAGS
from crossover.errors import ConfigError, DataError
from crossover.tasks import RESTORERS, TASKS
from crossover.tasks.text.classification import TextClassification, own, restore

OPINIONS = {"good": ("great", "lovely", "fine"), "bad": ("awful", "dull", "poor")}


def opinions(count: int) -> list[tuple[str, str]]:
    rows = []
    for i in range(count):
        label = ("good", "bad")[i % 2]
        word = OPINIONS[label][i // 2 % 3]
        rows.append((f"The film number {i} was {word}" + " really" * (i % 5) + ", I think.", label))
    return rows


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return str(path)


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    return write(tmp_path / "reviews.csv", opinions(200))


@pytest.fixture
def task(reviews: str) -> TextClassification:
    return own(DataOptions(data=reviews))


def ratings(tmp_path: Path) -> TextClassification:
    rows = [("good " * (i % 30) + f"bad film number {i % 7}", str(i % 30 + 0.5)) for i in range(120)]
    return own(DataOptions(data=write(tmp_path / "ratings.csv", rows)))


def test_the_task_is_registered_under_both_names():
    assert TASKS.get("text-classification") is own
    assert TASKS.get("sentiment") is own
    assert RESTORERS.get("text-classification") is restore


def test_batches_hold_ids_lengths_and_labels(task: TextClassification):
    batch = next(task.batches("train", seed=0, epoch=0, batch=8))
    assert batch.inputs.shape == (8, int(batch.lengths_B.max()))
    assert batch.inputs.max() < task.spec.inputs.vocabulary
    texts = [task.source.texts["train"][i] for i in batch.rows_B]
    assert [task.spec.labels[t] for t in batch.targets] == [
        "good" if any(word in text for word in OPINIONS["good"]) else "bad" for text in texts
    ]


def test_the_vocabulary_knows_the_training_split_only(tmp_path: Path):
    train, test = opinions(80), [("zyzzyva zyzzyva zyzzyva", "good"), ("zyzzyva was poor", "bad")]
    files = {"train": Path(write(tmp_path / "a.csv", train)), "test": Path(write(tmp_path / "b.csv", test))}
    task = own(DataOptions(**files))
    ids = task.splits["test"].inputs[0]
    assert ids.tolist() == [1, 1, 1]


def test_statistics_of_baselines_and_models_have_the_same_keys_and_shapes(task: TextClassification):
    items = task.metrics(torch.randn(40, 2), task.splits["test"].gather(np.arange(40)))
    for baseline in task.baselines("test"):
        assert {key: value.shape for key, value in baseline.items.items()} == {k: v.shape for k, v in items.items()}
        np.testing.assert_array_equal(baseline.items["length"], items["length"])


def test_baselines_are_the_majority_and_a_linear_svm_that_learns_the_words(task: TextClassification):
    trivial, strong = task.baselines("test")
    assert (trivial.name, trivial.kind, strong.kind) == ("majority", "trivial", "strong")
    assert trivial.score == pytest.approx(0.5)
    assert strong.score == 1.0
    assert strong.summary["macro_f1"] == 1.0
    assert strong.parameters > 50


def test_details_hold_confusion_classes_and_accuracy_by_length(task: TextClassification):
    batch = task.splits["test"].gather(np.arange(40))
    outputs = torch.nn.functional.one_hot(batch.targets, 2).float()
    details = task.details(task.metrics(outputs, batch))
    assert details["confusion"] == [[20, 0], [0, 20]]
    assert [row["recall"] for row in details["per_class"]] == [1.0, 1.0]
    assert sum(row["count"] for row in details["by_length"]) == 40


def test_truncation_is_counted(reviews: str):
    task = own(DataOptions(data=reviews, settings={"max_length": 8}))
    cut = [sum(len(text.split()) + 2 > 8 for text in task.source.texts[s]) for s in ("train", "valid", "test")]
    assert sum(cut) > 0
    for split, count in zip(("train", "valid", "test"), cut, strict=True):
        assert f"{count} of {len(task.source.texts[split])} {split} texts were cut at 8 words." in task.spec.notes
    assert max(task.splits["train"].lengths_N) == 8


@pytest.mark.parametrize("units", ["words", "subwords", "characters"])
def test_every_kind_of_unit_reads_and_decodes(reviews: str, units: str):
    task = own(DataOptions(data=reviews, settings={"units": units, "minimum_count": 1}))
    assert task.spec.unit == units
    batch = task.encode(["The film was great, I think."])
    shown = task.samples(torch.tensor([[0.0, 1.0]]), batch)[0]
    assert shown["input"].replace(" ", "") == "thefilmwasgreat,ithink."
    assert (shown["target"], shown["prediction"]) == ("bad", "good")


def test_tags_stand_beside_the_words(reviews: str):
    task = own(DataOptions(data=reviews, settings={"tags": True}))
    assert task.spec.inputs.features == {"tags": len(TAGS)}
    batch = next(task.batches("train", seed=0, epoch=0, batch=4))
    assert batch.features["tags"].shape == batch.inputs.shape
    encoded = task.encode(["The film was great ."])
    tags = [TAGS[i] for i in encoded.features["tags"][0]]
    assert tags == ["DET", "NOUN", "AUX", "ADJ", "PUNCT"]


def test_tags_are_cut_with_the_words_and_survive_odd_letters(reviews: str):
    task = own(DataOptions(data=reviews, settings={"tags": True, "max_length": 3}))
    encoded = task.encode(["İstanbul ve İzmir için güzel", "", "The film was great"])
    assert encoded.lengths_B.tolist() == [3, 0, 3]
    assert encoded.features["tags"].shape == encoded.inputs.shape == (3, 3)


def test_tags_need_words(reviews: str):
    with pytest.raises(ConfigError, match="tags=true needs units=words, not subwords"):
        own(DataOptions(data=reviews, settings={"tags": True, "units": "subwords"}))


def test_unknown_settings_and_unread_options_are_refused(reviews: str):
    with pytest.raises(ConfigError, match="did you mean 'vocabulary'"):
        own(DataOptions(data=reviews, settings={"vocabulry": 5}))
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        own(DataOptions(data=reviews, settings={"units": "word"}))
    with pytest.raises(ConfigError, match="does not read --horizon"):
        own(DataOptions(data=reviews, horizon=3))


def test_encode_and_decode_survive_the_way_through_json(task: TextClassification):
    texts = ["A great film", "awful", ""]
    restored = restore(json.loads(json.dumps(task.artifacts())))
    assert torch.equal(restored.encode(texts).inputs, task.encode(texts).inputs)
    assert restored.spec.inputs == task.spec.inputs
    assert restored.spec.outputs == task.spec.outputs
    assert restored.column == task.column == "text"
    outputs = torch.tensor([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    predictions = restored.decode(outputs, restored.encode(texts))
    assert [row["label"] for row in predictions] == ["good", "bad", "bad"]
    assert predictions[0]["probabilities"]["good"] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert predictions == task.decode(outputs, task.encode(texts))


def test_a_table_is_read_by_its_column_and_plain_text_is_left_to_others(task: TextClassification, tmp_path: Path):
    rows = [("A great film", "?"), ("", "?"), ("awful", "?")]
    table = Path(write(tmp_path / "new.csv", rows))
    assert task.file_texts(table) == [text for text, _ in rows]
    assert task.file_texts(tmp_path / "lines.txt") is None and task.file_texts(Path("/dev/stdin")) is None
    without = restore({key: value for key, value in task.artifacts().items() if key != "column"})
    assert without.column is None and without.file_texts(table) is None


def test_a_regression_too_knows_its_column(tmp_path: Path):
    assert ratings(tmp_path).artifacts()["column"] == "text"


def test_artifacts_of_something_else_are_refused(task: TextClassification):
    with pytest.raises(DataError, match="no artifacts of a text task"):
        restore({"family": "text-classification"})
    with pytest.raises(DataError):
        restore({**task.artifacts(), "vocabulary": {"kind": "words"}})
    with pytest.raises(DataError, match="no artifacts of a text task"):
        restore({**task.artifacts(), "labels": 3})


def test_a_numeric_label_of_many_values_is_a_regression(tmp_path: Path):
    task = ratings(tmp_path)
    assert (task.spec.objective, task.spec.metric, task.spec.higher_is_better) == ("regression", "mse", False)
    assert task.spec.outputs.size == 1
    trivial, strong = task.baselines("test")
    assert (trivial.name, strong.name) == ("mean", "TF-IDF + ridge")
    assert strong.score < trivial.score
    values = np.concatenate([np.ravel(task.splits["train"].targets)])
    assert abs(values.mean()) < 1e-5
    assert values.std() == pytest.approx(1, abs=1e-5)


def test_a_regression_predicts_in_the_units_of_the_file(tmp_path: Path):
    task = ratings(tmp_path)
    batch = task.splits["test"].gather(np.arange(5))
    restored = restore(json.loads(json.dumps(task.artifacts())))
    predicted = [row["value"] for row in restored.decode(batch.targets.flatten(1), batch)]
    np.testing.assert_allclose(predicted, task.source.targets["test"][:5], rtol=1e-5)
    assert task.loss(batch.targets.flatten(1), batch) == 0
    assert task.samples(batch.targets.flatten(1), batch)[0]["target"] == f"{task.source.targets['test'][0]:.4g}"
