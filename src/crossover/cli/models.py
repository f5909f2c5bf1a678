"""``crossover models``: what can be trained."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_columns, print_document, print_fields
from crossover.plugins import load_plugins

if TYPE_CHECKING:
    from crossover.models.settings import ModelSettings


def models(name: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the models, or tell all about one: formula, cost law, source, an example.

    Parameters
    ----------
    name
        A model, settings in brackets allowed; none lists them all.
    """
    load_plugins(common.plugin)
    from crossover.models.presets import PRESETS, family_of, parse_model

    if name is not None:
        described = _describe(name)
        if common.json:
            print_document({"models": [described]})
        else:
            print_fields(described)
        return 0
    if common.json:
        print_document({"models": [_describe(entry.name) for entry in PRESETS]})
    else:
        print_columns((entry.name, family_of(parse_model(entry.name)), entry.summary) for entry in PRESETS)
    return 0


def _describe(name: str) -> dict[str, Any]:
    from dataclasses import asdict

    from crossover.models.mixers import MIXERS
    from crossover.models.presets import PRESETS, family_of, parse_model

    settings = parse_model(name)
    kinds = [MIXERS.get(mixer) for mixer in settings.mixers]
    family = family_of(settings)
    beside = "lstm" if family == "attention" else "transformer"
    return {
        "name": settings.name,
        "family": family,
        "description": PRESETS.entry(name).summary if name in PRESETS else "+".join(settings.mixers),
        "mixer": "+".join(settings.mixers),
        "formula": "; ".join(dict.fromkeys(kind.formula for kind in kinds)),
        "cost_law": "; ".join(dict.fromkeys(kind.cost_law for kind in kinds)),
        "solvers": "; ".join(dict.fromkeys(kind.solvers_told for kind in kinds)),
        "source": "; ".join(dict.fromkeys(kind.source for kind in kinds)),
        "settings": {key: value for key, value in asdict(settings).items() if key not in ("name", "mixers")},
        "example": shlex.join(
            ["crossover", "compare", _example_task(settings), "--models", f"{settings.name},{beside}"]
        ),
    }


def _example_task(settings: ModelSettings) -> str:
    """An embedded task that shows what the model is for, and admits it."""
    if settings.encoder != "bidirectional":
        return "translation/phrases"
    # Recall has other tokens in its inputs than in its outputs, which tied embeddings do not admit.
    return "language-modeling/python-docs" if settings.tie_embeddings else "recall"
