from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks.text.sources import read_user_texts

WORDS = [left + right for left in ("al", "be", "ga", "de") for right in ("pha", "ta", "mma", "lta", "psi")][:19]


def write(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def sentence(i: int) -> str:
    return " ".join(WORDS[(i * k + i // 7) % len(WORDS)] for k in range(1, 9)) + f" number {i}"


def rows(count: int, labels: tuple[str, ...] = ("no", "yes")) -> list[tuple[str, str]]:
    return [(sentence(i), labels[i % len(labels)]) for i in range(count)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "t.csv", rows(100))


def test_one_file_is_split_70_10_20_and_stratified(table: Path):
    source = read_user_texts(DataOptions(data=str(table)))
    assert [len(source.texts[split]) for split in ("train", "valid", "test")] == [70, 10, 20]
    assert source.labels == ("no", "yes")
    assert all(np.bincount(source.targets[split]).min() >= 5 for split in source.targets)
    assert "Column 'text' is taken as the text." in source.notes and source.column == "text"
    again = read_user_texts(DataOptions(data=str(table)))
    assert again.texts == source.texts
    assert read_user_texts(DataOptions(data=str(table), split_seed=1)).texts != source.texts


def test_the_same_text_stands_on_one_side_only(tmp_path: Path):
    path = write(tmp_path / "t.csv", rows(50) * 2)
    texts = read_user_texts(DataOptions(data=str(path))).texts
    assert not set(texts["train"]) & set(texts["test"])
    assert not set(texts["train"]) & set(texts["valid"])
    assert sum(len(part) for part in texts.values()) == 100


def test_named_columns_are_taken_and_misspelt_ones_refused(tmp_path: Path):
    path = write(tmp_path / "t.csv", rows(40), ("body", "verdict"))
    source = read_user_texts(DataOptions(data=str(path), text="body", label="verdict"))
    assert (source.labels, source.column) == (("no", "yes"), "body")
    with pytest.raises(DataError, match="did you mean 'verdict'"):
        read_user_texts(DataOptions(data=str(path), text="body", label="verdct"))
    with pytest.raises(DataError, match="give --text with one of its columns 'body' or 'verdict'"):
        read_user_texts(DataOptions(data=str(path)))


def test_empty_texts_and_missing_labels_are_counted(tmp_path: Path):
    path = write(tmp_path / "t.csv", [*rows(40), ("", "yes"), ("  ", "no"), ("something", "")])
    source = read_user_texts(DataOptions(data=str(path)))
    assert "Rows left out: 2 with an empty text, 1 without a label." in source.notes
    assert sum(len(part) for part in source.texts.values()) == 40


def test_a_file_without_usable_rows_is_refused(tmp_path: Path):
    path = write(tmp_path / "t.csv", [("", "yes"), ("text", "")])
    with pytest.raises(DataError, match="no row with a text in 'text' and a label in 'label'"):
        read_user_texts(DataOptions(data=str(path)))


def test_a_label_with_one_example_is_refused_dropped_or_kept(tmp_path: Path):
    path = write(tmp_path / "t.csv", [*rows(60), ("a lonely text", "maybe")])
    with pytest.raises(DataError, match=r"label 'maybe' has one example.*--rare drop.*--rare keep"):
        read_user_texts(DataOptions(data=str(path)))
    dropped = read_user_texts(DataOptions(data=str(path), rare="drop"))
    assert dropped.labels == ("no", "yes")
    assert any("dropped" in note for note in dropped.notes)
    kept = read_user_texts(DataOptions(data=str(path), rare="keep"))
    assert kept.labels == ("maybe", "no", "yes")
    assert sum(len(part) for part in kept.texts.values()) == 61


def test_many_rare_labels_are_named_in_part(tmp_path: Path):
    path = write(tmp_path / "t.csv", [*rows(60), *((sentence(100 + i), f"rare{i}") for i in range(7))])
    with pytest.raises(DataError, match=r"7 labels \('rare0', .*'rare4', …\) have one example"):
        read_user_texts(DataOptions(data=str(path)))


def test_labels_with_two_examples_can_be_split(tmp_path: Path):
    path = write(tmp_path / "t.csv", [*rows(60), (sentence(100), "few"), (sentence(101), "few")])
    source = read_user_texts(DataOptions(data=str(path), rare="keep"))
    assert source.labels == ("few", "no", "yes")


def test_given_splits_are_kept_and_valid_is_cut_from_train(tmp_path: Path):
    train, test = write(tmp_path / "a.csv", rows(80)), write(tmp_path / "b.csv", rows(100)[80:])
    source = read_user_texts(DataOptions(train=train, test=test))
    assert [len(source.texts[split]) for split in ("train", "valid", "test")] == [70, 10, 20]
    assert source.texts["test"] == [text for text, _ in rows(100)[80:]]
    valid = write(tmp_path / "c.csv", rows(110)[100:])
    source = read_user_texts(DataOptions(train=train, valid=valid, test=test))
    assert [len(source.texts[split]) for split in ("train", "valid", "test")] == [80, 10, 20]


def test_labels_in_test_that_train_lacks_are_refused_dropped_or_kept(tmp_path: Path):
    train = write(tmp_path / "a.csv", rows(80))
    test = write(tmp_path / "b.csv", [*rows(100)[80:], (sentence(200), "new"), (sentence(201), "new")])
    with pytest.raises(DataError, match=r"label 'new' has no example in train.*--rare drop"):
        read_user_texts(DataOptions(train=train, test=test))
    assert len(read_user_texts(DataOptions(train=train, test=test, rare="drop")).texts["test"]) == 20
    kept = read_user_texts(DataOptions(train=train, test=test, rare="keep"))
    assert kept.labels == ("new", "no", "yes")
    assert len(kept.texts["test"]) == 22


def test_duplicates_between_splits_are_counted_and_removed_on_request(tmp_path: Path):
    train = write(tmp_path / "a.csv", rows(80))
    near = sentence(5) + " today"
    test = write(tmp_path / "b.csv", [*rows(100)[80:], (sentence(3).upper(), "no"), (near, "no")])
    source = read_user_texts(DataOptions(train=train, test=test))
    assert any("1 exactly, 1 nearly; kept" in note for note in source.notes), source.notes
    removed = read_user_texts(DataOptions(train=train, test=test, deduplicate=True))
    assert len(removed.texts["test"]) == 20
    assert len(removed.targets["test"]) == 20


def test_time_split_orders_by_the_column(tmp_path: Path):
    dated = [(text, label, str(day)) for day, (text, label) in enumerate(rows(100), start=1)]
    path = write(tmp_path / "t.csv", dated[::-1], ("text", "label", "day"))
    source = read_user_texts(DataOptions(data=str(path), split="time", time="day"))
    assert source.texts["train"] == [text for text, _, _ in dated[:70]]
    assert source.texts["test"] == [text for text, _, _ in dated[80:]]
    in_order = read_user_texts(DataOptions(data=str(path), split="time"))
    assert in_order.texts["train"] == [text for text, _, _ in dated[::-1][:70]]


def test_a_group_stays_on_one_side(tmp_path: Path):
    grouped = [(text, label, f"author{i % 20 // 2}") for i, (text, label) in enumerate(rows(100))]
    path = write(tmp_path / "t.csv", grouped, ("text", "label", "author"))
    source = read_user_texts(DataOptions(data=str(path), split="group=author"))
    author = {text: name for text, _, name in grouped}
    sides = [{author[text] for text in source.texts[split]} for split in ("train", "valid", "test")]
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == 10
    with pytest.raises(DataError, match="did you mean 'author'"):
        read_user_texts(DataOptions(data=str(path), split="group=autor"))


@pytest.mark.parametrize("split", ["grup=author", "randon"])
def test_an_unknown_split_is_refused(table: Path, split: str):
    with pytest.raises(ConfigError, match="unknown split"):
        read_user_texts(DataOptions(data=str(table), split=split))


def test_a_numeric_label_of_many_values_is_a_regression_and_said_so(tmp_path: Path):
    path = write(tmp_path / "t.csv", [(sentence(i), f"{i / 10}") for i in range(60)])
    source = read_user_texts(DataOptions(data=str(path)))
    assert source.labels == ()
    assert source.targets["train"].dtype == np.float64
    assert "The label has 60 numeric values: this is a regression, scored by its squared error." in source.notes


def test_few_numbers_are_classes_unless_asked(tmp_path: Path):
    path = write(tmp_path / "t.csv", rows(60, ("1", "2", "3")))
    assert read_user_texts(DataOptions(data=str(path))).labels == ("1", "2", "3")
    assert read_user_texts(DataOptions(data=str(path)), regression=True).labels == ()


def test_decimal_commas_in_a_label_of_many_values_are_refused_and_classes_on_request(tmp_path: Path):
    path = tmp_path / "prices.csv"
    path.write_text("text;label\n" + "".join(f"item {i};{i % 30},5\n" for i in range(300)))
    with pytest.raises(DataError, match=r"label '0,5' is no number: write decimals with a point"):
        read_user_texts(DataOptions(data=str(path)))
    assert len(read_user_texts(DataOptions(data=str(path)), regression=False).labels) == 30


def test_a_regression_on_words_is_refused(table: Path):
    with pytest.raises(DataError, match="is no number"):
        read_user_texts(DataOptions(data=str(table)), regression=True)


def test_contradicting_or_missing_files_are_refused(table: Path):
    with pytest.raises(ConfigError, match="no file is given"):
        read_user_texts(DataOptions())
    with pytest.raises(ConfigError, match="only --train is given"):
        read_user_texts(DataOptions(train=table))
    with pytest.raises(ConfigError, match="both --data and files"):
        read_user_texts(DataOptions(data=str(table), train=table, test=table))
    with pytest.raises(ConfigError, match="--split time is given with files"):
        read_user_texts(DataOptions(train=table, test=table, split="time"))


def test_one_label_alone_is_refused(tmp_path: Path):
    path = write(tmp_path / "t.csv", rows(60, ("same",)))
    with pytest.raises(DataError, match="every text has the label 'same'"):
        read_user_texts(DataOptions(data=str(path)))


def test_too_few_rows_are_refused(tmp_path: Path):
    path = write(tmp_path / "t.csv", rows(4))
    with pytest.raises(DataError):
        read_user_texts(DataOptions(data=str(path)))
