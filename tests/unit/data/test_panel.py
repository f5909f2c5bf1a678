import gzip

import numpy as np
import polars
import pytest

from crossover.data.panel import Roles, read_panel
from crossover.errors import DataError

HOURS = "date,a,b\n2024-01-01 00:00,1,10\n2024-01-01 01:00,2,20\n2024-01-01 02:00,3,30\n"
SHOPS = (
    "shop,day,sales,visitors,promo,kind\n"
    "b,2024-01-01,5,50,0,mall\n"
    "a,2024-01-01,1,10,0,city\n"
    "a,2024-01-02,2,20,1,city\n"
    "b,2024-01-02,6,60,1,mall\n"
    "a,2024-01-03,,,1,city\n"
)
ROLES = Roles(targets=("sales",), id="shop", past=("visitors",), future=("promo",), static=("kind",))


def refused(path, roles=ROLES, **request):
    with pytest.raises(DataError) as caught:
        read_panel(path, roles, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_time_column_is_found(file):
    panel = read_panel(file(HOURS), Roles())
    (series,) = panel.series
    assert panel.channels == ("a", "b")
    assert series.values_TC.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert series.timestamps == ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00"]
    assert panel.notes == ("Column 'date' of rows.csv is read as the time.",)


def test_targets_in_the_order_given(file):
    panel = read_panel(file(HOURS), Roles(targets=("b", "a"), time="date"))
    assert panel.series[0].values_TC[0].tolist() == [10, 1]
    assert panel.notes == ()


def test_no_header_no_time_compressed(file):
    panel = read_panel(file(gzip.compress(b"1.5,2\n3,4\n"), "series.txt.gz"), Roles())
    assert panel.channels == ("channel_1", "channel_2")
    assert panel.series[0].timestamps is None
    assert panel.series[0].values_TC.tolist() == [[1.5, 2], [3, 4]]
    assert "has no header" in panel.notes[0]


def test_parquet_with_dates(tmp_path):
    path = tmp_path / "series.parquet"
    polars.read_csv(HOURS.encode(), try_parse_dates=True).write_parquet(path)
    (series,) = read_panel(path, Roles()).series
    assert series.values_TC.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert series.timestamps[1].startswith("2024-01-01 01:00")


def test_gaps_are_counted_and_located(file):
    path = file("a,b\n,1\n2,NaN\nNA,?\n4,4\n")
    message = refused(path, Roles())
    assert "has 4 gaps (line 2 of 'a', line 3 of 'b', line 4 of 'a' and so on)" in message
    assert "--fill-gaps" in message
    panel = read_panel(path, Roles(), fill_gaps=True)
    assert panel.series[0].values_TC.tolist() == [[2, 1], [2, 2], [3, 3], [4, 4]]
    assert "4 gaps" in panel.notes[-1]
    assert "no number at all" in refused(file("a,b\n1,\n2,\n"), Roles(), fill_gaps=True)


@pytest.mark.parametrize(
    ("content", "roles", "message"),
    [
        ("a,b\n1,2\n3,x\n", Roles(), "line 3, column 'b' of"),
        ("a,b\n1,2\n3,x\n", Roles(), "holds 'x': a number is needed"),
        ("a;b\n1,5;2\n", Roles(), "write decimals with a point"),
        ("a,b\n1,2\n3,inf\n", Roles(), "holds 'inf'"),
        ("a,b\n1,2\n3,1_000\n", Roles(), "holds '1_000'"),
        ("a,b\n1,2\n3\n", Roles(), "line 3 of"),
        ("a,b\n1,2\n", Roles(targets=("c",)), "unknown column 'c'"),
        (HOURS, Roles(time="dat"), "did you mean 'date'?"),
        ("date,a\n2024-01-01,1\nsoon,2\n", Roles(), "line 3, column 'date' of"),
        ("date,a\n2024-01-02,1\n2024-01-01,2\n", Roles(), "line 3 (2024-01-01) comes before line 2"),
        ("date,a\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n", Roles(), "timestamps in column 'date' of"),
        ("date,a\n", Roles(), "no rows"),
        ("date\n2024-01-01\n", Roles(time="date"), "no column beside 'date'"),
        ("", Roles(), "is empty"),
        (SHOPS, Roles(targets=("sales",), id="shops"), "did you mean 'shop'?"),
        (SHOPS.replace("b,2024-01-02", ",2024-01-02"), ROLES, "line 5, column 'shop' of"),
        (SHOPS.replace("6,60,1,mall", "6,60,1,city"), ROLES, "changes within series 'b' ('city', 'mall')"),
        (SHOPS.replace("6,60", "6,"), ROLES, "1 gaps (line 5 of 'visitors')"),
        (SHOPS.replace("2,20,1", "2,20,x"), ROLES, "line 4, column 'promo' of"),
    ],
)
def test_bad_tables_are_refused_with_the_place(file, content, roles, message):
    assert message in refused(file(content), roles)


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
    notes = read_panel(file(content), Roles(time="d")).notes
    if note is None:
        assert notes == ()
    else:
        assert note in notes[0]


def test_the_series_of_a_panel_are_told_apart_by_their_id(file):
    panel = read_panel(file(SHOPS), ROLES)
    b, a = panel.series
    assert (b.id, a.id) == ("b", "a")
    assert b.values_TC.tolist() == [[5], [6]]
    assert b.past_TK.tolist() == [[50], [60]]
    assert (a.static, b.static) == (("city",), ("mall",))
    assert a.timestamps == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert panel.roles.time == "day"


def test_rows_without_a_value_give_the_future_covariates_ahead(file):
    a = read_panel(file(SHOPS), ROLES).series[1]
    assert len(a) == 2
    assert a.future_LK.tolist() == [[0], [1], [1]]
    assert "1 gaps (line 6 of 'sales')" in refused(file(SHOPS), Roles(targets=("sales",), id="shop"))


def test_a_day_first_format_is_found_within_each_series(file):
    days = ["28/01/2024", "05/02/2024", "13/02/2024"]
    content = "id,day,v\n" + "".join(f"{id},{day},1\n" for id in "ab" for day in days)
    for series in read_panel(file(content), Roles(id="id", time="day")).series:
        assert np.all(np.diff(series.seconds_L) == 8 * 86400)


def test_gaps_are_filled_within_their_series(file):
    content = "id,v\na,1\na,\na,3\na,\nb,10\nb,\n"
    a, b = read_panel(file(content), Roles(id="id"), fill_gaps=True).series
    assert a.values_TC.ravel().tolist() == [1, 2, 3, 3]
    assert b.values_TC.ravel().tolist() == [10, 10]


def test_repeated_times_are_refused_within_their_series(file):
    twice = HOURS.replace("02:00", "01:00")
    assert refused(file(twice), Roles()).endswith(
        "are repeated (1, the first at line 4, 2024-01-01 01:00): keep one row for each time, or name with --id the "
        "column that tells series apart"
    )
    told = refused(file(SHOPS.replace("a,2024-01-02", "a,2024-01-01"), "shops.csv"))
    assert "timestamps of series 'a' in column 'day'" in told
    assert told.endswith("(1, the first at line 4, 2024-01-01): keep one row for each time")
