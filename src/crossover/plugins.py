"""Mixers, models and tasks of one's own: a Python file that registers them, named by ``--plugin``."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from crossover.errors import ConfigError, CrossoverError

LOADED: list[Path] = []
"""The files that this process has run: ranks that it starts run them too."""


def load_plugins(files: tuple[Path, ...]) -> None:
    """Run each file; one that is missing or fails is a ConfigError that names it."""
    for file in files:
        load_plugin(file)


def load_plugin(file: Path) -> str:
    """Run `file` as a module and return its name."""
    name = f"crossover_plugin_{file.stem}"
    spec = spec_from_file_location(name, file) if file.suffix == ".py" and file.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {file} cannot be loaded: give the path of a Python file that exists")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except CrossoverError:
        raise
    except Exception as error:
        raise ConfigError(f"plugin {file} failed: {type(error).__name__}: {error}") from error
    LOADED.append(file.resolve())
    return name
