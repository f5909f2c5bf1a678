from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path

import numpy as np
import polars
import pytest

from crossover.errors import ConfigError, DataError
from crossover.tasks.translation.files import (
    captions,
    python_docs,
    read_aligned,
    read_pairs,
    split_without_leaks,
    tatoeba,
)
from crossover.tasks.translation.pairs import LeakFinder, Pairs, TranslationData, group_by_source

TWO = Pairs(("Good morning.", "Thanks."), (("早上好。",), ("谢谢。", "多谢。")))
ROWS = (("Good morning.", "早上好。"), ("Thanks.", "谢谢。"), ("Thanks.", "多谢。"))
GROUPED = "3 rows hold 2 distinct sources: all translations of a source count as right."


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def delimited(delimiter: str, *rows: tuple[str, ...]) -> str:
    return "".join(delimiter.join(row) + "\n" for row in rows)


def no_leaks(data: TranslationData) -> bool:
    finder = LeakFinder(data.splits["train"])
    return not any(np.any(finder.find(data.splits[split])) for split in ("valid", "test"))


def sentence(i: int) -> str:
    """Sentences that are two words or more apart."""
    return f"w{i} x{i} y{i} z{i}"


def test_a_csv_with_usual_names_is_read_and_its_columns_are_said(tmp_path: Path):
    path = write(
        tmp_path / "t.csv", delimited(",", ("id", "EN", "zh"), *((str(i), *row) for i, row in enumerate(ROWS)))
    )
    pairs, notes = read_pairs(path)
    assert pairs == TWO
    assert notes == ("Column 'EN' is taken as the source.", "Column 'zh' is taken as the target.", GROUPED)


def test_a_tsv_with_a_header_is_read_by_its_header(tmp_path: Path):
    path = write(tmp_path / "t.tsv", delimited("\t", ("target", "source"), *(row[::-1] for row in ROWS)))
    assert read_pairs(path)[0] == TWO


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.txt.xz", "t.tsv.gz"])
def test_a_tsv_without_a_header_loses_no_row(tmp_path: Path, name: str):
    path = tmp_path / name
    content = delimited("\t", *((*row, "CC-BY 2.0") for row in ROWS)).encode()
    path.write_bytes({".xz": lzma.compress, ".gz": gzip.compress}.get(path.suffix, bytes)(content))
    pairs, notes = read_pairs(path)
    assert pairs == TWO
    first = f"{name} has no header: its first column is taken as the source, its second as the target."
    assert notes == (first, GROUPED)


def test_quotes_in_a_tsv_without_a_header_are_ordinary_characters(tmp_path: Path):
    rows = (
        ('"Who is it?" "It\'s me."', "“谁啊？”“是我。”"),
        ('"No," he said.', "他说“不”。"),
        ('She said, "Yes.', "她说“是”。"),
    )
    pairs, _ = read_pairs(write(tmp_path / "t.tsv", delimited("\t", *rows)))
    assert list(zip(pairs.sources, (references[0] for references in pairs.references), strict=True)) == list(rows)


def test_json_lines_and_parquet_are_read(tmp_path: Path):
    lines = "".join(json.dumps({"src": a, "tgt": b}, ensure_ascii=False) + "\n" for a, b in ROWS)
    assert read_pairs(write(tmp_path / "t.jsonl", lines))[0] == TWO
    polars.DataFrame({"english": [a for a, _ in ROWS], "chinese": [b for _, b in ROWS]}).write_parquet(
        tmp_path / "t.parquet"
    )
    assert read_pairs(tmp_path / "t.parquet")[0] == TWO


def test_named_columns_are_taken_and_misspelt_ones_refused(tmp_path: Path):
    path = write(tmp_path / "t.csv", delimited(",", ("before", "after", "note"), *((*row, "") for row in ROWS)))
    assert read_pairs(path, "before", "after") == (TWO, (GROUPED,))
    assert read_pairs(path, "after", "before")[0].sources == ("早上好。", "谢谢。", "多谢。")
    with pytest.raises(DataError, match="unknown column 'befor': did you mean 'before'"):
        read_pairs(path, "befor", "after")
    with pytest.raises(DataError, match=r"no columns with usual names for the target .*columns 'before', 'after' or"):
        read_pairs(path, "before", None)
    with pytest.raises(DataError, match="usual names for the source and the target"):
        read_pairs(path, None, None)
    with pytest.raises(ConfigError, match="column 'after' is given as the source and as the target"):
        read_pairs(path, "after", "after")


