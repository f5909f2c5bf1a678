import json
from collections.abc import Iterator

import plotly.graph_objects as go
import pytest

from crossover.report.blocks import Axis, Chart, Heatmap, Report, Section, Series, Style
from crossover.report.curves import confusion
from crossover.report.figures import chart_figure, chart_table, heatmap_figure, heatmap_table
from crossover.report.html import render_html
from crossover.report.messages import translate
from crossover.report.model import build_report
from unit.report.example_costs import audit_study, scale_study
from unit.report.example_study import compare_study

say = translate("en")
STUDIES = [compare_study, scale_study, audit_study]


def charts(report: Report) -> Iterator[Chart | Heatmap]:
    def within(sections: tuple[Section, ...]) -> Iterator[Chart | Heatmap]:
        for section in sections:
            yield from (block for block in section.blocks if isinstance(block, Chart | Heatmap))
            yield from within(section.parts)

    return within(report.sections)


def figure(chart: Chart | Heatmap) -> dict:
    return chart_figure(chart, say) if isinstance(chart, Chart) else heatmap_figure(chart, say)


@pytest.mark.parametrize("study", STUDIES)
def test_plotly_accepts_every_figure(study) -> None:
    found = list(charts(build_report(study())))
    assert found
    for chart in found:
        assert go.Figure(json.loads(json.dumps(figure(chart)))).data


@pytest.mark.parametrize("study", STUDIES)
def test_every_colour_is_a_variable_that_the_page_defines(study) -> None:
    page = render_html(build_report(study()), say)
    for chart in charts(build_report(study())):
        text = json.dumps(figure(chart))
        names = {part.split(")")[0].removesuffix("-band") for part in text.split("var(")[1:]}
        assert names
        for name in names:
            assert f"{name}: #" in page


def line(**given) -> Chart:
    values = {"x": [1.0, 2.0], "y": [3.0, 4.0], "low": [2.0, 3.0], "high": [4.0, 6.0]} | given
    axes = (Axis("x", log=True), Axis("y"))
    return Chart("c", "title", "description", *axes, (Series("m", Style("recurrent-1"), **values),))


def test_a_band_lies_between_low_and_high() -> None:
    low, high, middle = chart_figure(line(), say)["data"]
    assert (low["y"], high["y"], middle["y"]) == ([2.0, 3.0], [4.0, 6.0], [3.0, 4.0])
    assert high["fill"] == "tonexty"


def test_points_carry_their_interval_as_bars() -> None:
    (points,) = chart_figure(line(kind="points"), say)["data"]
    assert points["error_y"]["array"] == [1.0, 2.0]
    assert points["error_y"]["arrayminus"] == [1.0, 1.0]


def test_close_values_on_a_logarithmic_axis_stay_close() -> None:
    axis = chart_figure(line(x=[100.0, 101.0]), say)["layout"]["xaxis"]
    assert axis["range"] == pytest.approx([1.699, 2.3054], abs=1e-3)
    assert "range" not in chart_figure(line(x=[1.0, 1000.0]), say)["layout"]["xaxis"]


def test_a_long_line_is_told_by_some_points_and_its_last() -> None:
    x = [float(k) for k in range(100)]
    table = chart_table(line(x=x, y=x, low=(), high=()))
    assert len(table.rows) <= 9
    assert table.rows[-1].cells[1].text == "99"


def test_a_matrix_may_have_two_columns_of_one_name() -> None:
    heatmap = Heatmap("h", "t", "d", "read", "right output", ("up",), ("the", "price", "the"), ((0.2, 0.5, 0.3),))
    drawn = heatmap_figure(heatmap, say)
    assert drawn["data"][0]["x"] == [0, 1, 2]
    assert drawn["layout"]["xaxis"]["ticktext"] == ["the", "price", "the"]
    assert [cell.text for cell in heatmap_table(heatmap).rows[0].cells] == ["up", "price 50%, the 30%, the 20%"]


def test_a_confusion_matrix_is_shaded_by_the_share_of_the_row() -> None:
    entry = {"model": "lstm", "labels": ["a", "b"], "confusion": [[3, 1], [0, 0]], "seed": 0}
    heatmap = confusion("task", entry)
    (trace,) = heatmap_figure(heatmap, say)["data"]
    assert trace["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert trace["text"] == [["3", "1"], ["0", "0"]]
    assert [cell.text for cell in heatmap_table(heatmap).rows[0].cells] == ["a", "3", "1"]
