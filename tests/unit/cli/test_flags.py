from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from crossover.cli.flags import Changes, DataFlags, TrainFlags
from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.train.settings import TrainSettings


def test_every_option_of_the_data_has_a_flag() -> None:
    options = {
        field.name: field.default for field in fields(DataOptions) if field.name not in ("settings", "borrowed")
    }
    flags = {field.name: field.default for field in fields(DataFlags)}
    assert options.items() <= flags.items()


def test_data_flags_become_options() -> None:
    flags = DataFlags(data="a.csv", text="said", horizon=3, patch=6, units="subwords", tags=True)
    options = flags.options({"vocabulary": 500, "patch": 12})
    assert (options.data, options.text, options.horizon) == ("a.csv", "said", 3)
    assert options.settings == {"vocabulary": 500, "patch": 12, "units": "subwords", "tags": True}, "--set goes first"
    assert DataFlags().options({}) == DataOptions()


def test_train_flags_become_settings_and_set_goes_on_top() -> None:
    flags = TrainFlags(budget="5s", lr=0.1, batch=4, optimizer="sgd", seed=3, patience=2)
    assert flags.settings({}) == TrainSettings(
        budget="5s", learning_rate=0.1, batch=4, optimizer="sgd", seed=3, patience=2
    )
    changed = flags.settings({"batch": 8, "clip": 0.5})
    assert (changed.batch, changed.clip, changed.budget) == (8, 0.5, "5s")
    assert flags.settings({"lr": 0.2}).learning_rate == 0.2
    with pytest.raises(ConfigError, match=r"unknown setting 'train\.clpi': did you mean 'train\.clip'"):
        flags.settings({"clpi": 1})


def test_changes_come_from_a_file_and_from_assignments_on_top(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[train]\nclip = 0.5\nbatch = 4\n[task]\npatch = 6\n[model]\n'attention.heads' = 2\n")
    changes = Changes.read(file, ("train.batch=8", "model.dropout=0.2", "task.units=characters"))
    assert changes.train == {"clip": 0.5, "batch": 8}
    assert changes.task == {"patch": 6, "units": "characters"}
    assert changes.model == {"attention.heads": 2, "dropout": 0.2}
    assert Changes.read(None, ()) == Changes({}, {}, {})


@pytest.mark.parametrize("content", ["clip = 1", "[trian]\nclip = 1", "train = 3"])
def test_other_tables_in_a_file_are_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"settings\.toml: unknown table"):
        Changes.read(file, ())


@pytest.mark.parametrize("item", ["clip=1", "trian.clip=1", "train=1"])
def test_other_assignments_are_refused(item: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown setting '\w+(\.clip)?': .*NAME"):
        Changes.read(None, (item,))