def test_one_named_column_finds_its_partner(tmp_path: Path):
    path = write(tmp_path / "t.csv", delimited(",", ("before", "after"), *ROWS))
    for source, target, note in (
        ("before", None, "'after' is taken as the target"),
        (None, "after", "'before' is taken"),
    ):
        pairs, notes = read_pairs(path, source, target)
        assert pairs == TWO
        assert note in notes[0] and len(notes) == 2
    three = write(tmp_path / "three.csv", delimited(",", ("before", "x", "zh"), *((a, "", b) for a, b in ROWS)))
    assert read_pairs(three, "before", None)[0] == TWO


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_two_columns_named_by_language_are_source_and_target(tmp_path: Path, name: str):
    path = write(
        tmp_path / name, delimited("\t" if name == "t.tsv" else ",", ("de", "fr"), ("Guten Tag.", "Bonjour."))
    )
    pairs, notes = read_pairs(path)
    assert pairs == Pairs(("Guten Tag.",), (("Bonjour.",),))
    assert notes == ("Column 'de' is taken as the source.", "Column 'fr' is taken as the target.")


def test_rows_with_an_empty_side_are_counted_and_left_out(tmp_path: Path):
    text = delimited("\t", *ROWS, ("", "没有"), ("Nothing.", " "), ("Nothing.", "没有。"))
    pairs, notes = read_pairs(write(tmp_path / "t.tsv", text))
    assert pairs.sources == ("Good morning.", "Thanks.", "Nothing.")
    assert "Rows left out: 1 with an empty source, 1 without a target." in notes
    path = write(tmp_path / "t.jsonl", '{"source": "a", "target": null}\n{"source": "b"}\n')
    with pytest.raises(DataError, match="no row with both a source and a target"):
        read_pairs(path)


def test_a_line_without_a_tab_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"line 3 of .*t\.tsv has no tab: write a source, a tab and its target"):
        read_pairs(write(tmp_path / "t.tsv", "Hi.\t嗨。\n\nHello.\n"))


def test_a_missing_or_empty_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="is empty"):
        read_pairs(write(tmp_path / "t.tsv", "\n"))
    with pytest.raises(DataError, match="is a folder"):
        read_pairs(tmp_path)


def test_aligned_files_are_read_line_by_line_and_empty_pairs_counted(tmp_path: Path):
    source = write(tmp_path / "a.en", "Good morning.\r\n\r\nThanks.\r\nThanks.\r\n")
    target = write(tmp_path / "a.zh", "早上好。\n\n谢谢。\n多谢。\n\n")
    assert read_aligned(source, target) == (TWO, ("Lines left out because they are empty in both files: 1.", GROUPED))


def test_separators_inside_a_line_do_not_end_it(tmp_path: Path):
    source = write(tmp_path / "a.en", "One\u2028more\x0cpage.\nTwo.\n")
    pairs, _ = read_aligned(source, write(tmp_path / "a.zh", "一\u0085页。\n二。\n"))
    assert pairs.sources == ("One\u2028more\x0cpage.", "Two.")


def test_unequal_line_counts_are_refused_with_the_first_line_without_a_partner(tmp_path: Path):
    three, two = write(tmp_path / "a.en", "a\nb\nc\n"), write(tmp_path / "a.zh", "甲\n乙\n")
    with pytest.raises(DataError, match=r"a\.en has 3 lines and .*a\.zh 2: line 3 of .*a\.en has no partner"):
        read_aligned(three, two)
    with pytest.raises(DataError, match=r"a\.zh has 2 lines and .*a\.en 3: line 3 of .*a\.en has no partner"):
        read_aligned(two, three)


def test_lines_empty_on_one_side_are_refused_by_their_numbers(tmp_path: Path):
    full, holes = write(tmp_path / "a.en", "a\nb\nc\nd\ne\nf\n"), write(tmp_path / "a.zh", "甲\n\n\n \n\n己\n")
    with pytest.raises(
        DataError, match=r"a\.zh is empty where the other file is not, lines 2, 3, 4 and 1 more: fill"
    ):
        read_aligned(full, holes)
    with pytest.raises(
        DataError, match=r"a\.zh is empty where the other file is not, lines 2, 3, 4 and 1 more: fill"
    ):
        read_aligned(holes, full)
    one = write(tmp_path / "b.zh", "甲\n\n丙\n丁\n戊\n己\n")
    with pytest.raises(DataError, match=r"b\.zh is empty where the other file is not, line 2: fill"):
        read_aligned(full, one)


