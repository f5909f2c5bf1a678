"""``crossover report``: rebuild the report of a study."""

from __future__ import annotations

from pathlib import Path

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import finish


def report(study: Path, /, *, common: Common = COMMON) -> int:
    """Write a study's report again, in another language if so asked.

    Parameters
    ----------
    study
        Folder of a study.
    """
    from crossover import api

    finish(api.open_study(study), common)
    return 0
