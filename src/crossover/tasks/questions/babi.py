"""bAbI (Weston et al. 2015, arXiv 1502.05698): the twenty tasks in English, 1,000 training questions each."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

from crossover.data.encoding import read_bytes
from crossover.errors import DataError
from crossover.tasks.questions.stories import Question

TASKS = 20
MAXIMUM_BYTES = 64 << 20
"""A member larger than this is no bAbI file."""
_MEMBER = re.compile(r"(?:^|/)en/qa(\d+)_[\w-]+_(train|test)\.txt$")
_ARCHIVES = ("babi_en_1k.tar", "babi_en_1k.tar.xz", "babi_en_1k.tar.gz")


def read_babi(folder: Path) -> dict[str, list[list[Question]]]:
    """Stories of "train" and "test", each a list of its questions; the kind of a question is ``task-N``.

    The archive is read in memory: nothing is unpacked to disk. DataError where it is missing, damaged or incomplete.
    """
    path = next((folder / name for name in _ARCHIVES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} holds no {_ARCHIVES[0]}, packed or not: get the data set again")
    texts: dict[tuple[str, int], str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(read_bytes(path)), mode="r:") as archive:
            for member in archive:
                named = _MEMBER.search(member.name)
                if named and member.isfile() and member.size <= MAXIMUM_BYTES:
                    stream = archive.extractfile(member)
                    texts[named[2], int(named[1])] = stream.read().decode("utf-8") if stream else ""
    except (tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"{path} is no bAbI archive ({error}): get the data set again") from error
    wanted = [(split, n) for split in ("train", "test") for n in range(1, TASKS + 1)]
    missing = [f"en/qa{n}_…_{split}.txt" for split, n in wanted if (split, n) not in texts]
    if missing:
        raise DataError(f"{path} lacks {missing[0]}: get the data set again")
    return {
        split: [story for n in range(1, TASKS + 1) for story in parse_stories(texts[split, n], f"task-{n}")]
        for split in ("train", "test")
    }


def parse_stories(text: str, kind: str) -> list[list[Question]]:
    """The stories of one file: numbered lines, numbers beginning anew at 1; a question has its answer after a tab.

    >>> [[question]] = parse_stories("1 Ann left.\\n2 Who left?\\tAnn\\t1\\n", "task-1")
    >>> question.story, question.text, question.answer
    (('Ann left.',), 'Who left?', 'Ann')
    """
    stories: list[list[Question]] = []
    told: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        index, _, rest = line.partition(" ")
        if not index.isdecimal() or not rest.strip() or (index != "1" and not stories):
            raise DataError(f"line {number} of {kind} of bAbI is no numbered sentence: get the data set again")
        if index == "1":
            stories.append([])
            told = []
        sentence, *answer = rest.split("\t")
        if answer:
            stories[-1].append(Question(tuple(told), sentence.strip(), answer[0].strip(), kind))
        else:
            told.append(sentence.strip())
    return stories
