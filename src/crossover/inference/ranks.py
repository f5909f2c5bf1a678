"""A trained model used on several ranks: what they are told, and what each of them does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossover.inference.predictor import Predictor, load
from crossover.parallel.launch import Team, devices_for
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import make_mesh
from crossover.parallel.serving import spread
from crossover.plugins import LOADED, load_plugins


@dataclass(frozen=True, kw_only=True)
class Question:
    """A call of a predictor's method, as values that another process can read."""

    run: Path
    device: str
    layout: Layout
    threads: int
    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    plugins: tuple[Path, ...] = ()


def ask(predictor: Predictor, layout: Layout, method: str, *arguments: Any, **keywords: Any) -> Any:
    """Call a method of `predictor` by its name, its model spread as `layout` says.

    Arguments are picklable. Raises LayoutError where the layout does not fit the model or the devices, TrainingError
    where a rank is lost.
    """
    if layout == Layout():
        return getattr(predictor, method)(*arguments, **keywords)
    numerics = predictor.numerics
    spec = None if predictor.generates else predictor.reader().spec
    layout.check_inference(devices_for(layout, numerics.device), predictor.saved.settings, spec)
    with Team(layout.devices) as team:
        question = Question(
            run=predictor.folder,
            device=numerics.device,
            layout=layout,
            threads=max(1, numerics.threads // team.here),
            method=method,
            arguments=arguments,
            keywords=keywords,
            plugins=tuple(LOADED),
        )
        try:
            return team.run(answer, question)
        finally:
            numerics.apply()


def answer(question: Question) -> Any:
    """This rank's part of the call; every rank has the whole result."""
    load_plugins(tuple(file for file in question.plugins if file not in LOADED))
    whole = load(question.run, device=question.device)
    mesh = make_mesh(question.layout)
    numerics = replace(whole.numerics, threads=question.threads).apply()
    spread(whole.model, question.layout, mesh)
    return getattr(replace(whole, numerics=numerics, mesh=mesh), question.method)(
        *question.arguments, **question.keywords
    )
