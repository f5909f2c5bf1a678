import numpy as np
import pytest

from crossover.data.series import read_ts
from crossover.errors import DataError


def refused(read, path, **request):
    with pytest.raises(DataError) as caught:
        read(path, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
