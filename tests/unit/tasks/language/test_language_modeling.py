from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks.language.modeling import LanguageModeling, own, python_docs, restore

TEXT = "".join(f"line {i}: the quick brown fox jumps over {i * i} lazy dogs.\n" for i in range(120))
SPLITS = ("train", "valid", "test")


def built(tmp_path: Path, text: str = TEXT, **settings: object) -> LanguageModeling:
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return own(DataOptions(data=str(path), settings={"block": 16, **settings}))


def decoded(task: LanguageModeling, split: str) -> str:
    return task.vocabulary.decode(task.splits[split].tokens.tolist())


@pytest.fixture(scope="module")
def docs() -> LanguageModeling:
    return python_docs(DataOptions())


def test_a_text_is_cut_in_order_without_overlap(tmp_path: Path) -> None:
    task = built(tmp_path)
    assert "".join(decoded(task, split) for split in SPLITS) == TEXT
    assert [round(len(decoded(task, split)) / len(TEXT), 2) for split in SPLITS] == [0.9, 0.05, 0.05]


def test_topics_of_the_python_docs_stand_on_one_side_only(docs: LanguageModeling) -> None:
    from pydoc_data.topics import topics

    held = {split: decoded(docs, split) for split in SPLITS}
    counts = dict.fromkeys(SPLITS, 0)
    for text in topics.values():
        opening = text[:400]
        sides = [split for split in SPLITS if opening in held[split]]
        if len(text) > 400:
            assert len(sides) == 1, sides
            counts[sides[0]] += 1
    assert counts["train"] > 5 * counts["test"] > 0 and counts["valid"] > 0
    assert docs.spec.embedded and "split by topic" in docs.spec.notes[0]


def test_the_vocabulary_is_that_of_train(tmp_path: Path) -> None:
    task = built(tmp_path, TEXT + "ÄÖÜ" * 30)
    assert (task.splits["test"].tokens == 1).any() and not (task.splits["train"].tokens == 1).any()
    assert any("characters of test do not occur in train" in note for note in task.spec.notes)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_blocks_cover_a_split_once_and_predict_the_next_token(tmp_path: Path, split: str) -> None:
    task = built(tmp_path)
    tokens, inputs, targets = task.splits[split].tokens, [], []
    for batch in task.batches(split, seed=0, epoch=0, batch=5):
        for row in range(batch.size):
            length = int(batch.lengths_B[row])
            inputs += batch.inputs[row, :length].tolist()
            targets += batch.targets[row, :length].tolist()
            assert (batch.targets[row, length:] == -100).all()
    assert inputs == tokens[:-1].tolist() and targets == tokens[1:].tolist()


def test_train_is_cut_elsewhere_in_every_epoch_and_the_same_again(tmp_path: Path) -> None:
    task = built(tmp_path)

    def rows(epoch: int, seed: int = 0) -> list[list[int]]:
        return [
            row for batch in task.batches("train", seed=seed, epoch=epoch, batch=8) for row in batch.inputs.tolist()
        ]

    assert rows(0) == rows(0)
    assert {tuple(row) for row in rows(0)} != {tuple(row) for row in rows(1)}
    assert abs(len(rows(0)) - len(rows(1))) <= 1


def test_characters_and_words_are_those_of_the_text(tmp_path: Path) -> None:
    for units in ("characters", "subwords"):
        task = built(tmp_path, units=units, vocabulary=300)
        blocks = task.splits["test"]
        text = decoded(task, "test")
        assert blocks.characters.sum() == pytest.approx(len(text))
        assert blocks.words.sum() == pytest.approx(len(text.split()))


def test_scores_are_told_per_character_and_per_word(tmp_path: Path) -> None:
    task = built(tmp_path)
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=3)))
    size = task.vocabulary.size
    scores = task.score(task.metrics(torch.zeros(3, 16, size), batch))
    assert scores["loss"] == pytest.approx(math.log(size), rel=1e-5)
    assert scores["nats_per_character"] == pytest.approx(math.log(size), rel=1e-5)
    assert scores["bits_per_character"] == pytest.approx(math.log2(size), rel=1e-5)
    words = float(batch.extra["words"].sum())
    assert scores["perplexity_per_word"] == pytest.approx(math.exp(48 * math.log(size) / words), rel=1e-4)


def test_subwords_have_fewer_steps_and_the_same_unit_of_loss(tmp_path: Path) -> None:
    characters, subwords = built(tmp_path), built(tmp_path, units="subwords", vocabulary=300)
    assert len(subwords.splits["train"].tokens) < 0.6 * len(characters.splits["train"].tokens)
    assert characters.spec.metric == subwords.spec.metric == "bits_per_character"
    assert "".join(decoded(subwords, split) for split in SPLITS) == TEXT


