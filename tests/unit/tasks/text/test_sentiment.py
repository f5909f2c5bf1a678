from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks import TASKS
from crossover.tasks.text.headlines import LABELS
from crossover.tasks.text.sentiment import (
    AGREEMENT_FILES,
    financial_phrasebank,
    headlines,
    read_phrasebank,
    read_sentfin,
    sentfin,
)

# Lines in the manner of the published files: an @ in the text, ISO-8859-1 letters, a sentence that stands twice.
SENTENCES = [
    ("Profit of Company@{i} rose to EUR {i} mn , the board in Jyväskylä said .", "positive"),
    ("Profit of Company@{i} fell to EUR {i} mn , the board in Jyväskylä said .", "negative"),
    ("Company@{i} has {i} offices in Jyväskylä .", "neutral"),
]

SENTFIN = """S No.,Title,Decisions,Words
1,SpiceJet to issue warrants,{'SpiceJet': 'neutral'},4
2,"Moody's downgrades Tata Steel UK's rating","{'Tata Steel UK': 'negative', 'Moody's': 'neutral'}",6
3,"Sun Pharma, Dr Reddy's likely to do well","{'Sun Pharma': 'positive', 'Dr Reddy's': 'positive'}",8
"""


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small files of the same form as the published ones."""
    folder = tmp_path / "sentiment" / "financial_phrasebank"
    folder.mkdir(parents=True)
    lines = [f"{text.format(i=i)}@{label}" for i in range(40) for text, label in SENTENCES]
    for agreement, name in AGREEMENT_FILES.items():
        encoding = "utf-8" if agreement == "50" else "iso-8859-1"
        (folder / name).write_text("\n".join([*lines, lines[0], ""]), encoding=encoding)
    (tmp_path / "sentiment" / "sentfin").mkdir()
    (tmp_path / "sentiment" / "sentfin" / "SEntFiN.csv").write_text(SENTFIN, encoding="utf-8")
    monkeypatch.setenv("CROSSOVER_DATA", str(tmp_path))
    return tmp_path


def test_headlines_are_embedded_and_defeat_the_bag_of_words():
    task = headlines(DataOptions())
    assert task.spec.embedded
    assert task.spec.labels == LABELS
    trivial, strong = task.baselines("test")
    assert trivial.score < 0.4
    assert 0.5 < strong.score < 0.75


def test_headlines_of_a_seed_are_the_same_and_no_text_is_in_two_splits():
    task, again = headlines(DataOptions()), headlines(DataOptions())
    assert task.source.texts == again.source.texts
    assert headlines(DataOptions(split_seed=1)).source.texts != task.source.texts
    texts = [text for part in task.source.texts.values() for text in part]
    assert len(set(texts)) == len(texts)


def test_sentences_are_cut_at_the_last_at_sign_in_both_encodings(data_folder: Path):
    folder = data_folder / "sentiment" / "financial_phrasebank"
    latin, notes = read_phrasebank(folder / AGREEMENT_FILES["all"])
    utf, _ = read_phrasebank(folder / AGREEMENT_FILES["50"])
    assert latin == utf
    assert latin.texts[0] == "Profit of Company@0 rose to EUR 0 mn , the board in Jyväskylä said ."
    assert latin.labels[:3] == ["positive", "negative", "neutral"]
    assert any("ISO-8859-1" in note for note in notes)


def test_phrasebank_is_split_70_10_20_with_repeated_sentences_on_one_side(data_folder: Path):
    task = financial_phrasebank(DataOptions())
    sizes = [task.size(split) for split in ("train", "valid", "test")]
    assert sum(sizes) == 121
    assert abs(sizes[0] - 84) <= 1
    assert abs(sizes[2] - 24) <= 1
    assert np.bincount(task.source.targets["test"]).tolist() == [8, 8, 8]
    texts = task.source.texts
    assert not set(texts["train"]) & (set(texts["test"]) | set(texts["valid"]))


def test_agreement_may_be_given_as_a_number_and_references_belong_to_all(data_folder: Path):
    assert financial_phrasebank(DataOptions(settings={"agreement": 50})).spec.references == ()
    names = {(r.name, r.metric): r.score for r in financial_phrasebank(DataOptions()).spec.references}
    assert names["FinBERT", "accuracy"] == 0.97
    with pytest.raises(ConfigError, match="'agreement' '80'"):
        financial_phrasebank(DataOptions(settings={"agreement": 80}))


def test_a_broken_phrasebank_line_is_named(tmp_path: Path):
    path = tmp_path / "Sentences.txt"
    path.write_text("A sentence .@neutral\nAnother one .@neutrl\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2 of .* does not end in @negative, @neutral or @positive"):
        read_phrasebank(path)


def test_sentfin_polarities_are_found_where_the_dictionary_does_not_parse(data_folder: Path):
    examples, notes = read_sentfin(data_folder / "sentiment" / "sentfin" / "SEntFiN.csv")
    assert examples.texts == ["SpiceJet to issue warrants", "Sun Pharma, Dr Reddy's likely to do well"]
    assert examples.labels == ["neutral", "positive"]
    assert "1 headlines whose companies differ in polarity were left out." in notes


@pytest.mark.parametrize("factory", [financial_phrasebank, sentfin])
def test_missing_data_say_how_to_get_them(factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="crossover data get sentiment/"):
        factory(DataOptions())


def test_options_that_are_not_read_are_refused():
    with pytest.raises(ConfigError, match="does not read --data"):
        headlines(DataOptions(data="mine.csv"))
    with pytest.raises(ConfigError, match="did you mean 'units'"):
        headlines(DataOptions(settings={"unit": "words"}))


def test_all_sentiment_names_are_registered():
    assert {"sentiment/headlines", "sentiment/financial-phrasebank", "sentiment/sentfin"} <= set(TASKS.names())


PUBLISHED = Path(os.environ.get("CROSSOVER_DATA", "")) / "sentiment"


@pytest.mark.parametrize(("agreement", "rows"), [("all", 2264), ("75", 3453), ("66", 4217), ("50", 4846)])
def test_the_published_files_have_their_published_sizes(agreement: str, rows: int, data_folder: Path):
    # Without the published files the small ones stand in: 121 lines each.
    published = PUBLISHED / "financial_phrasebank" / AGREEMENT_FILES[agreement]
    given = published if published.is_file() else data_folder / "sentiment/financial_phrasebank" / published.name
    assert len(read_phrasebank(given)[0]) == (rows if published.is_file() else 121)


def test_published_sentfin_has_9520_headlines_of_one_polarity(data_folder: Path):
    published = PUBLISHED / "sentfin" / "SEntFiN.csv"
    given = published if published.is_file() else data_folder / "sentiment" / "sentfin" / published.name
    assert len(read_sentfin(given)[0]) == (9520 if published.is_file() else 2)