def test_a_split_without_leaks_has_its_sizes_and_uses_nearly_all_sentences():
    near = [(f"{sentence(i // 3)} w{i % 3}", f"译{i}") for i in range(300)]
    alone = [(sentence(1000 + i), f"文{i}") for i in range(300)]
    pairs = group_by_source(near + alone)
    parts, notes = split_without_leaks(pairs, 0, (20, 40))
    assert [len(parts[split]) for split in ("train", "valid", "test")] == [
        600 - 60 - len(_missing(pairs, parts)),
        20,
        40,
    ]
    assert no_leaks(TranslationData(splits=parts, notes=(), languages=("en", "zh")))
    assert len(_missing(pairs, parts)) < 10
    assert notes[1].endswith(f": {len(_missing(pairs, parts))}.")
    assert split_without_leaks(pairs, 0, (20, 40))[0] == parts
    assert split_without_leaks(pairs, 1, (20, 40))[0] != parts


def _missing(pairs: Pairs, parts: dict) -> set[str]:
    return set(pairs.sources) - {source for part in parts.values() for source in part.sources}


def test_a_split_without_leaks_is_smaller_where_there_are_too_few_sentences():
    parts, _ = split_without_leaks(group_by_source((sentence(i), f"译{i}") for i in range(60)), 0, (20, 40))
    assert [len(parts[split]) for split in ("train", "valid", "test")] == [30, 10, 20]


DATA = os.environ.get("CROSSOVER_DATA")
"""The real files are read where they are, else small ones of the same form that these tests write."""


def test_tatoeba_keeps_all_references_and_shares_nothing_with_train(tmp_path: Path):
    folder = Path(DATA or tmp_path) / "translation" / "tatoeba"
    if not DATA:
        rows = [(sentence(i % 4000), f"译{i}", "CC-BY 2.0") for i in range(4200)]
        write(folder / "cmn.txt", delimited("\t", *rows))
    data = tatoeba(folder, seed=0)
    sizes = {split: (len(part), len(part.flat())) for split, part in data.splits.items()}
    assert (sizes["valid"][0], sizes["test"][0]) == (500, 1000)
    assert sizes["train"][0] == (26_137 if DATA else 2500)
    assert sizes["test"][1] > 1000
    assert no_leaks(data)
    pairs, sentences = (29_155, 27_661) if DATA else (4200, 4000)
    assert data.notes[0].startswith(f"{pairs} pairs of {sentences} English sentences")


def test_captions_keep_the_split_of_their_authors_less_what_leaks(tmp_path: Path):
    folder = Path(DATA or tmp_path) / "translation" / "captions"
    if not DATA:
        for name, numbers in (("train", range(20)), ("val", range(20, 25)), ("test", range(19, 25))):
            write(folder / f"{name}.en", "".join(sentence(i) + "\n" for i in numbers))
            write(folder / f"{name}.zh", "".join(f"{name} {i}\n" for i in numbers))
    data = captions(folder)
    sizes = [len(data.splits[split]) for split in ("train", "valid", "test")]
    assert sizes == ([23_893, 987, 890] if DATA else [20, 5, 5])
    assert data.notes[-1].startswith(f"Of {997 if DATA else 6} test sentences")
    assert no_leaks(data)


def test_python_docs_are_split_by_file_less_what_leaks(tmp_path: Path):
    folder = tmp_path / "python_docs"
    rows = [{"file": f"f{i // 10}.po", "en": sentence(i), "zh": f"译{i}"} for i in range(200)]
    rows += [{"file": f"f{i}.po", "en": "Example", "zh": "示例"} for i in range(20)]
    write(folder / "pydocs_en_zh.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    data = python_docs(folder, seed=0)
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 161, "valid": 20, "test": 20}
    files = [
        {int(source[1:].split()[0]) // 10 for source in part.sources if source != "Example"}
        for part in data.splits.values()
    ]
    assert sum(map(len, files)) == len(set.union(*files)) == 20
    assert no_leaks(data)
    assert data.notes[0] == "220 paragraphs of 20 files; a file stands in one split only."


@pytest.mark.parametrize(
    ("read", "name"), [(tatoeba, "cmn.txt"), (captions, "train.en"), (python_docs, "pydocs_en_zh.jsonl")]
)
def test_a_folder_without_the_data_is_refused(read, name: str, tmp_path: Path):
    with pytest.raises(DataError, match=f"holds no {name}, {name}.xz or {name}.gz"):
        read(tmp_path)
