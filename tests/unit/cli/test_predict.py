"""``crossover predict``: where the text comes from, and how a language model draws what it adds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from crossover.cli import main
from crossover.cli.predict import predict
from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.tasks.language.modeling import own
from crossover.train.loop import train
from crossover.train.settings import TrainSettings


@pytest.fixture(scope="module")
def language_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("abc")
    (folder / "abc.txt").write_text("abc" * 400, encoding="utf-8")
    task = own(DataOptions(data=str(folder / "abc.txt"), settings={"block": 16, "carry": True}))
    settings = TrainSettings(budget="60steps", learning_rate=0.02, evaluations=2)
    model = parse_model("transformer-xl[width=16,layers=1,memory=8]")
    train(task, model, settings, numerics=Numerics.default(), folder=folder / "run")
    return folder / "run"


def said(capsys: pytest.CaptureFixture[str], *given: object, **options: object) -> str:
    assert predict(*given, **options) == 0  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_prompt_from_standard_input_is_taken_as_it_stands(
    language_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("abcab"))
    assert said(capsys, language_run, "-", tokens=7, temperature=0.0) == "abcab" + "cabcabc" + "\n"


def test_a_single_hyphen_is_a_text_and_an_unknown_option_is_none(
    language_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ab"))
    assert main(["predict", str(language_run), "-", "--tokens", "4", "--top-k", "1"]) == 0
    assert capsys.readouterr().out == "abcabc\n"
    assert main(["predict", str(language_run), "--tokns"]) == 2
    assert "--tokns is no option of predict" in capsys.readouterr().err


def test_what_is_drawn_can_be_narrowed(language_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    likeliest = said(capsys, language_run, "a", tokens=20, temperature=0.0)
    for narrowed in ({"top_k": 1}, {"top_p": 1e-6}):
        assert said(capsys, language_run, "a", tokens=20, temperature=50.0, **narrowed) == likeliest
    assert said(capsys, language_run, "a", tokens=20, temperature=50.0) != likeliest


def test_a_language_model_follows_no_beam(language_run: Path) -> None:
    with pytest.raises(ConfigError, match="leave out --beam"):
        predict(language_run, "a", beam=3)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"beam": 3, "temperature": 1.0}, "give either a beam or a temperature"),
        ({"beam": 3, "top_k": 2}, "give either a beam or a temperature"),
        ({"best": 2}, "the best 2 texts need a beam of as many"),
        ({"best": 0}, "the best 0 texts need a beam of as many"),
        ({"beam": 3, "best": 4}, "the best 4 texts need a beam of as many"),
        ({"beam": 3, "best": 0}, "the best 0 texts need a beam of as many"),
        ({"beam": -1}, "a beam of -1"),
        ({"stream": True}, "--stream hears --file FILE"),
        ({"future_values": Path("x.csv")}, "--future-values belongs to forecasts"),
        ({"file": [Path("x.txt")]}, "give either a text or --file FILE"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    language_run: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        predict(language_run, "a", **options)


def test_a_language_model_reads_no_file(language_run: Path) -> None:
    with pytest.raises(ConfigError, match="a language model goes on with a text"):
        predict(language_run, file=[Path("x.txt")])
