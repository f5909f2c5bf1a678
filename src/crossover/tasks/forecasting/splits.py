"""Which rows of a panel are train, valid and test: by time, at the same dates for every series, or by folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossover.data.panel import Panel, Series
from crossover.data.splits import time_split
from crossover.errors import ConfigError, DataError
from crossover.tasks.base import Split
from crossover.tasks.forecasting.scaling import Scaling, known_ahead, static_column, statistics_of
from crossover.tasks.forecasting.windows import SplitRows, Windowing, WindowRows, origins_between, windows_between

SHARES = (0.7, 0.1, 0.2)
"""Train, valid and test by time, where a series has no split of its own."""

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One of `count` rolling origins, from 0: the test part is cut into as many spans, one after the other.

    Fold i is tested on span i, validated on what comes directly before it, and trained on all that comes before that.
    """

    index: int
    count: int


@dataclass(frozen=True, kw_only=True)
class SplitPanel:
    """A panel in its own units, and for each split the rows of every series."""

    panel: Panel
    rows: Mapping[Split, tuple[SplitRows, ...]]
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.panel.channels

    @property
    def ids(self) -> tuple[str, ...]:
        """Of every series; one that is cut into files occurs once for each."""
        return tuple(series.id for series in self.panel.series)


def split_by_time(
    panel: Panel, ends: tuple[int, int, int] | None = None, *, fold: Fold | None = None, horizon: int = 1
) -> SplitPanel:
    """The panel with the rows of each split: up to these ends, or by `SHARES`, or as `fold` says.

    Series with times are all cut at the same dates, so that nothing of the test's time is trained on through another
    series: the shares are those of the distinct dates. Without times each series is cut by its own rows. Windows of
    valid and test may read the rows before their split, as is usual for the benchmarks of this kind.
    """
    timed = all(series.seconds_L is not None for series in panel.series)
    if timed:
        axis = np.unique(np.concatenate([_seconds(series) for series in panel.series]))
        cuts = _cuts(len(axis), ends, fold, horizon)
        borders = [_borders(_seconds(series), axis, cuts) for series in panel.series]
    else:
        longest = max(len(series) for series in panel.series)
        _cuts(longest, ends, fold, horizon)
        borders = [_cuts(len(series), ends, fold, None) for series in panel.series]
    names: tuple[Split, Split, Split] = ("train", "valid", "test")
    rows: dict[Split, tuple[SplitRows, ...]] = {
        split: tuple(SplitRows(start=cut[i], stop=cut[i + 1]) for cut in borders) for i, split in enumerate(names)
    }
    return SplitPanel(panel=panel, rows=rows, notes=panel.notes)


def _seconds(series: Series) -> np.ndarray:
    if series.seconds_L is None:
        return np.empty(0)
    return series.seconds_L[: len(series)]


def _borders(seconds_T: np.ndarray, axis: np.ndarray, cuts: Sequence[int]) -> list[int]:
    """The first row of a series at or after each cut of the common axis."""
    last = len(axis)
    return [int(np.searchsorted(seconds_T, axis[cut])) if cut < last else len(seconds_T) for cut in cuts]


def _cuts(count: int, ends: tuple[int, int, int] | None, fold: Fold | None, horizon: int | None) -> list[int]:
    """Where train begins, and where train, valid and test end, of `count` steps; `horizon` None: no check."""
    if ends is None:
        parts = time_split(count, SHARES)
        ends = (len(parts["train"]), len(parts["train"]) + len(parts["valid"]), count)
    elif count < ends[2]:
        raise DataError(f"the series has {count} rows and its split needs {ends[2]}: get it anew")
    if fold is None:
        return [0, *ends]
    tested, valid, count = ends[2] - ends[1], ends[1] - ends[0], ends[2]
    span = tested // fold.count
    if horizon is not None and span < horizon:
        most = tested // horizon
        raise ConfigError(
            f"--backtest is {fold.count}: the last {tested} of {count} steps, which are tested, hold at most {most} "
            f"spans of a horizon of {horizon}: give a number up to {most}"
            if most
            else f"--backtest is {fold.count}: the last {tested} of {count} steps, which are tested, hold no span of "
            f"a horizon of {horizon}: shorten --horizon, or give a longer series"
        )
    begin = count - (fold.count - fold.index) * span
    return [0, begin - valid, begin, begin + span]


