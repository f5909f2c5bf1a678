import json
from pathlib import Path

import pytest

from crossover.errors import CheckpointError
from crossover.report.html import write_report
from crossover.report.messages import stored, translate
from crossover.study.audit.card import given
from crossover.study.audit.claim import extract_statements
from crossover.study.audit.run import run_audit
from crossover.study.audit.words import english, listing, number, sentences

TURNED_C3 = """
id = "turned-C3"
statement = "An RNN's parameters grow with the sequence"
experiments = ["parameters"]
rule = "constant"
[parameters]
measure = "parameters"
subjects = ["elman", "lstm", "gru"]
grows = true
"""
TURNED_C5 = """
id = "turned-C5"
statement = "A Transformer layer costs O(T·H² + T²·H)"
experiments = ["flops"]
rule = "cost-form"
[parameters]
terms = ["T·H²", "T²·H"]
subjects = ["attention"]
[quick.flops]
models = ["attention"]
"""
TURNED_C4 = """
id = "turned-C4"
statement = "An RNN layer costs O(T²·H²)"
experiments = ["flops"]
rule = "cost-form"
[parameters]
terms = ["T²·H²"]
subjects = ["elman", "lstm", "gru"]
[quick.flops]
models = ["elman", "lstm", "gru"]
"""


def audit(names: list[str], folder: Path) -> dict:
    return run_audit(names, folder, device="cpu", precision="fp32", command="crossover audit")


def files(folder: Path, *texts: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"claim{index}.toml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


def test_c3_c4_and_c5_are_settled_again_and_turned_round_get_the_opposite(tmp_path: Path) -> None:
    own = files(tmp_path / "own", TURNED_C3, TURNED_C4, TURNED_C5)
    document = audit(["C3", "C4", "C5", *own], tmp_path / "study")
    verdicts = {claim["id"]: claim["verdict"] for claim in document["claims"]}
    in_time = verdicts.pop("C4")
    assert verdicts == {
        "C3": "holds",
        "C5": "does not hold",
        "turned-C3": "does not hold",
        "turned-C4": "does not hold",
        "turned-C5": "holds",
    }
    # Its seconds are fitted too, cell by cell, and beside other tests they may leave some or all of them open.
    assert in_time in ("holds", "holds where", "not decided")


def test_each_claim_has_a_card_and_the_sentence_carries_the_scope(tmp_path: Path) -> None:
    document = audit(["C3"], tmp_path / "study")
    (claim,) = document["claims"]
    card = json.loads(Path(claim["card"]).read_text(encoding="utf-8"))
    assert card["verdict"] == "holds"
    assert card["claim"]["rule"] == "constant"
    assert english(claim["scope"]) in english(claim["sentence"])
    assert "length 64 to 4,096" in english(claim["sentence"])
    assert claim["command"] == "crossover audit C3"
    assert claim["figure"]["x"] == [64, 128, 256, 512, 1024, 2048, 4096]
    assert {s["name"]: s["family"] for s in claim["figure"]["series"]}["gpt"] == "attention"


def test_an_interrupted_audit_keeps_what_is_settled_and_goes_on(tmp_path: Path) -> None:
    (own,) = files(tmp_path / "own", TURNED_C5)

    def interrupt(line: str) -> None:
        if line.startswith("turned-C5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_audit(["C3", own], tmp_path / "study", device="cpu", precision="fp32", tell=interrupt)
    saved = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert [claim["id"] for claim in saved["claims"]] == ["C3"]
    evidence = next((tmp_path / "study" / "evidence").glob("parameters-*.json"))
    before = evidence.stat().st_mtime_ns
    document = run_audit(["C3", own], tmp_path / "study", device="cpu", precision="fp32")
    assert [claim["id"] for claim in document["claims"]] == ["C3", "turned-C5"]
    assert evidence.stat().st_mtime_ns == before


def test_the_folder_of_another_audit_is_refused(tmp_path: Path) -> None:
    audit(["C3"], tmp_path / "study")
    with pytest.raises(CheckpointError, match="holds another study"):
        run_audit(["C3"], tmp_path / "study", level="full", device="cpu", precision="fp32")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_has_a_section_per_claim_in_each_language(tmp_path: Path, lang: str) -> None:
    document = audit(["C3"], tmp_path / "study")
    write_report(document, tmp_path, lang)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    said = translate(lang)(stored(document["claims"][0]["statement"]))
    assert said in page
    assert ("循环" in said or "RNN" in said) if lang == "zh" else said == document["claims"][0]["statement"]


def test_every_template_of_a_finished_card_is_translated(tmp_path: Path) -> None:
    (own,) = files(tmp_path / "own", TURNED_C5)
    document = audit(["C3", own], tmp_path / "study")
    say = translate("zh")
    for claim in document["claims"]:
        for template in templates([claim["sentence"], claim["scope"], *claim["figures"], *claim["how"]]):
            assert say.gettext(template) != template or template in ("{first}, {next}",), template


def templates(said: list) -> set[str]:
    found = set()
    for item in said:
        if isinstance(item, dict):
            found |= {item["message"]} | templates(list(item.get("values", {}).values()))
    return found


def test_statements_and_the_names_of_cases_are_messages_for_translators(tmp_path: Path) -> None:
    (own,) = files(tmp_path / "own", TURNED_C3 + '[[full.quality.cases]]\nname = "one device"\n')
    with Path(own).open("rb") as file:
        found = list(extract_statements(file, {}, [], {}))
    assert found == [(3, "_", "An RNN's parameters grow with the sequence", []), (11, "_", "one device", [])]


def test_words_are_joined_and_numbers_kept_short() -> None:
    assert english(listing(["a", "b", "c"])) == "a, b, c"
    assert english(listing(["a at 1, 2", "b at 1,024"])) == "a at 1, 2; b at 1,024"
    assert english(sentences(["One.", "Two."])) == "One. Two."
    assert listing([]) == ""
    assert [number(value) for value in (4096, 0.5, 1234.5, 100.0)] == ["4,096", "0.5", "1,234", "100"]


def test_what_is_left_empty_in_settings_does_not_count() -> None:
    assert given({"lengths": (8, 16), "data": "", "case": {"shares": ()}}) == {"lengths": [8, 16], "case": {}}


@pytest.mark.parametrize("name", ["C25", "C42", "C43", "C44"])
def test_a_claim_that_quick_does_not_train_for_says_so_in_one_sentence(name: str, tmp_path: Path) -> None:
    (claim,) = audit([name], tmp_path / "study")["claims"]
    assert (
        english(claim["sentence"]) == "Not decided: the level quick does not train for this claim, --level full does."
    )
    assert (claim["verdict"], claim["scope"], claim["how"]) == ("not decided", "", [])
