import gzip
import json
import lzma

import polars
import pytest

from crossover.data.tables import load_frame, read_table
from crossover.errors import DataError

PLAIN = "text,label\ngood news,1\nbad news,0\n"


def refused(path, **request):
    with pytest.raises(DataError) as caught:
        read_table(path, **request)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_csv(file):
    table = read_table(file(PLAIN), columns=["text", "label"])
    assert table.frame.rows() == [("good news", "1"), ("bad news", "0")]
    assert table.notes == ()


@pytest.mark.parametrize(("delimiter", "named"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
def test_the_delimiter_is_found_and_said(file, delimiter, named):
    content = f"text{delimiter}label\ngood, news{delimiter}1\nbad news{delimiter}0\n"
    table = read_table(file(content), columns=["label"])
    assert table.frame.columns == ["text", "label"]
    assert table.notes == (f"rows.csv is separated by {named}.",)


def test_tab_is_what_a_tsv_file_has(file):
    assert read_table(file("a\tb\n1\t2\n", "rows.tsv")).notes == ()


def test_quoted_fields_hold_delimiters_and_lines(file):
    table = read_table(file('text,label\n"a, ""b""\nc",1\n'))
    assert table.frame.rows() == [('a, "b"\nc', "1")]


def test_quotes_that_do_not_quote_are_characters(file):
    table = read_table(file('text\tlabel\n"Yes," he said\t1\nno "doubt"\t0\n', "rows.tsv"))
    assert table.frame["text"].to_list() == ['"Yes," he said', 'no "doubt"']
    assert "ordinary characters" in table.notes[0]


def test_compressed_files(file):
    for name, pack in (("rows.csv.gz", gzip.compress), ("rows.csv.xz", lzma.compress)):
        assert read_table(file(pack(PLAIN.encode()), name)).frame.height == 2


@pytest.mark.parametrize(
    ("codec", "text", "named"),
    [
        ("gb18030", "文本,标签\n公司净利润增长,好\n销售下降,坏\n", "GB18030"),
        ("latin-1", "text,label\nMäkelä sold its café,1\nÅbo grew,0\n", "ISO-8859-1"),
        ("cp1252", "text,label\n“Nokia” – rose,1\nfell,0\n", "Windows-1252"),
        ("utf-16", "text,label\ngrün,1\n", "UTF-16"),
    ],
)
def test_other_encodings_are_detected_and_named(file, codec, text, named):
    table = read_table(file(text.encode(codec)))
    assert table.frame.rows()[0] == tuple(text.splitlines()[1].split(","))
    assert any(named in note for note in table.notes)


def test_a_byte_order_mark_is_no_part_of_the_first_name(file):
    assert read_table(file(b"\xef\xbb\xbf" + PLAIN.encode())).frame.columns == ["text", "label"]


def test_json_lines_keep_numbers(file):
    rows = [{"text": "a", "n": 1, "x": 0.5, "ok": True}, {"text": "b", "n": 2, "x": 3, "ok": None, "more": [1]}]
    table = read_table(file("\n".join(map(json.dumps, rows)), "rows.jsonl"))
    assert table.frame.rows() == [("a", 1, 0.5, True, None), ("b", 2, 3.0, None, "[1]")]
    assert "1 of 2 objects" in table.notes[0]


def test_json_numbers_of_any_size(file):
    table = read_table(file('{"a": 1' + "0" * 400 + '}\n{"a": 1}\n', "rows.jsonl"))
    assert table.frame["a"].to_list() == [float("inf"), 1.0]


def test_parquet(tmp_path):
    frame = polars.DataFrame({"text": ["a", "b"], "label": [1, 2]})
    frame.write_parquet(tmp_path / "rows.parquet")
    assert read_table(tmp_path / "rows.parquet", columns=["text"]).frame.equals(frame)


def test_missing_file_and_folder(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "rows.csv", "is empty"),
        (" \n\n", "rows.csv", "is empty"),
        ("text,label\n", "rows.csv", "has a header (text, label) and no rows"),
        ("text,text\na,b\n", "rows.csv", "2 columns named 'text'"),
        ("text,label\na,1\n\nb,1,2\n", "rows.csv", "line 4 of"),
        ("text,label\na,1\n\nb,1,2\n", "rows.csv", "has 3 fields and its first row has 2"),
        ('text,label\n"x",0\n"a,1\nb,2\n', "rows.csv", "broken quote after line 2"),
        ('""\n', "rows.csv", "no field with a value"),
        (b"\x89PNG\x00\x01", "rows.csv", "is binary (a NUL byte at offset 4)"),
        (bytes(range(1, 30)) * 20, "rows.csv", "is binary"),
        (b"\xff\xfea\x00b", "rows.csv", "begins as UTF-16"),
        ('{"a": 1}\n{"a": \n', "rows.jsonl", "line 2 of"),
        ('{"a": 1}\n[1]\n', "rows.jsonl", "line 2 of"),
        ("{}\n{}\n", "rows.jsonl", "2 JSON objects without fields"),
        ('{"a": "\\ud800"}\n', "rows.jsonl", "surrogate"),
        ("[" * 100_000, "rows.jsonl", "nested too deeply"),
        (b"PAR1 nothing PAR1", "rows.parquet", "no readable Parquet file"),
        (b"plain text", "rows.parquet", "no readable Parquet file"),
        (b"\x1f\x8b broken", "rows.csv.gz", "compressed and damaged"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "rows.csv.gz", "compressed and damaged"),
        (b"\xfd7zXZ\x00 broken", "rows.csv.xz", "compressed and damaged"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(file, content, name, message):
    assert message in refused(file(content, name))


def test_misspelt_and_missing_columns(file):
    assert "did you mean 'text'?" in refused(file(PLAIN), columns=["txt"])
    assert "use one of label or text" in refused(file(PLAIN), columns=["sentiment"])
    one_column = refused(file("text label\na 1\n"), columns=["label"])
    assert "has one column, 'text label'" in one_column
    assert "delimiters tried: ',', ';', tab, '|'" in one_column


def test_a_huge_field_is_read(file):
    assert len(read_table(file("text,label\n" + "a" * 300_000 + ",1\n")).frame["text"][0]) == 300_000


def test_load_frame(file):
    assert load_frame(str(file(PLAIN)), ["text"]).frame.height == 2
    with pytest.raises(DataError, match="is an address"):
        load_frame("https://example.org/rows.csv")
