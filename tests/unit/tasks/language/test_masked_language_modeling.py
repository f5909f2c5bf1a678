from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.data.text import MASK, UNKNOWN, Borrowed, train_vocabulary
from crossover.errors import ConfigError, DataError
from crossover.inference.forward import batch_outputs
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.presets import parse_model
from crossover.tasks.language.masked import financial_news, own, restore
from crossover.tasks.objectives import IGNORE

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "red", "birds", "there"]


def lines(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(3, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(lines(400)), encoding="utf-8")
    return own(DataOptions(data=str(path)))


def train_batch(task, epoch: int = 0, seed: int = 0):
    return next(iter(task.batches("train", seed=seed, epoch=epoch, batch=400)))


def whole(task, batch) -> torch.Tensor:
    """The units of the batch before any was hidden."""
    rows = [torch.from_numpy(task.whole["train"][row]) for row in batch.rows_B.tolist()]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def test_fifteen_per_cent_are_to_be_guessed_and_most_of_them_masked(task):
    batch = train_batch(task)
    scored_BT = batch.targets != IGNORE
    units_BT = whole(task, batch)
    assert torch.equal(batch.targets[scored_BT], units_BT[scored_BT])
    assert torch.equal(batch.inputs[~scored_BT], units_BT[~scored_BT])
    assert scored_BT.sum() / batch.tokens == pytest.approx(0.15, abs=0.01)
    masked = (batch.inputs[scored_BT] == MASK).float().mean()
    left = (batch.inputs[scored_BT] == units_BT[scored_BT]).float().mean()
    assert masked == pytest.approx(0.8, abs=0.04)
    assert left == pytest.approx(0.1 + 0.1 / len(WORDS), abs=0.03)
    assert scored_BT.sum(1).min() >= 1


def test_train_is_hidden_anew_each_epoch_and_with_each_seed(task):
    def hidden(batch) -> dict[int, list[int]]:
        rows = zip(batch.rows_B.tolist(), batch.inputs, strict=True)
        return {row: (inputs == MASK).nonzero().flatten().tolist() for row, inputs in rows}

    first = hidden(train_batch(task))
    assert hidden(train_batch(task)) == first
    assert hidden(train_batch(task, epoch=1)) != first
    assert hidden(train_batch(task, seed=1)) != first


def test_valid_and_test_are_hidden_once_and_for_all(task):
    batches = [next(iter(task.batches("test", seed=seed, epoch=seed, batch=8))) for seed in (0, 1)]
    assert torch.equal(batches[0].inputs, batches[1].inputs)
    assert torch.equal(batches[0].targets, batches[1].targets)


def test_an_unknown_unit_is_never_to_be_guessed(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"{text} once{i}" for i, text in enumerate(lines(60))), encoding="utf-8")
    found = own(DataOptions(data=str(path)))
    assert (train_batch(found).inputs == UNKNOWN).any()
    assert not (train_batch(found).targets == UNKNOWN).any()


def test_a_long_text_gives_several_rows_and_loses_nothing(tmp_path):
    path = tmp_path / "texts.txt"
    texts = [" ".join(WORDS * 4) for _ in range(30)]
    path.write_text("\n".join(f"{WORDS[i % 12]} {text}" for i, text in enumerate(texts)), encoding="utf-8")
    found = own(DataOptions(data=str(path), settings={"max_length": 20}))
    assert {len(row) for row in found.whole["train"]} == {20, 9}


@pytest.mark.parametrize("name", ["bert", "lstm", "mingru", "lstm+attention"])
def test_outputs_at_scored_steps_alone_give_the_same_loss_and_gradient(task, name):
    settings = replace(parse_model(name), width=16, layers=2, dropout=0.0)
    spec, batch = task.spec, next(iter(task.batches("train", seed=0, epoch=0, batch=16)))
    results = []
    for scored_only in (False, True):
        model = build_model(settings, spec.inputs, spec.outputs, causal=spec.causal, seed=0)
        outputs, given = batch_outputs(model, batch, Numerics(), scored_only=scored_only)
        loss = task.loss(outputs, given)
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        results.append((loss, torch.cat([gradient.flatten() for gradient in gradients])))
        assert outputs.ndim == (2 if scored_only else 3)
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)


