"""Every wrong request: one clear sentence on stderr, nothing on stdout, the right exit code, nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crossover.cli import main

MODEL = "lstm[width=8,layers=1]"
QUICK = ("--budget", "2steps", "--precision", "fp32")

Refused = Callable[..., str]


FORECAST = ("--target", "x", "--time", "day", "--window", "24", "--horizon", "4")

BAD_DATA = {
    "a missing file": (
        ("text-classification", "--data", "nofile.csv"),
        ("nofile.csv does not exist", "give an existing file"),
    ),
    "a folder": (("text-classification", "--data", "others"), ("others is a folder", "give a file")),
    "an empty file": (("text-classification", "--data", "empty.csv"), ("empty.csv is empty", "give a file")),
    "a header alone": (("text-classification", "--data", "header.csv"), ("no rows", "give a file with data")),
    "a wrong delimiter": (
        ("text-classification", "--data", "colons.csv", "--text", "text", "--label", "label"),
        ("one column, 'text:label'", "delimiters tried: ','"),
    ),
    "a misspelt column": (
        ("text-classification", "--data", "good.csv", "--text", "txt"),
        ("unknown column 'txt'", "did you mean 'text'?"),
    ),
    "a missing column": (
        ("text-classification", "--data", "waves.csv"),
        ("no column with a usual name for the text", "give --text", "'day' or 'x'"),
    ),
    "a label with one example": (
        ("text-classification", "--data", "single.csv"),
        ("label 'strange' has one example", "--rare drop", "--rare keep"),
    ),
    "a label that train lacks": (
        ("text-classification", "--train", "good.csv", "--test", "unseen.csv"),
        ("label 'flat' has no example in train", "--rare drop", "--rare keep"),
    ),
    "only one file of a split": (
        ("text-classification", "--train", "good.csv"),
        ("only --train is given", "--test FILE"),
    ),
    "two ways to give data": (
        ("text-classification", "--data", "good.csv", "--train", "good.csv", "--test", "good.csv"),
        ("both --data and files of a split",),
    ),
    "an unknown split": (
        ("text-classification", "--data", "good.csv", "--split", "radnom"),
        ("unknown split 'radnom'", "did you mean 'random'?"),
    ),
    "an unknown group": (
        ("text-classification", "--data", "good.csv", "--split", "group=author"),
        ("unknown column 'author'",),
    ),
    "a gap": (
        ("forecasting", "--data", "gaps.csv", *FORECAST),
        ("2 gaps", "line 52 of 'x', line 53 of 'x'", "--fill-gaps"),
    ),
    "a word among numbers": (
        ("forecasting", "--data", "words.csv", *FORECAST),
        ("line 52, column 'x'", "'hello'", "a number is needed"),
    ),
    "ragged rows": (("forecasting", "--data", "ragged.csv", *FORECAST), ("line 52", "3 fields", "repair it")),
    "unsorted timestamps": (
        ("forecasting", "--data", "unsorted.csv", *FORECAST),
        ("not sorted by 'day'", "sort the rows"),
    ),
    "repeated timestamps": (
        ("forecasting", "--data", "repeated.csv", *FORECAST),
        ("timestamps in column 'day'", "repeated", "(19, the first at line 103, 100)", "keep one row"),
    ),
    "a series that is too short": (
        ("forecasting", "--data", "short.csv", *FORECAST),
        ("too short", "window 24 + horizon 4", "shorten --window"),
    ),
    "an unknown target": (
        ("forecasting", "--data", "waves.csv", "--target", "y"),
        ("unknown column 'y'", "day or x"),
    ),
    "a horizon of zero": (
        ("forecasting", "--data", "waves.csv", "--horizon", "0"),
        ("--horizon is 0", "from 1 up"),
    ),
    "a patch that does not divide": (
        ("forecasting", "--data", "waves.csv", *FORECAST, "--patch", "7"),
        ("does not divide into segments of 7", "such as 12"),
    ),
    "a text that is too short": (
        ("language-modeling", "--data", "short.txt"),
        ("tokens, fewer than block + 1 = 129", "--set task.block"),
    ),
    "no text at all": (("language-modeling",), ("needs a text", "--data FILE")),
    "a damaged .ts file": (("classification", "--data", "series.ts"), ("series.ts", "'x'")),
    "a named data set that is not here": (
        ("forecasting/etth1",),
        ("crossover data get forecasting/etth1", "ETTh1.csv"),
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_used_are_refused(case: str, refused: Refused) -> None:
    (task, *flags), parts = BAD_DATA[case]
    sentence = refused("train", task, MODEL, *flags, *QUICK, "--out", "run")
    for part in parts:
        assert part in sentence, sentence


BAD_REQUESTS = {
    "an unknown command": (("compar",), ("unknown command 'compar'", "did you mean 'compare'?")),
    "a command like no other": (("frobnicate",), ("unknown command", "compare, data, doctor")),
    "an unknown subcommand": (("data", "lst"), ("unknown command 'lst'", "did you mean 'list'?")),
    "an unknown option": (("compare", "--modles", "lstm"), ("--modles", "--models")),
    "an argument given as an option": (
        ("train", "parity", "--model", MODEL),
        ("--model is no option", "write MODEL"),
    ),
    "a word too many": (("train", "parity", MODEL, "extra"), ("'extra'", "leave it out")),
    "a missing argument": (("train", "parity"), ("MODEL", "--help")),
    "a word for a number": (("compare", "--seeds", "many"), ("--seeds", "many", "int")),
    "a word that is no choice": (("compare", "--match", "parms"), ("parms", "params", "flops", "step", "none")),
    "an unknown language": (("compare", "--lang", "xx"), ("unknown language 'xx'", "en")),
    "a budget of zero": (("train", "parity", MODEL, "--budget", "0s"), ("'0s' is not above zero", "60s")),
    "a budget without a unit": (("train", "parity", MODEL, "--budget", "60"), ("'60' has no unit", "500steps")),
    "a budget in words": (("compare", "parity", "--budget", "much"), ("no number with a unit", "3epochs")),
    "an unknown task": (("train", "paritty", MODEL), ("unknown task 'paritty'", "did you mean 'parity'?")),
    "an unknown task to explain": (("tasks", "recal"), ("did you mean 'recall'?",)),
    "an unknown model": (("train", "parity", "lstmm"), ("unknown model 'lstmm'", "did you mean 'lstm'?")),
    "an unknown model to explain": (("models", "transfomer"), ("did you mean 'transformer'?",)),
    "an unknown model setting": (("train", "parity", "lstm[widht=8]"), ("'widht'", "did you mean 'width'?")),
    "a wrong model value": (("train", "parity", "lstm[width=wide]"), ("width='wide'", "integer")),
    "no layers": (("train", "parity", "lstm[layers=0]"), ("layers is 0", "1 or more")),
    "an impossible dropout": (
        ("train", "parity", MODEL, "--set", "model.dropout=1.5"),
        ("dropout is 1.5", "below 1"),
    ),
    "an open bracket": (("compare", "parity", "--models", "lstm[width=8"), ("brackets do not match",)),
    "heads that do not divide": (("train", "parity", "transformer[width=10,heads=4]"), ("heads",)),
    "an unknown training setting": (
        ("train", "parity", MODEL, "--set", "train.clipp=1"),
        ("unknown setting 'train.clipp'", "did you mean 'train.clip'?"),
    ),
    "an unknown table": (("train", "parity", MODEL, "--set", "trian.clip=1"), ("train.NAME",)),
    "a setting without a value": (("train", "parity", MODEL, "--set", "train.clip"), ("write KEY=VALUE",)),
    "an unknown task setting": (
        ("train", "parity", MODEL, "--set", "task.longst=9"),
        ("task 'parity'", "did you mean 'longest'?"),
    ),
    "a wrong task value": (("train", "parity", MODEL, "--set", "task.longest=x"), ("longest=x", "whole number")),
    "no settings file": (("train", "parity", MODEL, "--config", "none.toml"), ("none.toml does not exist",)),
    "a broken settings file": (
        ("train", "parity", MODEL, "--config", "broken.toml"),
        ("broken.toml cannot be read",),
    ),
    "a misspelt settings file": (
        ("train", "parity", MODEL, "--config", "settings.toml"),
        ("unknown setting 'train.budgt'", "did you mean 'train.budget'?"),
    ),
    "a sequence longer than the model's maximum": (
        ("train", "parity", "gpt[width=8,layers=1,heads=2,max_length=20,tie_embeddings=false]"),
        ("rows of parity have up to 320 steps", "max_length=320"),
    ),
    "tied embeddings that cannot be": (("train", "parity", "gpt[width=8,heads=2]"), ("tie_embeddings",)),
    "a batch of zero": (("train", "parity", MODEL, "--batch", "0"), ("batch is 0", "at least 1")),
    "a negative rate": (("train", "parity", MODEL, "--lr", "-1"), ("learning_rate is -1.0", "above 0")),
    "a misspelt device": (("train", "parity", MODEL, "--device", "cud"), ("unknown device", "did you mean 'cuda'?")),
    "more devices than rows": (
        ("scale", "--models", MODEL, "--layout", "data=8"),
        ("data=8 needs as many rows", "a batch has 4", "larger --batch"),
    ),
    "a malformed layout": (("train", "parity", MODEL, "--layout", "date=2"), ("'date'", "did you mean 'data'?")),
    "a latency in nonsense": (
        ("compare", "parity", "--max-latency", "10 parsecs"),
        ("--max-latency '10 parsecs'", "10ms"),
    ),
    "a latency of zero": (("compare", "parity", "--max-latency", "0ms"), ("zero", "positive amount")),
    "a memory in words": (("compare", "parity", "--max-memory", "lots"), ("--max-memory 'lots'", "200MB")),
    "no seeds": (("compare", "parity", "--models", MODEL, "--seeds", "0"), ("--seeds is 0", "1 or more")),
    "the same task twice": (("compare", "parity", "parity"), ("'parity' is given twice",)),
    "an option that one of two tasks does not read": (
        ("compare", "text-classification", "parity", "--data", "good.csv"),
        ("task 'parity' does not read --data", "leave the rest out"),
    ),
    "a setting that one of two tasks does not have": (
        ("compare", "sentiment/headlines", "parity", "--units", "characters"),
        ("task 'parity'", "setting 'units'"),
    ),
    "an encoder where steps must not see ahead": (
        ("compare", "parity", "--models", "lstm[causal=false]"),
        ("causal=false", "needs a causal model"),
    ),
    "an axis that is none": (("scale", "--axis", "lenght=64..128"), ("did you mean 'length'?",)),
    "a file as the study's folder": (
        ("compare", "parity", "--models", MODEL, "--out", "good.csv"),
        ("good.csv is a file", "give a folder"),
    ),
    "other files in the study's folder": (
        ("compare", "parity", "--models", MODEL, "--out", "others"),
        ("others is not empty and holds no study", "another --out"),
    ),
    "a file as the run's folder": (("train", "parity", MODEL, "--out", "good.csv"), ("good.csv is a file",)),
    "other files in the run's folder": (
        ("train", "parity", MODEL, "--out", "others"),
        ("others is not empty and holds no run", "another --out"),
    ),
    "a file among the folders above a run's": (
        ("train", "parity", MODEL, "--out", "good.csv/run"),
        ("cannot write good.csv/run", "choose another --out"),
    ),
    "a file among the folders above a study's": (
        ("compare", "parity", "--models", MODEL, "--out", "good.csv/study"),
        ("cannot write good.csv/study", "choose another --out"),
    ),
    "nothing to resume": (("train", "parity", MODEL, "--resume", "nowhere"), ("no run to go on with", "--out")),
    "no study to report": (("report", "others"), ("others holds no study", "give the folder")),
    "no run to predict with": (("predict", "others", "a text"), ("no finished run and no study", "give the folder")),
    "no run to export": (("export", "nowhere", "--out", "model"), ("no finished run and no study",)),
    "a missing plugin": (("tasks", "--plugin", "none.py"), ("plugin none.py", "a Python file that exists")),
    "a plugin that fails": (("tasks", "--plugin", "plugin.py"), ("plugin.py failed", "a mistake in the plugin")),
    "a file that registers nothing": (("check", "nothing.py"), ("registers nothing", "crossover.MIXERS.add")),
    "files whose lines do not belong together": (
        ("train", "translation", MODEL, "--data", "lines.en", "--aligned", "lines.zh"),
        ("lines.en has 3 lines and lines.zh 2", "line 3 of lines.en has no partner"),
    ),
    "a line without its translation": (
        ("train", "translation", MODEL, "--data", "lines.en", "--aligned", "holes.zh"),
        ("holes.zh is empty where the other file is not, line 2", "fill or delete"),
    ),
    "a misspelt column of translations": (
        ("train", "translation", MODEL, "--data", "pairs.tsv", "--source", "english", "--target", "chinse"),
        ("did you mean 'chinese'?",),
    ),
    "too few pairs": (
        ("train", "translation", MODEL, "--data", "pairs.tsv"),
        ("2 sources are too few to split", "10 or more"),
    ),
    "translation without pairs": (
        ("train", "translation", MODEL),
        ("needs pairs of texts", "--data FILE", "--aligned FILE"),
    ),
    "looks that do not split": (
        ("train", "translation/names", "lstm[cross_heads=7]"),
        ("does not split over cross_heads=7", "change one"),
    ),
    "an unknown data set": (("data", "get", "forecasting/etth"), ("did you mean 'forecasting/etth1'?",)),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_wrong_request_is_answered_in_one_sentence(case: str, refused: Refused) -> None:
    tokens, parts = BAD_REQUESTS[case]
    sentence = refused(*tokens)
    for part in parts:
        assert part in sentence, sentence


def test_the_traceback_of_a_wrong_request_is_shown_only_when_asked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "paritty", MODEL, "--debug"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed and printed.splitlines()[-1].startswith("crossover: unknown task")


@pytest.mark.parametrize("rare", ["drop", "keep"])
@pytest.mark.parametrize("files", [("--data", "single.csv"), ("--train", "good.csv", "--test", "unseen.csv")])
def test_rare_labels_are_dropped_or_kept_when_asked(
    rare: str, files: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (*files, "--rare", rare, *QUICK, "--out", "run", "--json")
    assert main(["train", "text-classification", MODEL, *flags]) == 0
    labels = json.loads(capsys.readouterr().out)["details"]["labels"]
    assert (len(labels) == 2) == (rare == "drop")


def test_gaps_are_filled_when_asked_and_the_report_says_so(here: Path) -> None:
    flags = ("--data", "gaps.csv", *FORECAST, "--fill-gaps", "--models", MODEL, "--seeds", "1", "--no-memory")
    assert main(["compare", "forecasting", *flags, *QUICK, "--out", "study"]) == 0
    document = json.loads((here / "study" / "study.json").read_text(encoding="utf-8"))
    assert "2 gaps" in json.dumps(document["tasks"]["forecasting"]["notes"])


def test_text_in_another_encoding_is_read_and_the_encoding_named(here: Path) -> None:
    good = (here / "good.csv").read_text(encoding="utf-8")
    (here / "latin.csv").write_text(good.replace("tells of", "dévoile été où très élevé à"), encoding="latin-1")
    flags = ("--data", "latin.csv", "--models", MODEL, "--seeds", "1", "--no-memory")
    assert main(["compare", "text-classification", *flags, *QUICK, "--out", "study"]) == 0
    notes = json.loads((here / "study" / "study.json").read_text(encoding="utf-8"))["tasks"]["text-classification"]
    assert "is not UTF-8" in json.dumps(notes["notes"]) and "is read as ISO-8859-1" in json.dumps(notes["notes"])


def test_input_that_a_model_cannot_read_is_refused(here: Path, refused: Refused) -> None:
    assert main(["train", "parity", MODEL, *QUICK, "--out", "run"]) == 0
    assert "'1 0 x' is no row of 'parity': give tokens from 0 to 2" in refused("predict", "run", "1 0 x")
    assert "either a text or --file" in refused("predict", "run")
    assert "nofile.txt does not exist" in refused("predict", "run", "--file", "nofile.txt")


def test_a_file_that_is_not_like_the_one_of_training_is_refused(here: Path, refused: Refused) -> None:
    assert main(["train", "text-classification", MODEL, "--data", "good.csv", *QUICK, "--out", "texts"]) == 0
    (here / "others.csv").write_text((here / "good.csv").read_text().replace("text,", "texts,"), encoding="utf-8")
    assert "did you mean 'texts'?" in refused("predict", "texts", "--file", "others.csv")
    flags = ("--data", "waves.csv", *FORECAST, *QUICK, "--out", "waves")
    assert main(["train", "forecasting", MODEL, *flags]) == 0
    sentence = refused("predict", "waves", "--file", "gaps.csv")
    assert "2 gaps" in sentence and "fill them in the file" in sentence


def test_a_prompt_longer_than_the_models_maximum_is_refused(here: Path, refused: Refused) -> None:
    model = "gpt[width=8,layers=1,heads=2,max_length=32]"
    flags = ("--data", "rhyme.txt", "--set", "task.block=16", *QUICK, "--out", "run")
    assert main(["train", "language-modeling", model, *flags]) == 0
    sentence = refused("predict", "run", "the cat", "--tokens", "100")
    assert "longer than the model's maximum of 32" in sentence and "shorten the prompt" in sentence
