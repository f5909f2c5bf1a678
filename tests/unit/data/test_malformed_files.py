"""Malformed bytes to every reader: each gives a value or a DataError of one line, and neither hangs nor breaks.

Together 2,000 files; CROSSOVER_FUZZ multiplies them (see benchmarks/fuzz_readers.py).
"""

import gzip
import io
import lzma
import os
from datetime import timedelta

import polars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossover.data.encoding import read_text
from crossover.data.panel import Roles, read_panel
from crossover.data.series import read_ts
from crossover.data.tables import read_table
from crossover.errors import DataError

TIMES = int(os.environ.get("CROSSOVER_FUZZ", "1"))
TABLE = b'text,label,value\ngood news,up,1.5\n"bad, ""old"" news",down,-2\nnone,up,3e4\n'
SERIES = b"date,a,b\n2024-01-01,1,2.5\n2024-01-02,2,\n2024-01-03,3,1e3\n2024-01-05,4,-7\n"
JSON_LINES = (
    '{"text": "gr\u00fcn", "n": 1, "x": null}\n{"text": "b", "n": 2.5, "x": [1, {"y": "\\u4e2d"}]}\n'.encode()
)
TS = b"@problemName P\n@dimensions 2\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n1,?:7,8:b\n"


def _parquet():
    stream = io.BytesIO()
    polars.DataFrame({"text": ["a", "b"] * 20, "n": list(range(40)), "x": [0.5, None] * 20}).write_parquet(stream)
    return stream.getvalue()


def _damaged(content):
    """`content` with a piece cut out, doubled, overwritten or inserted, a few times."""
    piece = st.binary(max_size=6) | st.sampled_from(
        [b'"', b",", b"\n", b"\r", b";", b"\t", b"|", b"\x00", b"\xff", b"\xef\xbb\xbf", b"{", b"[", b"NaN", b"1e999",
         b":", b"@", b"?", b"\xc3\xa9", b"\xb9\xab", b"\xe9", b"9999999999999999999999", b"\\ud800", b"-", b"@data"]
    )  # fmt: skip
    edit = st.tuples(st.integers(0, len(content)), st.integers(0, 8), piece)

    def apply(edits):
        damaged = content
        for start, length, inserted in edits:
            damaged = damaged[:start] + inserted + damaged[start + length :]
        return damaged

    return st.lists(edit, min_size=1, max_size=6).map(apply)


def _lines(alphabet):
    return st.text(alphabet, max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass"))


def _packed(contents):
    packer = st.sampled_from([bytes, gzip.compress, lzma.compress])
    cut = st.integers(0, 30)
    return st.tuples(contents, packer, cut).map(lambda t: t[1](t[0])[: -t[2] or None])


def files(number):
    return settings(
        max_examples=number * TIMES,
        deadline=timedelta(seconds=20),
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def outcome(read, path, content, **request):
    """Writes and reads; anything but a value or a DataError of one line is a failure."""
    path.write_bytes(content)
    try:
        return read(path, **request)
    except DataError as error:
        assert "\n" not in str(error)
        return None


@files(600)
@given(content=_damaged(TABLE) | _lines('ab1,;\t|"\n\r é净') | st.binary(max_size=200))
def test_delimited_tables(tmp_path, content):
    table = outcome(read_table, tmp_path / "rows.csv", content)
    assert table is None or table.frame.height > 0


@files(340)
@given(content=_damaged(JSON_LINES) | _lines('{}[]":,01ae.nul\n\\ -'), suffix=st.sampled_from(["jsonl", "txt"]))
def test_json_lines(tmp_path, content, suffix):
    table = outcome(read_table, tmp_path / f"rows.{suffix}", content)
    assert table is None or table.frame.height > 0


@files(20)
@given(content=_damaged(_parquet()))
def test_parquet(tmp_path, content):
    table = outcome(read_table, tmp_path / "rows.parquet", content)
    assert table is None or table.frame.width > 0


@files(500)
@given(
    content=_damaged(SERIES) | _lines("0123456789.,-:/ \nTZeE+aN;"),
    fill_gaps=st.booleans(),
    time=st.sampled_from([None, "date", "a"]),
)
def test_series(tmp_path, content, fill_gaps, time):
    panel = outcome(read_panel, tmp_path / "series.csv", content, roles=Roles(time=time), fill_gaps=fill_gaps)
    if panel is not None:
        (series,) = panel.series
        assert series.values_TC.shape[1] == len(panel.channels)
        assert abs(series.values_TC).max() < float("inf")
        assert series.timestamps is None or len(series.timestamps) == len(series.values_TC)


@files(300)
@given(content=_damaged(TS) | _lines("@data classLabel true:?,.1-\n"))
def test_ts(tmp_path, content):
    read = outcome(read_ts, tmp_path / "made.ts", content)
    if read is not None:
        assert len(read.rows) == len(read.labels) > 0
        assert all(abs(row).max() < float("inf") for row in read.rows)


@files(250)
@given(content=_packed(st.binary(max_size=200) | _lines("aé净\x00 \n")))
def test_text_of_any_bytes(tmp_path, content):
    decoded = outcome(read_text, tmp_path / "text", content)
    if decoded is not None:
        assert decoded.text.encode("utf-8").decode("utf-8") == decoded.text
        assert all(note.endswith(".") for note in decoded.notes)
