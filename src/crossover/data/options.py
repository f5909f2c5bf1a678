"""What a user may say about data: one value for all tasks, filled from the command line or from Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossover.data.text import Borrowed
from crossover.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the data lie and how to read and split them.

    `data` is a file, a folder or ``hf://OWNER/NAME[:SPLIT]``; `train`, `valid` and `test` name files of a given
    split instead. `split` is ``random``, ``time`` or ``group=COLUMN``; `train_share`, above 0 and at most 1, is how
    much of train is trained on, drawn by `split_seed`. Columns: `text`, `label` (classification), `target`, `time`
    (forecasting; several targets separated by commas), `id` (which series of a panel a row is of), `past`, `future`
    and `static` (covariates, separated by commas; `calendar` takes further ones from the timestamps), `source` and
    `target` (translation; `aligned` is the file whose lines translate those of `data`). `quantiles`
    (``"0.1,0.5,0.9"``) are forecast instead of one value; `backtest` is a number of rolling origins. `settings` are
    the task's own settings (``{"patch": 24, "units": "subwords", "lag": 64}``). `borrowed` is the vocabulary of the
    trained model that the task's models start from. An option that a task does not know is a ConfigError.
    """

    data: str | None = None
    train: Path | None = None
    valid: Path | None = None
    test: Path | None = None
    split: str | None = None
    split_seed: int = 0
    train_share: float = 1.0
    text: str | None = None
    label: str | None = None
    source: str | None = None
    target: str | None = None
    aligned: Path | None = None
    time: str | None = None
    id: str | None = None
    past: str | None = None
    future: str | None = None
    static: str | None = None
    calendar: bool = False
    quantiles: str | None = None
    backtest: int | None = None
    horizon: int | None = None
    window: int | None = None
    deduplicate: bool = False
    rare: Literal["refuse", "drop", "keep"] = "refuse"
    fill_gaps: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    borrowed: Borrowed | None = None

    def __post_init__(self) -> None:
        if not 0 < self.train_share <= 1:
            raise ConfigError(f"--train-share is {self.train_share:g}: give a share above 0 and at most 1")
