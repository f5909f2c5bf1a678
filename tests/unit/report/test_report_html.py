import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crossover.errors import CheckpointError, ConfigError
from crossover.report.html import render_html, write_report
from crossover.report.messages import translate
from crossover.report.model import build_report
from unit.report.example_costs import audit_study, scale_curve, scale_study
from unit.report.example_study import HEADLINES, compare_study

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, ids and addresses of a page; an unbalanced tag is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.attributes.append((tag, given))
        if given.get("id"):
            self.ids.append(given["id"] or "")
        self.targets += [given[name] or "" for name in ("href", "src") if name in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(study: dict, lang: str = "en") -> tuple[Page, str]:
    text = render_html(build_report(study), translate(lang))
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    return parsed, text


@pytest.mark.parametrize("study", [compare_study, scale_study, audit_study])
def test_ids_are_unique_and_every_link_leads_somewhere_inside(study) -> None:
    parsed, _text = page(study())
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {target for target in parsed.targets if target != "data:,"} <= {f"#{name}" for name in parsed.ids}


@pytest.mark.parametrize(("lang", "code"), [("en", "en"), ("zh", "zh-Hans")])
def test_the_page_names_its_language(lang: str, code: str) -> None:
    parsed, _text = page(compare_study(), lang)
    assert ("html", {"lang": code}) in parsed.attributes


def test_charts_have_alternative_text_and_tables_have_headers() -> None:
    parsed, _text = page(compare_study())
    plots = [given for _tag, given in parsed.attributes if given.get("class") == "plot"]
    assert plots
    assert all(given["role"] == "img" and len(given["aria-label"] or "") > 30 for given in plots)
    headers = [given for tag, given in parsed.attributes if tag == "th"]
    assert {given["scope"] for given in headers} == {"col", "row"}


def test_the_data_cannot_break_out_of_the_page() -> None:
    study = compare_study()
    nasty = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    study["tasks"][HEADLINES]["description"] = nasty
    study["samples"][0]["items"][0]["input"] = nasty
    study["details"][0]["labels"] = [nasty, "b", "c"]
    parsed, text = page(study)
    assert not any(tag == "img" for tag, _given in parsed.attributes)
    assert "<script>alert" not in text


def test_a_sample_is_drawn_with_its_text_as_alternative() -> None:
    study, uri = compare_study(), "data:image/png;base64,iVBORw0KGgo="
    item = study["samples"][0]["items"][0]
    item |= {"input": "a clip of 12 frames", "input_picture": uri, "prediction_picture": "javascript:alert(1)"}
    parsed, text = page(study)
    (picture,) = [given for tag, given in parsed.attributes if tag == "img"]
    assert picture == {"src": uri, "alt": "a clip of 12 frames"}
    assert "javascript:alert" not in text


def test_both_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = write_report(compare_study(), tmp_path / "study", "zh")
    assert path == tmp_path / "study" / "report.html"
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.md"]
    assert "<h1>循环网络与 Transformer 的比较</h1>" in path.read_text(encoding="utf-8")


def test_an_unknown_language_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown language"):
        write_report(compare_study(), tmp_path / "study", "klingon")
    assert not (tmp_path / "study").exists()


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        write_report(compare_study(), tmp_path / "file", "en")


def test_the_chart_library_is_inside_once() -> None:
    _parsed, text = page(scale_study())
    assert len(re.findall(r"plotly\.js v\d", text)) == 1


def test_a_task_name_breaks_after_its_slash() -> None:
    _parsed, text = page(compare_study())
    name = HEADLINES.replace("/", "/<wbr>")
    assert text.count(f">{name}</a>") == text.count(f">{name}</h2>") == text.count(f">{name}</p>") == 1
    assert f'<th scope="row">{name}</th>' in text


def test_a_chart_of_many_curves_is_wide_and_has_room_for_its_legend() -> None:
    few = page(scale_study())[0]
    assert not any("wide" in (given.get("class") or "").split() for _tag, given in few.attributes)
    study = scale_study()
    study["scale"]["curves"] += [scale_curve(name, "recurrent", 0.01, 1.0) for name in ("gru", "elman", "minlstm")]
    many = page(study)[0]
    assert any((given.get("class") or "").split() == ["chart", "wide"] for _tag, given in many.attributes)
    assert any(given.get("style") == "height: 412px" for _tag, given in many.attributes)
