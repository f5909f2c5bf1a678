"""``crossover tasks``: what can be learned."""

from __future__ import annotations

from typing import Any

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_columns, print_document, print_text
from crossover.cli.plugins import load_plugins


def tasks(name: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the tasks, or tell all about one.

    Parameters
    ----------
    name
        A task; none lists them all.
    """
    load_plugins(common.plugin)
    from crossover.data.catalogue import CATALOGUE
    from crossover.tasks import TASKS

    if name is None:
        entries: list[dict[str, Any]] = [
            {
                "name": entry.name,
                "family": entry.name.split("/")[0],
                "embedded": entry.name not in CATALOGUE and not _needs_files(entry.name),
                "description": entry.summary,
            }
            for entry in TASKS
        ]
        if common.json:
            print_document({"tasks": [{**entry, **_figures(entry)} for entry in entries]})
        else:
            print_columns((entry["name"], _source(entry, CATALOGUE), entry["description"]) for entry in entries)
        return 0
    spec = _spec(name)
    if common.json:
        print_document({"tasks": [spec]})
    else:
        print_text("\n".join(f"{key}: {value}" for key, value in spec.items() if value not in (None, [], {})))
    return 0


def _needs_files(name: str) -> bool:
    """Families by themselves (``forecasting``) read the user's own files."""
    from crossover.tasks import TASKS

    return any(other.startswith(f"{name}/") for other in TASKS.names()) or name == "text-classification"


def _source(entry: dict[str, Any], catalogue: Any) -> str:
    if entry["name"] in catalogue:
        return "by name"
    return "embedded" if entry["embedded"] else "your files"


def _figures(entry: dict[str, Any]) -> dict[str, Any]:
    """Metric of an embedded task; the others are known when their data are read."""
    if not entry["embedded"]:
        return {"metric": None, "higher_is_better": None}
    spec = _spec(entry["name"])
    return {"metric": spec["metric"], "higher_is_better": spec["higher_is_better"]}


def _spec(name: str) -> dict[str, Any]:
    from crossover.data.options import DataOptions
    from crossover.tasks import TASKS

    factory = TASKS.get(name)
    task = factory(DataOptions())
    spec = task.spec
    return {
        "name": spec.name,
        "family": spec.family,
        "description": spec.description,
        "definition": " ".join((factory.__doc__ or "").split("\n\n")[0].split()),
        "metric": spec.metric,
        "higher_is_better": spec.higher_is_better,
        "objective": spec.objective,
        "embedded": spec.embedded,
        "causal": spec.causal,
        "margin": spec.margin,
        "budget": spec.budget,
        "rows": {split: task.size(split) for split in ("train", "valid", "test")},
        "notes": list(spec.notes),
        "references": [f"{r.name}: {r.metric} {r.score} ({r.source})" for r in spec.references],
        "example": f"crossover compare {spec.name} --models lstm,transformer",
    }