def test_gaps_of_a_text_are_filled_with_the_likeliest_units(task):
    restored = restore(task.artifacts())
    batch = restored.encode(["the [MASK] sat on the [MASK]", "[MASK]"])
    assert batch.lengths_B.tolist() == [6, 1]
    outputs = torch.zeros(2, 6, task.vocabulary.size)
    cat, mat = (task.vocabulary.encode([word])[0][0] for word in ("cat", "mat"))
    outputs[0, 1, cat] = outputs[0, 5, mat] = outputs[1, 0, mat] = 9.0
    first, second = restored.decode(outputs, batch)
    assert first["text"] == "the cat sat on the mat"
    assert [gap[0]["unit"] for gap in first["gaps"]] == ["cat", "mat"]
    assert first["gaps"][0][0]["probability"] > 0.9
    assert second["text"] == "mat"
    with pytest.raises(DataError, match=r"no \[MASK\]"):
        restored.encode(["nothing is hidden here"])


def test_texts_come_from_a_table_too(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("id,headline\n" + "\n".join(f"{i},{text}" for i, text in enumerate(lines(60))), encoding="utf-8")
    assert own(DataOptions(data=str(path))).spec.notes == ("Column 'headline' is taken as the text.",)
    assert own(DataOptions(data=str(path), text="headline")).size("train") == 54
    with pytest.raises(DataError, match="did you mean 'headline'"):
        own(DataOptions(data=str(path), text="headlines"))


def test_files_of_given_splits_are_taken_as_they_are(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines(30, seed=len(name))), encoding="utf-8")
    given = {name: tmp_path / f"{name}.txt" for name in ("train", "test")}
    assert [own(DataOptions(**given)).size(split) for split in ("train", "valid", "test")] == [28, 2, 30]
    found = own(DataOptions(**given, valid=tmp_path / "valid.txt"))
    assert [found.size(split) for split in ("train", "valid", "test")] == [30, 30, 30]


def test_what_cannot_be_is_said(tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 texts are too few"):
        own(DataOptions(data=str(tmp_path / "few.txt")))
    with pytest.raises(ConfigError, match="texts are needed"):
        own(DataOptions())
    with pytest.raises(ConfigError, match="is a text file"):
        own(DataOptions(data=str(tmp_path / "few.txt"), text="text"))
    borrowed = Borrowed(train_vocabulary("words", lines(9), size=50), "RUN")
    with pytest.raises(ConfigError, match="by the vocabulary of RUN"):
        own(DataOptions(data=str(tmp_path / "few.txt"), borrowed=borrowed, settings={"units": "words"}))


def test_the_baseline_of_neighbours_beats_the_most_frequent_unit(tmp_path):
    path = tmp_path / "texts.txt"
    cycle = [" ".join((WORDS * 3)[start : start + 12 + start % 3]) for start in range(12)]
    path.write_text("\n".join(f"{text} {i}" for i, text in enumerate(cycle * 20)), encoding="utf-8")
    trivial, strong = own(DataOptions(data=str(path))).baselines("test")
    assert strong.summary["accuracy"] > 0.9 > 0.3 > trivial.summary["accuracy"]
    assert strong.score < 0.5 * trivial.score


def test_news_is_free_of_the_test_sentences_of_every_protected_split(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSOVER_DATA", str(tmp_path))
    bank, heads = tmp_path / "sentiment" / "financial_phrasebank", tmp_path / "sentiment" / "sentfin"
    bank.mkdir(parents=True)
    heads.mkdir()
    agreed = [f"{text} number {i} was told in full" for i, text in enumerate(lines(60, seed=3))]
    labelled = [f"{text}@{('negative', 'neutral', 'positive')[i % 3]}" for i, text in enumerate(agreed)]
    others = [f"{text}@neutral" for text in lines(40, seed=4)]
    for name in ("75", "66", "50"):
        (bank / f"Sentences_{name}Agree.txt").write_text("\n".join([*labelled, *others]), encoding="utf-8")
    (bank / "Sentences_AllAgree.txt").write_text("\n".join(labelled), encoding="utf-8")
    titles = [f"\"{agreed[i].upper()}\",\"{{'A': 'neutral'}}\"" for i in range(30)]
    (heads / "SEntFiN.csv").write_text("\n".join(["Title,Decisions", *titles]), encoding="utf-8")

    from crossover.tasks.text.sentiment import financial_phrasebank

    found = financial_news(DataOptions(split_seed=1, settings={"splits": 2, "minimum_count": 1}))
    read = {" ".join(found.vocabulary.decode(row.tolist()).split()) for rows in found.whole.values() for row in rows}
    for seed in (1, 2):
        tested = financial_phrasebank(DataOptions(split_seed=seed, settings={"minimum_count": 1})).source.texts[
            "test"
        ]
        assert not read & {" ".join(found.vocabulary.decode(ids).split()) for ids in found.vocabulary.encode(tested)}
    (note,) = found.spec.notes
    assert note.startswith("Texts left out because they are test sentences of sentiment/financial-phrasebank in its ")
    assert "splits 1 to 2: " in note
