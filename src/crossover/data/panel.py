"""Numeric series from one table: a single one, or a panel in long form (a row for each series and time).

Shape suffixes: T steps of a series, C its channels, K covariates, L steps for which a covariate is known (L >= T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crossover.data.columns import Columns, fill_or_refuse, is_number, read_columns, read_numbers
from crossover.data.tables import on_one_line
from crossover.data.timestamps import check_order, parse_timestamps
from crossover.errors import DataError, unknown

_NOTED = 3
"""So many series are noted one by one."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the columns of a table are: names of columns.

    `targets` are all that are nothing else where none is named. `past` covariates are known up to now, `future` ones
    for the steps ahead too, `static` ones are constant in each series. `id` tells the series of a panel apart.
    """

    targets: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Every name, once."""
        single = [name for name in (self.id, self.time) if name is not None]
        return tuple(dict.fromkeys([*single, *self.targets, *self.past, *self.future, *self.static]))


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series: `values_TC` float64, its covariates, and its times as seconds (or numbers) and as written.

    `future_LK` may go on beyond the last value: those rows of the file have no value of any target. So may
    `seconds_L` and `timestamps`; both are None without times.
    """

    id: str
    values_TC: np.ndarray
    past_TK: np.ndarray
    future_LK: np.ndarray
    static: tuple[str, ...] = ()
    seconds_L: np.ndarray | None = None
    timestamps: list[str] | None = None

    def __len__(self) -> int:
        return len(self.values_TC)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Series of the same channels; `notes` say, one sentence each, what was found out or filled in reading them.

    `roles` are those asked for, with the columns that were found for targets and time.
    """

    series: tuple[Series, ...]
    roles: Roles
    notes: tuple[str, ...] = field(default=())

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.roles.targets


def single_series(
    values_TC: np.ndarray, channels: tuple[str, ...], notes: tuple[str, ...] = (), timestamps: list[str] | None = None
) -> Panel:
    """One series that stands in memory, as a panel."""
    nothing_T0 = np.empty((len(values_TC), 0))
    seconds = None
    if timestamps is not None:
        seconds = parse_timestamps(timestamps, "time", [f"row {i}" for i in range(len(timestamps))], Path())
    series = Series(
        id="",
        values_TC=values_TC,
        past_TK=nothing_T0,
        future_LK=nothing_T0,
        seconds_L=seconds,
        timestamps=timestamps,
    )
    return Panel(series=(series,), roles=Roles(targets=channels), notes=notes)


def read_panel(path: Path, roles: Roles, *, fill_gaps: bool = False) -> Panel:
    """The series of a CSV, TSV, JSON lines or Parquet file, each in the order of its rows.

    Without `roles.time` the first column that is nothing else is taken if it holds timestamps. A file without a
    header (its first row is all numbers) has the channels ``channel_1`` and so on. Gaps (empty, NaN, NA, ?) are
    interpolated within their series with `fill_gaps`, at the ends the nearest value is repeated. Where there are
    `future` covariates, rows at the end of a series without a value of any target give them for the steps ahead.

    Raises DataError: a cell that is no number (line, column and value named), gaps without `fill_gaps` (counted and
    located), timestamps that cannot be read, are repeated or go back, a row without an id, a static covariate that
    changes, an unknown column (did you mean …).
    """
    columns = read_columns(path, roles.named)
    for name in roles.named:
        if name not in columns.values:
            raise DataError(f"{path}: {unknown('column', name, columns.values)}")
    notes = list(columns.notes)
    found = roles
    if roles.time is None and (time := _find_time(columns, roles)) is not None:
        found = replace(found, time=time)
        notes.append(f"Column {time!r} of {path.name} is read as the time.")
    if not found.targets:
        others = tuple(name for name in columns.values if name not in found.named)
        if not others:
            raise DataError(f"{path} has no column beside {_listed(found.named)}: give a file with a numeric column")
        found = replace(found, targets=others)
    groups = _groups(columns, found, path)
    stamps, seconds, order_notes = _times(columns, found, groups, path)
    advice = "write one in the file" if roles.targets else "name other columns with --target"
    targets = [read_numbers(columns.values[name], name, columns.places, path, advice) for name in found.targets]
    values_TC = np.stack(targets, axis=1)
    known = {id: _known(values_TC[rows], bool(found.future), id, path) for id, rows in groups.items()}
    up_to_now = {id: rows[: known[id]] for id, rows in groups.items()}
    values_TC, filled = _filled(values_TC, found.targets, columns, path, fill_gaps, up_to_now)
    past_TK, filled_past = _covariates(columns, found.past, path, fill_gaps, up_to_now)
    future_TK, filled_future = _covariates(columns, found.future, path, fill_gaps, groups)
    series = tuple(
        Series(
            id=id,
            values_TC=values_TC[up_to_now[id]],
            past_TK=past_TK[up_to_now[id]],
            future_LK=future_TK[rows],
            static=_static(columns, found.static, id, rows, path),
            seconds_L=None if seconds is None else seconds[rows],
            timestamps=None if stamps is None else [stamps[row] for row in rows],
        )
        for id, rows in groups.items()
    )
    notes += [*order_notes, *filled, *filled_past, *filled_future]
    return Panel(series=series, roles=found, notes=tuple(notes))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _find_time(columns: Columns, roles: Roles) -> str | None:
    """The first column without a role if its first value is no number and reads as a timestamp."""
    free = [name for name in columns.values if name not in roles.named]
    if not free or (len(free) == 1 and not roles.targets):
        return None
    value = columns.values[free[0]][0]
    first = "" if value is None else str(value).strip()
    if not first or is_number(first):
        return None
    try:
        parse_timestamps([first], free[0], columns.places, Path())
    except DataError:
        return None
    return free[0]


