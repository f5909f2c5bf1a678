from __future__ import annotations

import doctest
import gzip
import io
import lzma
import os
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from crossover.data.fetch import get
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks.questions import babi
from crossover.tasks.questions.babi import parse_stories, read_babi
from crossover.tasks.questions.sources import babi as task_on_babi
from crossover.testing import check_task

STORY = "1 {a} went to the {p}.\n2 Where is {a}? \t{p}\t1\n3 {b} went to the {q}.\n4 Where is {b}? \t{q}\t3\n"
ROOMS = ("kitchen", "garden", "office", "hall")


def small_task(split: str, number: int) -> str:
    people = ("Ann", "Bob", "Cid", "Dan")
    size = 12 if split == "train" else 2
    drawn = [
        (people[(i + number) % 4], ROOMS[i % 4], people[(i + 2) % 4], ROOMS[(i // 4 + number) % 4])
        for i in range(size)
    ]
    text = "".join(STORY.format(a=a, p=p, b=b, q=q) for a, p, b, q in drawn)
    return text if (split, number) != ("test", 8) else text.replace("\tkitchen\t", "\tapple,milk\t")


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as opened:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "babi_en_1k.tar.xz"
    path.write_bytes(lzma.compress(packed.getvalue()))
    return path


def small_members() -> dict[str, bytes]:
    return {
        f"tasks_1-20_v1-2/en/qa{number}_some-name_{split}.txt": small_task(split, number).encode()
        for number in range(1, 21)
        for split in ("train", "test")
    }


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive(tmp_path / "qa" / "babi_en_1k", small_members())
    monkeypatch.setenv("CROSSOVER_DATA", str(tmp_path))
    return tmp_path


def test_the_example_of_the_docstring_holds():
    assert doctest.testmod(babi).attempted >= 1
    assert doctest.testmod(babi).failed == 0


def test_a_question_has_the_sentences_before_it_and_stories_begin_at_1():
    (first, second) = parse_stories(STORY.format(a="Ann", p="hall", b="Bob", q="attic") * 2, "task-1")
    assert first == second
    assert [len(question.story) for question in first] == [1, 2]
    assert first[1].story == ("Ann went to the hall.", "Bob went to the attic.")
    assert first[1].answer == "attic"


def test_a_line_without_its_number_is_told():
    with pytest.raises(DataError, match="line 2 of task-3"):
        parse_stories("1 Ann left.\nBob left.\n", "task-3")
    with pytest.raises(DataError, match="line 1 of task-3"):
        parse_stories("2 Who left?\tAnn\t1\n", "task-3")


def test_members_outside_the_english_tasks_are_not_read_and_nothing_is_unpacked(data_folder: Path, tmp_path: Path):
    folder = data_folder / "qa" / "babi_en_1k"
    archive(folder, {**small_members(), "../en/qa1_evil.txt": b"1 x\n", "hn/qa1_some-name_train.txt": b"1 y\n"})
    assert len(read_babi(folder)["train"]) == 20 * 12
    assert [path.name for path in folder.iterdir()] == ["babi_en_1k.tar.xz"]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [({"en/qa1_a_train.txt": b"1 Ann left.\n"}, "lacks en/qa2_…_train.txt"), ({}, "lacks en/qa1_…_train.txt")],
)
def test_an_incomplete_archive_is_told(tmp_path: Path, members: dict[str, bytes], sentence: str):
    archive(tmp_path, members)
    with pytest.raises(DataError, match=sentence):
        read_babi(tmp_path)


def test_the_archive_of_its_authors_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    packed = archive(tmp_path / "given", small_members())
    authors = tmp_path / "tasks_1-20_v1-2.tar.gz"
    authors.write_bytes(gzip.compress(lzma.decompress(packed.read_bytes())))
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path / "cache"))
    assert read_babi(get("qa/babi", source=authors).parent) == read_babi(packed.parent)


def test_a_file_that_is_no_archive_is_told(tmp_path: Path):
    (tmp_path / "babi_en_1k.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(DataError, match="no bAbI archive"):
        read_babi(tmp_path)
    with pytest.raises(DataError, match="get the data set again"):
        read_babi(tmp_path / "elsewhere")


def test_the_task_holds_what_every_task_holds(data_folder: Path):
    assert not [result for result in check_task(task_on_babi(DataOptions())) if not result.passed]


def test_valid_is_cut_off_train_by_story_and_task(data_folder: Path):
    task = task_on_babi(DataOptions())
    valid = [task.questions[index] for index in task.splits["valid"].extra["question"]]
    assert {question.kind for question in valid} == {f"task-{n}" for n in range(1, 21)}
    assert task.size("train") + task.size("valid") == 20 * 12 * 2
    # Every story has two questions, after one sentence and after two: both stand on one side.
    assert [len(question.story) for question in valid] == [1, 2] * (len(valid) // 2)
    assert all(second.story[:1] == first.story for first, second in pairwise(valid) if len(second.story) == 2)


def test_an_answer_that_train_does_not_have_is_a_mistake_and_told(data_folder: Path):
    task = task_on_babi(DataOptions())
    assert any("none of train's and count as mistakes" in note for note in task.spec.notes)
    (batch,) = task.batches("test", seed=0, epoch=0, batch=1000)
    right = torch.nn.functional.one_hot(batch.targets.clamp(min=0), len(task.spec.labels)).float() * 50
    scores = task.score(task.metrics(right, batch))
    assert scores["accuracy@task-1"] == 1
    assert scores["accuracy@task-8"] < 1
    assert scores["accuracy"] == pytest.approx((19 + scores["accuracy@task-8"]) / 20)
    assert scores["loss"] < 1e-6


def test_missing_data_say_where_they_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"research\.fb\.com/downloads/babi"):
        task_on_babi(DataOptions())
    with pytest.raises(ConfigError, match="does not read --data"):
        task_on_babi(DataOptions(data="mine.json"))


PUBLISHED = Path(os.environ.get("CROSSOVER_DATA", "")) / "qa" / "babi_en_1k"


def test_the_published_files_have_their_published_sizes(data_folder: Path):
    # Without the published archive the small one stands in.
    folder = PUBLISHED if (PUBLISHED / "babi_en_1k.tar.xz").is_file() else data_folder / "qa" / "babi_en_1k"
    read = read_babi(folder)
    counts = {split: sum(map(len, stories)) for split, stories in read.items()}
    expected = {"train": 20_000, "test": 20_000} if folder == PUBLISHED else {"train": 480, "test": 80}
    assert counts == expected
