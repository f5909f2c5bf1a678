"""Series in memory for tests, as they are or already in z-scores."""

from __future__ import annotations

import numpy as np

from crossover.data.panel import Panel, Series
from crossover.tasks.forecasting.scaling import ScaledPanel


def scaled(*series: np.ndarray) -> ScaledPanel:
    """Series [T, C] that are z-scores as they stand."""
    channels = series[0].shape[1]
    return ScaledPanel(
        values_TC=np.concatenate(series).astype(np.float32),
        begins_S=np.cumsum([0, *map(len, series)])[:-1],
        mean_SC=np.zeros((len(series), channels)),
        deviation_SC=np.ones((len(series), channels)),
    )


def panel_csv(panel: Panel, *, ahead: bool = True) -> str:
    """The panel as a CSV in long form, its planned rows beyond the last value too if `ahead`."""
    roles = panel.roles
    lines = [",".join([roles.id, roles.time, *roles.targets, *roles.past, *roles.future, *roles.static])]
    for series in panel.series:
        for step in range(len(series.future_LK) if ahead else len(series)):
            lines.append(",".join(_cells(series, step)))
    return "\n".join(lines) + "\n"


def _cells(series: Series, step: int) -> list[str]:
    known = step < len(series)
    values = [str(v) if known else "" for v in (series.values_TC[step] if known else series.values_TC[0])]
    past = [str(v) if known else "" for v in (series.past_TK[step] if known else series.past_TK[0])]
    return [series.id, series.timestamps[step], *values, *past, *map(str, series.future_LK[step]), *series.static]
