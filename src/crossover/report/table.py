"""The study's table as Parquet: one row per model, baselines included, everything nested laid flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossover.config import leaves
from crossover.files import write_file

if TYPE_CHECKING:
    import polars

_BOUNDS = ("value", "low", "high")
_NESTED: dict[str, tuple[str, ...]] = {
    "score": _BOUNDS,
    "step_seconds": _BOUNDS,
    "tokens_per_second": _BOUNDS,
    "latency": ("sequence_p50", "sequence_p99", "step_p50", "step_p99"),
}


def flat_table(study: Mapping[str, Any]) -> polars.DataFrame:
    """The rows of `study` as a data frame; an interval becomes ``score_value``, ``score_low``, ``score_high``.

    The columns are the same whether or not something was measured; what was not is null.
    """
    import polars

    rows = [dict(_flat(row)) for row in study["table"]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = polars.DataFrame([{name: row.get(name) for name in names} for row in rows], infer_schema_length=None)
    figures = [f"{name}_{part}" for name, parts in _NESTED.items() for part in parts]
    return frame.cast({name: polars.Float64 for name in figures if name in frame.columns})


def write_table(study: Mapping[str, Any], path: Path) -> None:
    """Write `flat_table` to `path` as Parquet; CheckpointError where that cannot be written."""
    buffer = BytesIO()
    flat_table(study).write_parquet(buffer)
    write_file(path, buffer.getbuffer())


def _flat(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in _NESTED:
            inner = dict(leaves(value, joint="_")) if isinstance(value, Mapping) else {"value": value}
            for key in _NESTED[name]:
                figure = inner.get(key)
                yield f"{name}_{key}", None if figure is None else float(figure)
        else:
            yield name, str(value) if isinstance(value, Mapping | list) else value
