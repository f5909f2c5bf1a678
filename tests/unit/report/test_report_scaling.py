import pytest

from crossover.report.blocks import Bullets, Chart, Paragraph
from crossover.report.markdown import render_markdown
from crossover.report.messages import translate
from crossover.report.model import build_report, with_defaults
from crossover.report.palette import palette
from crossover.report.scaling import crossing_sentence, scaling_section, scope_sentence
from unit.report.example_costs import all_passes, scale_curve, scale_study


def section(study: dict):
    found = scaling_section(with_defaults(study), palette(study))
    assert found is not None
    return found


def charts(study: dict) -> dict[str, Chart]:
    return {b.name: b for part in section(study).parts for b in part.blocks if isinstance(b, Chart)}


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (
            0,
            "Time of a step: lstm and transformer cross at length 471 (420–540); transformer needs less "
            "below, lstm above.",
        ),
        (
            2,
            "Time of a step: lstm and mingru do not cross between length 64 and 2,048; mingru needs less throughout.",
        ),
    ],
)
def test_crossings_as_sentences(index: int, said: str) -> None:
    scale = scale_study()["scale"]
    sentence = crossing_sentence(scale["crossings"][index], "length", scale["curves"])
    assert translate("en")(sentence) == said


def test_of_two_crossings_each_tells_its_own_sides() -> None:
    def curve(model: str, *bytes_: float) -> dict:
        points = [{"x": x, "peak_bytes": y} for x, y in zip((64, 128, 256, 512), bytes_, strict=True)]
        return {"model": model, "axis": "length", "pass": "train", "points": points}

    curves = [curve("a", 1, 3, 3, 5), curve("b", 2, 2, 4, 4)]
    found = [
        {"a": "a", "b": "b", "measure": "memory", "searched": [64, 512], "at": {"value": v, "low": low, "high": high}}
        for v, low, high in ((90, 64, 128), (180, 128, 256), (360, 256, 512))
    ]
    said = [translate("en")(crossing_sentence(crossing, "length", curves)) for crossing in found]
    sides = [("a", "b"), ("b", "a"), ("a", "b")]
    for sentence, (below, above) in zip(said, sides, strict=True):
        assert sentence.endswith(f"{below} needs less below, {above} above.")


def test_curves_that_swap_without_a_crossing_are_not_ranked() -> None:
    scale = scale_study()["scale"]
    lost = scale["crossings"][0] | {"at": None}
    said = translate("en")(crossing_sentence(lost, "length", scale["curves"]))
    assert said == "Time of a step: no crossing of lstm and transformer is found between length 64 and 2,048."


def test_each_curve_has_its_points_and_its_fitted_slope() -> None:
    chart = charts(scale_study())["time-length-train"]
    assert [series.kind for series in chart.series] == ["points", "fit"] * 3
    lstm, fit = chart.series[:2]
    assert translate("en")(lstm.name) == "lstm (slope 1.00)"
    assert fit.y == pytest.approx(lstm.y)


def test_crossings_are_marked_only_where_they_were_found() -> None:
    found = charts(scale_study())
    assert [round(mark.x) for mark in found["time-length-train"].crossings] == [471, 171]
    assert found["memory-length-train"].crossings == ()


def test_an_unsteady_machine_decides_no_crossing_in_time() -> None:
    study = scale_study()
    study["machine"]["steady"] = False
    study["scale"]["crossings"].append(study["scale"]["crossings"][0] | {"measure": "memory"})
    assert charts(study)["time-length-train"].crossings == ()
    report = build_report(study)
    told = [translate("en")(item) for block in report.summary if isinstance(block, Bullets) for item in block.items]
    assert len(told) == 1
    assert told[0].startswith("Peak memory: ")


def test_each_axis_and_pass_has_a_part_of_its_own() -> None:
    study = scale_study()
    study["scale"]["curves"].append(scale_curve("lstm", "recurrent", 0.001, 0.1, pass_="decode"))
    titles = [translate("en")(part.title) for part in section(study).parts]
    assert titles == ["Cost against length, training", "Cost against length, decoding step by step"]


def test_missing_figures_leave_the_chart_out() -> None:
    study = scale_study()
    for curve in study["scale"]["curves"]:
        curve["exponents"]["memory"] = None
        for point in curve["points"]:
            point["peak_bytes"] = None
    assert set(charts(study)) == {"time-length-train", "flops-length-train"}


def test_a_crossing_names_its_pass_and_is_read_from_that_pass_alone() -> None:
    scale = all_passes()["scale"]
    said = [translate("en")(crossing_sentence(c, "length", scale["curves"])) for c in scale["crossings"]]
    assert said == [
        "Time of a step, training: lstm and transformer cross at length 471 (420–540); transformer needs less below, "
        "lstm above.",
        "Time of a step, encoding whole sequences: lstm and transformer cross at length 471 (420–540); transformer "
        "needs less below, lstm above.",
        "Time of a step, decoding step by step: lstm and transformer do not cross between length 64 and 2,048; "
        "transformer needs less throughout.",
    ]


@pytest.mark.parametrize("study", [scale_study, all_passes])
def test_no_crossing_is_told_twice_in_a_report(study) -> None:
    text = render_markdown(build_report(study()), translate("en"))
    told = [line for line in text.splitlines() if " cross at length" in line or "do not cross" in line]
    assert len(told) == len(study()["scale"]["crossings"])
    assert len(set(told)) == len(told)


def test_the_section_begins_with_the_scope() -> None:
    paragraph = section(scale_study()).blocks[0]
    assert isinstance(paragraph, Paragraph)
    assert translate("en")(paragraph.text).replace("\u00a0", " ") == (
        "Scope: training, width 128–152, 529 k parameters without embedding, 2 layers, batch 4, "
        "a vocabulary of 256, bf16 and a CPU with 2 cores."
    )
    assert translate("zh")(paragraph.text).replace("\u00a0", " ") == (
        "范围：训练、宽度 128–152、参数量 529 k（不计嵌入层）、2 层、批大小 4、词表大小 256、bf16 和 2 核 CPU。"
    )


@pytest.mark.parametrize(
    ("axis", "sizes"),
    [
        ("width", "2 layers, batch 4, length 256"),
        ("depth", "width 128 (lstm), batch 4, length 256"),
        ("batch", "width 128–152, 529 k parameters without embedding, 2 layers, length 256"),
    ],
)
def test_the_scope_leaves_out_what_the_axis_changes(axis: str, sizes: str) -> None:
    study = scale_study()
    for curve in study["scale"]["curves"]:
        curve["axis"] = axis
    said = translate("en")(scope_sentence(study)).replace("\u00a0", " ")
    assert said == f"Scope: training, {sizes}, a vocabulary of 256, bf16 and a CPU with 2 cores."


def test_the_scope_says_no_more_than_the_study_holds() -> None:
    study = scale_study() | {"settings": {}, "numerics": {}}
    for curve in study["scale"]["curves"]:
        del curve["width"], curve["parameters_without_embedding"]
    assert translate("en")(scope_sentence(study)) == "Scope: training and a CPU with 2 cores."
