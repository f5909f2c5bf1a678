from __future__ import annotations

import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from crossover.cli.flags import DataFlags, TrainFlags
from crossover.data.options import DataOptions
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.study.commands import exact_name, train_command
from crossover.study.contest import prepare_model
from crossover.study.request import CompareRequest
from crossover.train.settings import TrainSettings
from unit.study.tiny_study import record
from unit.train.tiny_task import TinyTask

SPEC = TinyTask(
    defaults={"width": 24, "layers": 3, "dropout": 0.0},
    recipes={"transformer": {"positions": "learned", "lr": 1e-2, "max_length": 64}},
).spec
RUN = record("lstm", 2, 0.9, 0.9, learning_rate=0.0012345678)
FLAGS = {f"--{name.replace('_', '-')}" for cls in (DataFlags, TrainFlags) for name in cls.__dataclass_fields__}


def typed(**changes: object) -> list[str]:
    request = replace(CompareRequest(tasks=("parity",)), **changes)
    return shlex.split(train_command(SPEC, prepare_model("lstm", SPEC), RUN, request))


def pairs(words: list[str]) -> set[tuple[str, str]]:
    return set(pairwise(words))


def same(name: str, model: ModelSettings) -> bool:
    return replace(prepare_model(name, SPEC), name="") == replace(model, name="")


@pytest.mark.parametrize(
    "name",
    [
        "lstm",
        "lstm[width=128]",
        "lstm[dropout=0.1,layers=2]",
        "transformer",
        "transformer[positions=rotary]",
        "transformer[heads=2,width=32]",
        "lstm+attention[attention.heads=2]",
        "llama-like[feed_forward_width=24]",
    ],
)
def test_the_name_enters_the_task_as_the_same_model(name: str) -> None:
    """A value that the user gave is the user's, even if it is the preset's own and the task would change it."""
    model = prepare_model(name, SPEC)
    assert same(exact_name(model, SPEC), model)
    searched = replace(model, dropout=0.2, layers=model.layers + len(model.mixers), width=model.width + 8)
    assert same(exact_name(searched, SPEC), searched)


def test_the_run_is_told_by_its_record_to_the_last_digit() -> None:
    words = typed()
    assert words[:3] == ["crossover", "train", "tiny/sign"]
    assert {("--lr", "0.0012345678"), ("--seed", "2"), ("--batch", "16"), ("--budget", "40steps")} <= pairs(words)
    assert ("--precision", "fp32") in pairs(words)
    assert "--set" not in words and "--data" not in words


def test_every_option_of_the_data_is_told() -> None:
    data = DataOptions(
        data="my texts.csv",
        split="group=author",
        split_seed=3,
        text="said",
        deduplicate=True,
        rare="drop",
        settings={"units": "subwords", "tags": True},
    )
    words = typed(data=data)
    assert {("--data", "my texts.csv"), ("--split", "group=author"), ("--split-seed", "3")} <= pairs(words)
    assert {("--text", "said"), ("--rare", "drop"), ("--set", "task.units=subwords")} <= pairs(words)
    assert ("--set", "task.tags=true") in pairs(words) and "--deduplicate" in words and "--fill-gaps" not in words
    files = typed(data=DataOptions(train=Path("a.csv"), test=Path("b.csv"), fill_gaps=True))
    assert {("--train", "a.csv"), ("--test", "b.csv")} <= pairs(files) and "--fill-gaps" in files


def test_plugins_are_told() -> None:
    assert {("--plugin", "a mixer.py"), ("--plugin", "b.py")} <= pairs(
        typed(plugins=(Path("a mixer.py"), Path("b.py")))
    )


def test_a_split_of_its_own_is_told_by_its_seed() -> None:
    assert ("--split-seed", "2") in pairs(typed(resplit=True))


def test_every_other_setting_of_training_is_told() -> None:
    words = typed(train=TrainSettings(optimizer="sgd", patience=3, clip=0.5, betas=(0.9, 0.95), compile=True, seed=9))
    assert {("--optimizer", "sgd"), ("--patience", "3"), ("--set", "train.clip=0.5")} <= pairs(words)
    assert ("--set", "train.betas=[0.9, 0.95]") in pairs(words) and "--compile" in words
    assert ("--set", "train.batch_by=tokens") in pairs(typed(train=TrainSettings(batch_by="tokens")))


def test_only_flags_that_there_are_are_told() -> None:
    everything = typed(
        data=DataOptions(
            data="d", split="time", time="t", target="x", horizon=2, window=4, label="l", settings={"a": 1}
        ),
        train=TrainSettings(optimizer="sgd", patience=1, compile=True, warmup=0.1),
    )
    assert {word for word in everything if word.startswith("--")} <= FLAGS


def test_a_layout_is_told_where_there_is_one() -> None:
    assert ("--layout", "pipeline=2,chunks=4") in pairs(typed(layout=Layout(pipeline=2, chunks=4)))
    assert "--layout" not in typed()