def _groups(columns: Columns, roles: Roles, path: Path) -> dict[str, np.ndarray]:
    """The rows of each series by its id, in the order of first rows; one series, named "", without an id."""
    if roles.id is None:
        return {"": np.arange(len(columns.places))}
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(columns.values[roles.id]):
        text = "" if value is None else on_one_line(str(value))
        if not text:
            raise DataError(
                f"{columns.places[row]}, column {roles.id!r} of {path} is empty: name the series of every row"
            )
        rows.setdefault(text, []).append(row)
    return {text: np.array(members) for text, members in rows.items()}


def _times(
    columns: Columns, roles: Roles, groups: dict[str, np.ndarray], path: Path
) -> tuple[list[str] | None, np.ndarray | None, list[str]]:
    """Timestamps as written and in seconds, by row, checked within each series; and notes of their steps."""
    if roles.time is None:
        return None, None, []
    stamps = ["" if value is None else on_one_line(str(value)) for value in columns.values[roles.time]]
    rows = np.concatenate(list(groups.values()))
    starts = np.cumsum([0, *(len(members) for members in groups.values())])[:-1].tolist()
    seconds = np.empty(len(stamps))
    seconds[rows] = parse_timestamps(
        [stamps[row] for row in rows], roles.time, [columns.places[row] for row in rows], path, starts
    )
    notes: list[str] = []
    for id, members in groups.items():
        texts, places = [stamps[row] for row in members], [columns.places[row] for row in members]
        notes += check_order(seconds[members], texts, roles.time, places, path, id)
    if len(notes) > _NOTED:
        notes = [*notes[:_NOTED], f"So it is in {len(notes) - _NOTED} more series of {path.name}."]
    return stamps, seconds, notes


def _known(values_TC: np.ndarray, ahead: bool, id: str, path: Path) -> int:
    """Number of rows up to the last with a value; all of them where no covariate may go on beyond it."""
    if not ahead:
        return len(values_TC)
    valued = np.flatnonzero(~np.isnan(values_TC).all(axis=1))
    if len(valued) == 0:
        of = f" of series {id!r}" if id else ""
        raise DataError(f"{path} has no value of any target{of}: give a file with values to forecast from")
    return int(valued[-1]) + 1


def _filled(
    values_TC: np.ndarray,
    names: Sequence[str],
    columns: Columns,
    path: Path,
    fill_gaps: bool,
    groups: dict[str, np.ndarray],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Gaps filled in the rows of `groups`; what lies outside them is left as it is."""
    rows = np.sort(np.concatenate(list(groups.values())))
    places = [columns.places[row] for row in rows]
    inside = {id: np.searchsorted(rows, members) for id, members in groups.items()}
    filled_TC, notes = fill_or_refuse(values_TC[rows], names, places, path, fill_gaps=fill_gaps, groups=inside)
    whole_TC = values_TC.copy()
    whole_TC[rows] = filled_TC
    return whole_TC, notes


def _covariates(
    columns: Columns, names: tuple[str, ...], path: Path, fill_gaps: bool, groups: dict[str, np.ndarray]
) -> tuple[np.ndarray, tuple[str, ...]]:
    advice = "name other covariates"
    numbers = [read_numbers(columns.values[name], name, columns.places, path, advice) for name in names]
    if not numbers:
        return np.empty((len(columns.places), 0)), ()
    return _filled(np.stack(numbers, axis=1), names, columns, path, fill_gaps, groups)


def _static(columns: Columns, names: tuple[str, ...], id: str, rows: np.ndarray, path: Path) -> tuple[str, ...]:
    """The value of each static covariate of a series, as text."""
    found = []
    for name in names:
        values = {"" if (v := columns.values[name][row]) is None else on_one_line(str(v)) for row in rows}
        if len(values) > 1:
            of = f"series {id!r}" if id else "the series"
            raise DataError(
                f"static column {name!r} of {path} changes within {of} ({_listed(sorted(values)[:3])}): "
                f"give it with --past or --future"
            )
        found.append(values.pop())
    return tuple(found)
