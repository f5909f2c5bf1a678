"""What is predicted of ranks that are not here stands in the sentence, and decides nothing."""

from __future__ import annotations

import pytest

from crossover.errors import ConfigError
from crossover.study.audit.card import tell_claim
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Evidence
from crossover.study.audit.experiments.predicted import (
    Foreseen,
    device_seconds,
    exposed_share,
    foretell,
    ratio,
    speed_up,
)
from crossover.study.audit.rules import Finding
from crossover.study.audit.words import english

LAYOUTS = ("data=8", "tensor=8")
SMALL = Foreseen(models=("lstm", "transformer[heads=8]"), layouts=LAYOUTS, length=64, width=256, layers=4, rows=64)


def told(settings: Foreseen, of=speed_up) -> list[str]:
    return [english(line) for line in foretell(settings, of, "times as fast")]


def test_every_model_has_a_sentence_with_every_layout_and_its_interval() -> None:
    lstm, transformer = told(SMALL)
    for sentence, name in ((lstm, "lstm"), (transformer, "transformer[heads=8]")):
        assert sentence.startswith("Predicted, not measured, on NVIDIA A100")
        assert name in sentence and "64 rows of 64, times as fast" in sentence
        assert all(f"{layout} " in sentence for layout in LAYOUTS)


def test_nothing_is_foretold_where_nothing_is_asked() -> None:
    assert foretell(Foreseen(), speed_up, "") == ()


def test_rows_of_every_device_grow_with_the_devices() -> None:
    each = Foreseen(models=("lstm",), layouts=("data=8",), length=64, width=256, layers=4, rows=64, each=True)
    assert "64 rows of 64 a device" in told(each)[0]
    assert told(each)[0] != told(SMALL)[0]


def test_figures_are_of_one_device_and_of_all() -> None:
    seen = []

    def of(one, together):
        seen.append((one, together))
        return speed_up(one, together)

    foretell(Foreseen(models=("lstm",), layouts=("data=8",), length=64, width=256, layers=4, rows=64), of, "")
    ((one, together),) = seen
    assert together.layout.devices == 8 and one.layout.devices == 1
    assert speed_up(one, together).value == pytest.approx(one.step_seconds / together.step_seconds)
    assert device_seconds(one, together).value == pytest.approx(8 / speed_up(one, together).value)
    assert 0 < exposed_share(one, together).value < 1
    assert ratio(one, one).low < 1 < ratio(one, one).high


def test_a_layout_that_a_model_does_not_admit_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="tensor=3 does not divide"):
        Foreseen(layouts=("tensor=3",))


def test_predictions_stand_before_the_scope_and_change_no_verdict() -> None:
    evidence = Evidence(curves=(), scope="here", how=(), foretold=("Predicted: much.",))
    assert Evidence.from_json(evidence.to_json()) == evidence
    finding = Finding(verdict="holds", sentence="It is so.")
    claim, on = built_in_claims()["C3"], {"device": "cpu"}
    card = tell_claim(claim, finding, {"x": evidence}, command="", level="quick", machine=on)
    assert english(card["sentence"]) == "It is so. Scope: here."
    assert list(map(english, card["figures"])) == ["Predicted: much."]
    assert (card["verdict"], card["level"], card["machine"]) == ("holds", "quick", on)