def test_baselines_are_scored_on_the_same_items_as_models(tmp_path: Path) -> None:
    task = built(tmp_path)
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=task.size("test"))))
    items = task.metrics(torch.zeros(batch.size, 16, task.vocabulary.size), batch)
    unigram, ngram = task.baselines("test")
    assert (unigram.kind, ngram.kind) == ("trivial", "strong") and ngram.score < unigram.score
    for baseline in (unigram, ngram):
        assert baseline.items.keys() == items.keys()
        for key in ("count", "length", "characters"):
            np.testing.assert_allclose(baseline.items[key], items[key])
        np.testing.assert_allclose(baseline.items["words"], items["words"], atol=1)


def test_a_unigram_scores_the_entropy_of_the_letters() -> None:
    letters = np.random.default_rng(0).integers(4, size=6000)
    text = "".join("abcd"[i] for i in letters)
    task = LanguageModeling(
        "letters",
        {"train": text[:5000], "valid": text[5000:5500], "test": text[5500:]},
        {"units": "characters", "vocabulary": 300, "block": 16, "carry": "false"},
    )
    unigram, ngram = task.baselines("test")
    assert unigram.score == pytest.approx(2.0, abs=0.03)
    assert ngram.score == pytest.approx(2.0, abs=0.15), "there is nothing to learn from the past"


def test_files_of_a_given_split_are_kept_apart(tmp_path: Path) -> None:
    paths = {}
    for split, letter in zip(SPLITS, "abc", strict=True):
        paths[split] = tmp_path / f"{split}.txt"
        paths[split].write_text("abc " + f"{letter} " * 100, encoding="utf-8")
    task = own(DataOptions(**paths, settings={"block": 16}))
    assert [decoded(task, split).split()[-1] for split in SPLITS] == ["a", "b", "c"]
    held_out = own(DataOptions(train=paths["train"], test=paths["test"], settings={"block": 8}))
    assert decoded(held_out, "train") + decoded(held_out, "valid") == paths["train"].read_text(encoding="utf-8")


def test_another_encoding_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_text("déjà vu à la carte, été naïf. " * 60, encoding="latin-1")
    task = own(DataOptions(data=str(path), settings={"block": 16}))
    assert "é" in decoded(task, "train")
    assert "old.txt is not UTF-8 (byte 1) and is read as ISO-8859-1." in task.spec.notes


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ConfigError, "needs a text: give --data FILE"),
        ({"train": Path("a.txt")}, ConfigError, "--train FILE and --test FILE"),
        ({"data": "a.txt", "train": Path("a.txt")}, ConfigError, "needs a text"),
        ({"data": "none.txt"}, DataError, "none.txt does not exist"),
        ({"data": "a.txt", "label": "x"}, ConfigError, "does not read --label"),
        ({"data": "a.txt", "settings": {"units": "words"}}, ConfigError, "did you mean 'subwords'"),
        ({"data": "a.txt", "settings": {"block": 1}}, ConfigError, "block=1 is not a whole number from 2 up"),
    ],
)
def test_what_is_no_text_is_refused(
    options: dict, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    with pytest.raises(error, match=message):
        own(DataOptions(**options))


def test_a_text_shorter_than_a_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its valid text has 10 tokens, fewer than block \+ 1 = 17"):
        built(tmp_path, TEXT[:200])


def test_a_saved_model_reads_prompts_and_says_what_comes_next(tmp_path: Path) -> None:
    task = built(tmp_path)
    reader = restore(task.artifacts())
    batch = reader.encode(["the", "quick brown"])
    assert batch.lengths_B.tolist() == [3, 11] and batch.inputs.shape == (2, 11)
    outputs = torch.zeros(2, 11, task.vocabulary.size)
    ((letter,),) = task.vocabulary.encode(["x"])
    outputs[0, 2, letter] = 5.0
    outputs[0, 10, letter + 1] = 9.0
    first, _ = reader.decode(outputs, batch)
    assert first["next"] == "x" and 0 < first["probability"] < 1
    with pytest.raises(DataError, match="a prompt is empty"):
        reader.encode(["the", ""])
    with pytest.raises(DataError, match="no artifacts of a language model"):
        restore({"name": "x"})


def test_samples_show_the_text_and_what_was_predicted(tmp_path: Path) -> None:
    task = built(tmp_path)
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=2)))
    right = torch.nn.functional.one_hot(batch.targets, task.vocabulary.size).float()
    (sample, _) = task.samples(right, batch)
    assert sample["prediction"] == sample["target"] and len(sample["input"]) == 8
    assert decoded(task, "test").startswith(sample["input"])
