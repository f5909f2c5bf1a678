import re

import pytest
from markdown_it import MarkdownIt

from crossover.report.markdown import render_markdown
from crossover.report.messages import translate
from crossover.report.model import build_report
from unit.report.example_costs import audit_study, scale_study
from unit.report.example_study import HEADLINES, compare_study

STUDIES = [compare_study, scale_study, audit_study]


def markdown(study: dict, lang: str = "en") -> str:
    return render_markdown(build_report(study), translate(lang))


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_table_is_read_as_one(study, lang: str) -> None:
    text = markdown(study(), lang)
    rules = re.findall(r"^\| (?:---:|:---)", text, flags=re.MULTILINE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) == len(rules) > 0


@pytest.mark.parametrize("study", STUDIES)
def test_it_has_the_sections_of_the_report(study) -> None:
    report = build_report(study())
    headings = re.findall(r"^## (.*)$", markdown(study()), flags=re.MULTILINE)
    say = translate("en")
    assert [re.sub(r"\\(.)", r"\1", h) for h in headings] == [say(section.title) for section in report.sections]


def test_markup_in_the_data_stays_text() -> None:
    study = compare_study()
    study["samples"][0]["items"][0]["input"] = "a | b\n# <b>c</b> `d` *e*"
    html = MarkdownIt("commonmark").enable("table").render(markdown(study))
    assert (
        '<td style="text-align:left">a | b # &lt;b&gt;c&lt;/b&gt; `d` *e*</td>' in html or "a | b # &lt;b&gt;" in html
    )
    assert "<em>e</em>" not in html


def test_charts_are_told_by_their_figures() -> None:
    text = markdown(compare_study())
    section = text[text.index("## sentiment/headlines") : text.index("## classification/digits")]
    assert "**Quality against parameters.**" in section
    assert re.search(r"\| lstm \| 788\W?k \| 0\.912 \(0\.900–0\.924\) \|", section)
    assert HEADLINES in text


def test_passages_that_a_model_writes_stand_beside_the_real_text() -> None:
    study = compare_study()
    task = study["samples"][0]["task"]
    passage = {"input": "To be", "target": " or not", "prediction": " a knot", "decoding": "temperature 0.8"}
    study["samples"] = [{"task": task, "model": "lstm", "items": [passage]}]
    text = markdown(study)
    assert "Passages written by lstm, drawn at temperature 0.8" in text and "how the text goes on" in text
    assert " a knot" in text and "Sample predictions of" not in text


def test_what_an_output_rests_on_is_told_by_its_strongest_units() -> None:
    text = markdown(compare_study())
    assert "What an output of lstm rests on" in text
    assert "| positive | not 36%, fall 30%, Profit 10%, below 8%, did 6% |" in text
