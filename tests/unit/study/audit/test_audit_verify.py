"""A card settles its claim again: confirmed, refuted, or out of its scope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossover.errors import ConfigError
from crossover.study.audit.card import load_card
from crossover.study.audit.run import run_audit
from crossover.study.audit.verify import compare, verify_card


@pytest.fixture
def card(tmp_path: Path) -> Path:
    document = run_audit(["C3"], tmp_path / "study", device="cpu", precision="fp32")
    return Path(document["claims"][0]["card"])


def changed(card: Path, **values: Any) -> Path:
    held = json.loads(card.read_text(encoding="utf-8"))
    other = card.with_name("other.json")
    other.write_text(json.dumps({**held, **values}), encoding="utf-8")
    return other


def test_a_card_says_who_measured_what_by_which_rule(card: Path) -> None:
    held = json.loads(card.read_text(encoding="utf-8"))
    assert held["version"] == 1 and len(held["rule_hash"]) == 64
    assert held["machine"]["device"] == "cpu" and held["machine"]["torch"]
    assert held["measured"] is False


def test_a_verdict_that_is_found_again_is_confirmed(card: Path, tmp_path: Path) -> None:
    found = verify_card(card, tmp_path / "again")
    assert (found.claim, found.outcome) == ("C3", "confirmed")
    assert found.found is not None and found.found["verdict"] == found.held["verdict"] == "holds"


def test_a_verdict_that_is_not_found_again_is_refuted(card: Path, tmp_path: Path) -> None:
    found = verify_card(changed(card, verdict="does not hold"), tmp_path / "again")
    assert found.outcome == "refuted"
    assert found.reason == "the card says does not hold, and here it is: holds"


def test_the_same_word_with_another_range_is_refuted(tmp_path: Path) -> None:
    document = run_audit(["C32"], tmp_path / "study", device="cpu", precision="fp32")
    card = Path(document["claims"][0]["card"])
    assert verify_card(card, tmp_path / "again").outcome == "confirmed"
    assert verify_card(changed(card, where="LSTM (1995)"), tmp_path / "once more").outcome == "refuted"


def test_a_card_of_a_device_that_is_not_here_is_out_of_scope(card: Path, tmp_path: Path) -> None:
    held = json.loads(card.read_text(encoding="utf-8"))
    elsewhere = changed(card, machine={**held["machine"], "device": "NVIDIA H100"})
    found = verify_card(elsewhere, tmp_path / "again")
    assert (found.outcome, found.found) == ("out of scope", None)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("held", "found", "outcome"),
    [
        ("holds", "holds", "confirmed"),
        ("holds where a", "holds", "refuted"),
        ("holds where a", "holds where b", "refuted"),
        ("holds where a", "holds where a", "confirmed"),
        ("holds", "not decided", "out of scope"),
        ("not decided", "not decided", "confirmed"),
    ],
)
def test_what_a_second_verdict_says_of_the_first(held: str, found: str, outcome: str) -> None:
    assert compare(held, found)[0] == outcome


def test_a_card_of_another_version_or_rule_or_no_card_is_refused(card: Path, tmp_path: Path) -> None:
    held = json.loads(card.read_text(encoding="utf-8"))
    for values, said in (
        ({"version": 2}, "is a card of version 2, this is version 1"),
        ({"rule_hash": "0" * 64}, "was decided by another rule"),
        ({"claim": {**held["claim"], "rule": "guess"}}, "guess"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_card(changed(card, **values))
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "half.json").write_text("{")
    for name, said in (("list.json", "lacks 'version'"), ("half.json", "is no card"), ("none.json", "is no card")):
        with pytest.raises(ConfigError, match=said):
            load_card(tmp_path / name)
