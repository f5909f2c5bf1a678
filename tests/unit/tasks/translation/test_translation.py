from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.data.text import BEGIN, END, PAD
from crossover.errors import ConfigError, DataError
from crossover.inference.decode import Beam, beam_search
from crossover.inference.forward import scored_outputs
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.presets import parse_model
from crossover.tasks import TASKS
from crossover.tasks.base import Split
from crossover.tasks.options import read_settings
from crossover.tasks.translation.pairs import Pairs, TranslationData, group_by_source
from crossover.tasks.translation.reader import restore
from crossover.tasks.translation.task import SETTINGS, Translation
from crossover.testing import check_task
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NUMERICS = Numerics()
WORDS = {"one": "一", "two": "二", "three": "三", "four": "四", "five": "五", "red": "红", "blue": "蓝", "cats": "猫"}


def pairs(count: int, seed: int) -> Pairs:
    """Two to four words, translated one by one; every tenth source has a second reference."""
    rng = np.random.default_rng(seed)
    listed = []
    for row in range(count):
        drawn = rng.choice(sorted(WORDS), size=int(rng.integers(2, 5)))
        text = "".join(WORDS[word] for word in drawn)
        listed.append((" ".join(drawn), text))
        if row % 10 == 0:
            listed.append((" ".join(drawn), text + "们"))
    return group_by_source(listed)


def made(**settings: object) -> Translation:
    splits: dict[Split, Pairs] = {"train": pairs(1500, 0), "valid": pairs(40, 1), "test": pairs(40, 2)}
    data = TranslationData(splits=splits, notes=("Made up.",), languages=("en", "zh"))
    given = {"source_units": "words", "target_units": "characters", **settings}
    return Translation("translation/made", data, read_settings("translation/made", given, SETTINGS))


def test_the_conformance_suite_passes() -> None:
    failed = [result for result in check_task(made()) if not result.passed]
    assert failed == []


def test_the_target_goes_in_shifted_by_one_and_comes_out_with_its_end() -> None:
    task = made()
    batch = next(iter(task.batches("valid", seed=0, epoch=0, batch=4)))
    assert batch.source is not None
    for row, length in enumerate(batch.lengths_B.tolist()):
        inputs, targets = batch.inputs[row, :length].tolist(), batch.targets[row, :length].tolist()
        assert inputs[0] == BEGIN and targets[-1] == END and inputs[1:] == targets[:-1]
        source = batch.source.inputs[row, : batch.source.lengths_B[row]].tolist()
        assert task.reader.source.decode(source) == task.data.splits["valid"].sources[row]
        assert task.reader.text(targets) == task.data.splits["valid"].references[row][0]


def test_train_reads_every_reference_and_the_test_scores_against_all() -> None:
    task = made()
    assert task.size("train") == len(task.data.splits["train"].flat()) > len(task.data.splits["train"])
    row = next(i for i, references in enumerate(task.data.splits["test"].references) if len(references) == 2)
    batch = list(task.batches("test", seed=0, epoch=0, batch=1))[row]
    outputs = torch.zeros(1, batch.inputs.shape[1], task.reader.target.size)
    for reference in task.data.splits["test"].references[row]:
        ids = torch.tensor([[*task.reader.target.encode([reference])[0], PAD]])
        items = task.metrics(outputs, _written(batch, ids))
        assert items["exact"].tolist() == [1.0]
        scores = task.summarise({name: values.sum(0) for name, values in items.items()})
        assert scores["exact_match"] == 1.0 and scores["chrf"] == pytest.approx(100.0)


def _written(batch, ids: torch.Tensor):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(batch, extra={**batch.extra, "written": ids})


def test_what_a_model_writes_by_itself_is_scored() -> None:
    task = made()
    model = build_model(
        parse_model("gru[width=8,layers=1]"), task.spec.inputs, task.spec.outputs, causal=True, seed=0
    ).eval()
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=4)))
    outputs, scored = scored_outputs(model, batch, NUMERICS, task)
    assert outputs.shape[:2] == batch.inputs.shape and scored.extra["written"].shape[0] == 4
    texts = [prediction["text"] for prediction in task.decode(outputs, scored)]
    assert texts == [task.reader.text([i for i in row if i != PAD]) for row in scored.extra["written"].tolist()]
    assert [sample["prediction"] for sample in task.samples(outputs, scored, 2)] == texts[:2]


