import gzip

import numpy as np
import polars
import pytest

from crossover.data.series import read_series, read_ts
from crossover.errors import DataError

HOURS = "date,a,b\n2024-01-01 00:00,1,10\n2024-01-01 01:00,2,20\n2024-01-01 02:00,3,30\n"


@pytest.fixture
def file(tmp_path):
    def write(content, name="series.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refused(read, path, **request):
    with pytest.raises(DataError) as caught:
        read(path, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_time_column_is_found(file):
    series = read_series(file(HOURS))
    assert series.channels == ("a", "b")
    assert series.values_TC.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert series.timestamps == ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00"]
    assert series.notes == ("Column 'date' of series.csv is read as the time.",)


def test_targets_in_the_order_given(file):
    series = read_series(file(HOURS), targets=["b", "a"], time="date")
    assert series.values_TC[0].tolist() == [10, 1]
    assert series.notes == ()


def test_no_header_no_time_compressed(file):
    series = read_series(file(gzip.compress(b"1.5,2\n3,4\n"), "series.txt.gz"))
    assert series.channels == ("channel_1", "channel_2")
    assert series.timestamps is None
    assert series.values_TC.tolist() == [[1.5, 2], [3, 4]]
    assert "has no header" in series.notes[0]


def test_parquet_with_dates(tmp_path):
    path = tmp_path / "series.parquet"
    polars.read_csv(HOURS.encode(), try_parse_dates=True).write_parquet(path)
    series = read_series(path)
    assert series.values_TC.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert series.timestamps[1].startswith("2024-01-01 01:00")


def test_gaps_are_counted_and_located(file):
    path = file("a,b\n,1\n2,NaN\nNA,?\n4,4\n")
    message = refused(read_series, path)
    assert "has 4 gaps (line 2 of 'a', line 3 of 'b', line 4 of 'a' and so on)" in message
    assert "--fill-gaps" in message
    series = read_series(path, fill_gaps=True)
    assert series.values_TC.tolist() == [[2, 1], [2, 2], [3, 3], [4, 4]]
    assert "4 gaps" in series.notes[-1]
    assert "no number at all" in refused(read_series, file("a,b\n1,\n2,\n"), fill_gaps=True)


@pytest.mark.parametrize(
    ("content", "request_", "message"),
    [
        ("a,b\n1,2\n3,x\n", {}, "line 3, column 'b' of"),
        ("a,b\n1,2\n3,x\n", {}, "holds 'x': a number is needed"),
        ("a;b\n1,5;2\n", {}, "write decimals with a point"),
        ("a,b\n1,2\n3,inf\n", {}, "holds 'inf'"),
        ("a,b\n1,2\n3,1_000\n", {}, "holds '1_000'"),
        ("a,b\n1,2\n3\n", {}, "line 3 of"),
        ("a,b\n1,2\n", {"targets": ["c"]}, "unknown column 'c'"),
        (HOURS, {"time": "dat"}, "did you mean 'date'?"),
        ("date,a\n2024-01-01,1\nsoon,2\n", {}, "line 3, column 'date' of"),
        (
            "date,a\n2024-01-02,1\n2024-01-01,2\n",
            {},
            "is not sorted by 'date': line 3 (2024-01-01) comes before line 2",
        ),
        ("date,a\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n", {}, "1 timestamps in column 'date'"),
        ("date,a\n", {}, "no rows"),
        ("date\n2024-01-01\n", {"time": "date"}, "no column beside the time"),
        ("", {}, "is empty"),
    ],
)
def test_bad_series_are_refused_with_the_place(file, content, request_, message):
    assert message in refused(read_series, file(content), **request_)


@pytest.mark.parametrize(
    ("stamps", "note"),
    [
        (["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"], "1 of 3 steps of 'd' are not 1 day, the first"),
        (["2024-01-31 00:00", "2024-01-31 06:00", "2024-01-31 12:00"], None),
        (["2024-01-01", "2024-02-01", "2024-03-01"], None),
        (["13.01.2024", "14.01.2024", "15.01.2024"], None),
        (["05/01/2024", "12/01/2024", "19/01/2024"], None),
        (["30/01/2024", "31/01/2024", "01/02/2024"], None),
        (["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+01:00", "2024-01-01T02:00:00Z"], None),
        (["10", "20", "35", "45"], "1 of 3 steps of 'd' are not 10.0"),
    ],
)  # fmt: skip
def test_formats_and_steps_of_time(file, stamps, note):
    content = "v,d\n" + "".join(f"{i},{stamp}\n" for i, stamp in enumerate(stamps))
    notes = read_series(file(content), time="d").notes
    if note is None:
        assert notes == ()
    else:
        assert note in notes[0]


TS = "# made by hand\n@problemName Made\n@univariate false\n@dimensions 2\n@classLabel true up down\n@data\n"


def test_ts_with_unequal_lengths_and_missing_values(file):
    read = read_ts(file(TS + "1,2,3:4,5,6:up\n\n1,?:?,5:down\n", "made.ts"))
    assert [row.shape for row in read.rows] == [(3, 2), (2, 2)]
    assert read.rows[0].dtype == np.float32
    assert read.rows[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert read.rows[1].tolist() == [[1, 5], [1, 5]]
    assert read.labels == ["up", "down"]
    assert "2 missing values" in read.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2:up\n", "line 1 of"),
        (TS, "no series after @data"),
        (TS + "1,2\n", "line 7 of"),
        (TS + "1:2:side\n", "unknown label 'side'"),
        (TS + "1:up\n", "has 1 dimensions and its header says 2"),
        (TS + "1,x:2,3:up\n", "holds 'x'"),
        (TS + "1,2:3:up\n", "different lengths [1, 2]"),
        (TS + "?:1:up\n", "no number in dimension 1"),
        (TS.replace("@dimensions 2\n", "") + "1:2:up\n1:up\n", "series 2 of"),
        (TS.replace("true up down", "false") + "1:2:up\n", "no class labels"),
        ("@timeStamps true\n@classLabel true a\n@data\n(1,2):a\n", "time stamps"),
    ],
)
def test_bad_ts_files_are_refused_with_the_line(file, content, message):
    assert message in refused(read_ts, file(content, "made.ts"))
