"""``crossover audit``: common claims, settled by measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import command_line, finish, tell
from crossover.plugins import load_plugins


def audit(
    *claims: str,
    level: Literal["quick", "full"] = "quick",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    out: Path | None = None,
    common: Common = COMMON,
) -> int:
    """Settle common claims about RNNs and Transformers: holds, holds where, does not hold, or not decided.

    Parameters
    ----------
    claims
        Claims by id (C5), or TOML files of your own; all that come with Crossover if none is given.
    level
        quick (all in some 18 minutes on two cores; says which need full) or full (hours).
    device
        auto, cpu, cuda or mps.
    precision
        auto (measured), fp32 or bf16.
    out
        Folder of the study; one that was interrupted is gone on with.
    """
    load_plugins(common.plugin)
    from crossover import api

    study = api.audit(
        claims, level=level, device=device, precision=precision, out=out, tell=tell, command=command_line()
    )
    if common.json:
        study = replace(study, document={**study.document, "claims": spoken(study.document["claims"], common.lang)})
    finish(study, common)
    return 0


def spoken(claims: list[dict[str, Any]], lang: str | None) -> list[dict[str, Any]]:
    """Claims with their sentences said in one language, as programs read them."""
    from crossover.report.messages import stored, translate

    say = translate(lang)
    told = ("statement", "where", "scope", "sentence")
    return [
        {**claim, **{key: say(stored(claim[key])) for key in told if claim[key] is not None}}
        | {lines: [say(stored(line)) for line in claim[lines]] for lines in ("figures", "how")}
        for claim in claims
    ]
