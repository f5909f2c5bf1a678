"""Data sets of the Hugging Face hub, through the optional `datasets` package."""

from __future__ import annotations

import re
from typing import Any

from crossover.data.tables import Table
from crossover.errors import DataError, unknown

_SOURCE = re.compile(r"hf://(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<split>[\w.-]+))?")


def parse_source(source: str) -> tuple[str, str | None]:
    """``hf://OWNER/NAME[:SPLIT]`` to (``OWNER/NAME``, split or None); anything else is a DataError."""
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise DataError(f"{source!r} is no hub data set: write hf://OWNER/NAME or hf://OWNER/NAME:SPLIT")
    return match["name"], match["split"]


def load_hub(source: str) -> Table:
    """The rows of a hub data set; without a split its only one, or else "train".

    Raises DataError where the package is missing, the data set or split does not exist, or the hub is out of reach.
    """
    name, split = parse_source(source)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(f"{source} needs the datasets package: pip install datasets") from error
    try:
        splits = load_dataset(name)
    except Exception as error:
        raise DataError(
            f"{source} cannot be loaded ({_reason(error)}): check the name and the network, or give a file"
        ) from error
    chosen = split or _only(splits)
    if chosen not in splits:
        raise DataError(f"{source}: {unknown('split', chosen, splits)}")
    rows = splits[chosen]
    if len(rows) == 0:
        raise DataError(f"{source} has no rows in its split {chosen!r}: choose another of {', '.join(splits)}")
    return Table(rows.to_polars(), (f"{len(rows)} rows of the split {chosen!r} of {name} are read from the hub.",))


def _only(splits: dict[str, Any]) -> str:
    return next(iter(splits)) if len(splits) == 1 else "train"


def _reason(error: Exception) -> str:
    """The first line of what the hub's client says, which may fill a screen."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