def test_a_task_may_score_what_a_beam_finds() -> None:
    task = made(beam=3)
    assert "Written by a beam of 3." in task.spec.notes
    model = build_model(
        parse_model("gru[width=8,layers=1]"), task.spec.inputs, task.spec.outputs, causal=True, seed=0
    ).eval()
    batch = next(iter(task.batches("test", seed=0, epoch=0, batch=4)))
    assert batch.source is not None
    _, scored = scored_outputs(model, batch, NUMERICS, task)
    found = beam_search(model, batch.source, NUMERICS, Beam(size=3))
    written = [[i for i in row if i != PAD] for row in scored.extra["written"].tolist()]
    assert written == [list(best.ids) for best, *_ in found]
    _, greedy = scored_outputs(model, batch, NUMERICS, made())
    assert written != [[i for i in row if i != PAD] for row in greedy.extra["written"].tolist()]


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_small_model_learns_to_translate_word_by_word(name: str) -> None:
    task = made()
    settings = TrainSettings(budget="400steps", batch=32, evaluations=2, learning_rate=5e-3)
    model = parse_model(f"{name}[width=48,layers=1,dropout=0.0]")
    result = train(task, model, settings, numerics=NUMERICS)
    assert result.record.summary["exact_match"] > 0.8
    strong = task.baselines("test")[1]
    assert strong.name == "nearest sentence" and strong.summary["exact_match"] < result.record.summary["exact_match"]
    assert [bucket["to"] for bucket in result.record.details["by_length"]] == [4.0]


@pytest.mark.parametrize("shared", [False, True])
def test_artifacts_bring_the_translator_back(shared: bool) -> None:
    units = {"source_units": "subwords", "target_units": "subwords", "vocabulary": 300, "shared": shared}
    task = made(**units)
    again = restore(json.loads(json.dumps(task.artifacts())))
    assert again.spec.inputs == task.spec.inputs and again.spec.inputs.shared == shared  # type: ignore[union-attr]
    batch, expected = again.encode(["one red", "two"]), task.encode(["one red", "two"])
    assert batch.source is not None and expected.source is not None
    assert torch.equal(batch.source.inputs, expected.source.inputs)
    with pytest.raises(DataError, match="no artifacts of a translation"):
        restore({})


def test_long_rows_are_left_out_of_train_and_cut_elsewhere_when_asked() -> None:
    whole, short = made(), made(longest=3)
    assert short.size("train") < whole.size("train") and short.size("test") == whole.size("test")
    assert int(short.splits["train"].lengths_N.max()) == 3
    assert max(len(source) for source in short.splits["test"].sources) == 3
    notes = " ".join(short.spec.notes)
    assert (
        "train rows longer than 3 words were left out." in notes
        and "test rows longer than 3 words were cut." in notes
    )
    with pytest.raises(ConfigError, match="every pair of train is longer than 1"):
        made(longest=1)


def test_one_vocabulary_needs_one_kind_of_units() -> None:
    with pytest.raises(ConfigError, match="shared=true needs one kind of units, not words and characters"):
        made(shared=True)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(DataError, match="text 2 is empty"):
        made().encode(["one", " "])


@pytest.mark.parametrize("name", ["translation/phrases", "translation/names"])
def test_embedded_pairs_become_a_task(name: str) -> None:
    task = TASKS.get(name)(DataOptions())
    assert task.size("train") > 500 and task.spec.embedded and task.spec.decoding == "written"
    assert any("sacreBLEU" in note for note in task.spec.notes)


def test_own_pairs_come_from_a_table_or_two_files(tmp_path: Path) -> None:
    listed = pairs(200, 5).flat()
    table, one, two = tmp_path / "pairs.tsv", tmp_path / "text.en", tmp_path / "text.zh"
    table.write_text("english\tchinese\n" + "".join(f"{s}\t{t}\n" for s, t in listed), encoding="utf-8")
    one.write_text("".join(f"{s}\n" for s, _ in listed), encoding="utf-8")
    two.write_text("".join(f"{t}\n" for _, t in listed), encoding="utf-8")
    own = TASKS.get("translation")
    settings = {"source_units": "words", "target_units": "characters"}
    of_table = own(DataOptions(data=str(table), source="english", target="chinese", settings=settings))
    of_files = own(DataOptions(data=str(one), aligned=two, settings=settings))
    assert of_table.size("train") == of_files.size("train") > 50
    with pytest.raises(DataError, match="did you mean 'english'"):
        own(DataOptions(data=str(table), source="englsh", target="chinese"))
    with pytest.raises(ConfigError, match="needs pairs of texts: give --data FILE"):
        own(DataOptions())


def test_own_texts_are_scored_by_bleu_where_most_have_its_four_words_and_by_chrf_elsewhere(tmp_path: Path) -> None:
    table = tmp_path / "pairs.tsv"
    rows = "".join(f"a{i} b{i} c{i}\tx{i} y{i}\tx{i} y{i} and more\n" for i in range(100))
    table.write_text("source\tshort\tlong\n" + rows, encoding="utf-8")
    own = TASKS.get("translation")
    short = own(DataOptions(data=str(table), source="source", target="short"))
    assert short.spec.metric == "chrf" and any("chrF is their score" in note for note in short.spec.notes)
    long = own(DataOptions(data=str(table), source="source", target="long"))
    assert long.spec.metric == "bleu" and not any("chrF is their score" in note for note in long.spec.notes)
