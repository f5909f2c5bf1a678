from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module

import pytest

from crossover.cli.flags import DataFlags, TrainFlags
from crossover.cli.tasks import _OWN
from crossover.tasks import TASKS

FLAGS = {f"--{field.name.replace('_', '-')}" for kind in (DataFlags, TrainFlags) for field in fields(kind)}


@pytest.mark.parametrize("name", _OWN)
def test_what_is_told_of_a_task_on_own_files_is_there(name: str) -> None:
    told = _OWN[name]
    module, _, attribute = told["class"].partition(":")
    assert getattr(import_module(module), attribute).__doc__
    named = set(re.findall(r"--[a-z-]+", " ".join([*told["flags"], told["example"]])))
    assert named <= FLAGS
    assert told["example"].split()[0] in TASKS


@pytest.mark.parametrize("name", _OWN)
def test_settings_that_are_told_are_read(name: str) -> None:
    module = import_module(_OWN[name]["class"].partition(":")[0])
    told = set(re.findall(r"task\.(\w+)", " ".join(_OWN[name]["flags"])))
    known = {key for value in vars(module).values() if isinstance(value, dict) for key in value}
    assert told <= known