def split_by_files(train: Panel, valid: Panel | None, test: Panel, files: tuple[Path, Path]) -> SplitPanel:
    """Panels one after the other; no window reaches from one into another. `files` are those of train and test.

    Without `valid` it is the end of train.
    """
    parts: dict[Split, Panel] = {"train": train, **({"valid": valid} if valid else {}), "test": test}
    for panel in parts.values():
        if panel.channels != train.channels:
            raise DataError(
                f"{files[1]} has the channels {', '.join(panel.channels)}, {files[0]} has "
                f"{', '.join(train.channels)}: name those to use with --target"
            )
    notes = [note for panel in parts.values() for note in panel.notes]
    rows: dict[Split, list[SplitRows]] = {"train": [], "valid": [], "test": []}
    for split, panel in parts.items():
        for series in panel.series:
            whole = SplitRows(start=0, stop=len(series))
            for other in rows:
                rows[other].append(whole if other == split else SplitRows(start=0, stop=0))
    if valid is None:
        share = SHARES[1] / (SHARES[0] + SHARES[1])
        for place, series in enumerate(train.series):
            cut = len(series) - round(share * len(series))
            rows["train"][place] = SplitRows(start=0, stop=cut)
            rows["valid"][place] = SplitRows(start=cut, stop=len(series))
        last = sum(part.stop - part.start for part in rows["valid"])
        notes.append(f"The last {last} rows of {files[0].name} are the validation split.")
    return SplitPanel(
        panel=Panel(series=tuple(s for panel in parts.values() for s in panel.series), roles=train.roles),
        rows={split: tuple(found) for split, found in rows.items()},
        notes=tuple(notes),
    )


def scaling_of(data: SplitPanel, calendar: Sequence[str] = ()) -> Scaling:
    """The statistics of train: targets by series, covariates over all, static columns of the series in train.

    These parts of the `calendar` are known ahead beside the future covariates.
    """
    trained = [
        (series, rows.start, rows.stop)
        for series, rows in zip(data.panel.series, data.rows["train"], strict=True)
        if rows.stop > rows.start
    ]
    found = [statistics_of(series.values_TC[start:stop]) for series, start, stop in trained]
    past = np.concatenate([series.past_TK[start:stop] for series, start, stop in trained])
    future = np.concatenate([known_ahead(series, calendar)[start:stop] for series, start, stop in trained])
    return Scaling(
        ids=tuple(series.id for series, _, _ in trained),
        mean_SC=np.stack([mean_C for mean_C, _ in found]),
        deviation_SC=np.stack([deviation_C for _, deviation_C in found]),
        past=np.stack(statistics_of(past)),
        future=np.stack(statistics_of(future)),
        static=tuple(
            static_column(name, (series.static[place] for series, _, _ in trained))
            for place, name in enumerate(data.panel.roles.static)
        ),
        calendar=tuple(calendar),
    )


def split_windows(
    data: SplitPanel, scaling: Scaling, windowing: Windowing
) -> tuple[dict[Split, WindowRows], list[str]]:
    """The windows of each split, and notes of the series that give none; DataError for a split without any."""
    scaled, notes = scaling.apply(data.panel, windowing.window)
    splits = {split: windows_between(split, scaled, rows, windowing) for split, rows in data.rows.items()}
    return splits, notes[:_SHOWN] + _without_windows(data, windowing)


def _without_windows(data: SplitPanel, windowing: Windowing) -> list[str]:
    """What is said of series too short for a window, in any split or in test."""
    per_split = {split: [len(origins_between(r, windowing)) > 0 for r in rows] for split, rows in data.rows.items()}
    all_ids = list(dict.fromkeys(data.ids))
    if len(all_ids) < 2:
        return []
    used = {id for flags in per_split.values() for id, flag in zip(data.ids, flags, strict=True) if flag}
    tested = {id for id, flag in zip(data.ids, per_split["test"], strict=True) if flag}
    notes = []
    if short := [id for id in all_ids if id not in used]:
        notes.append(
            f"{len(short)} of {len(all_ids)} series are too short for a window of {windowing.window} and a horizon "
            f"of {windowing.horizon} and are left out: {_some(short)}."
        )
    if untested := [id for id in all_ids if id in used and id not in tested]:
        notes.append(f"{len(untested)} of {len(all_ids)} series have no window in test: {_some(untested)}.")
    return notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" and so on" if len(names) > _SHOWN else "")
