"""Trained models that others start from: what they are, how they read texts, and what is taken of their weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossover.data.text import Borrowed, Vocabulary, vocabulary_from_json
from crossover.errors import ConfigError, listing
from crossover.inference.run_folders import run_folder
from crossover.inference.saved import WEIGHTS_FILE, load_model
from crossover.models.backbones import mixer_settings
from crossover.models.model import SequenceModel
from crossover.models.ports import Outputs, PerStep, Tokens
from crossover.models.presets import bracket_keys, is_checkpoint, parse_model, preset_name, with_setting
from crossover.models.settings import ModelSettings

_FREE = ("name", "origin", "fresh", "learning_rate", "dropout", "causal", "embedding_std")
"""Settings that may differ from the origin's: they change no weight that is taken, or its shape tells."""
_HEAD, _FEATURES = "head.", "embedding.features."
_UNTIED = ("embedding.tokens.weight", _FEATURES)


@dataclass(frozen=True)
class Origin:
    """A trained model that others start from; `outputs` is None where its head is none of ours."""

    name: str
    settings: ModelSettings
    causal: bool
    outputs: Outputs | None
    vocabulary: Vocabulary
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Start:
    """What a model takes of an origin: the names of its parameters that are the origin's, and of the new ones."""

    taken: tuple[str, ...]
    anew: tuple[str, ...]


def find_origin(name: str) -> Origin:
    """The model in a run's folder (or that a study recommends), or the checkpoint that ``KIND:PATH`` names.

    Raises ConfigError for a model that reads no texts, CheckpointError for a folder that cannot be read.
    """
    loader: Any = _load_run
    if is_checkpoint(name):
        from crossover.inference.checkpoints import checkpoint_folder, load_checkpoint

        loader, folder = load_checkpoint, checkpoint_folder(name)
    else:
        folder = run_folder(Path(name))
    weights = folder / WEIGHTS_FILE
    return _cached(loader, name, folder, weights.stat().st_mtime_ns if weights.is_file() else 0)


@lru_cache(maxsize=4)
def _cached(load: Any, name: str, folder: Path, changed: int) -> Origin:
    """Loaded once, and again when the weights have `changed`."""
    found: Origin = load(name, folder)
    return found


def _load_run(name: str, folder: Path) -> Origin:
    model, saved = load_model(folder)
    if not isinstance(saved.inputs, Tokens) or "vocabulary" not in saved.artifacts:
        raise ConfigError(
            f"{name} was trained on {saved.task}, which reads no single text: start from a model of texts, such as "
            "one trained on masked-language-modeling or language-modeling"
        )
    vocabulary = vocabulary_from_json(saved.artifacts["vocabulary"])
    return Origin(name, saved.settings, saved.causal, saved.outputs, vocabulary, model.state_dict())


def borrowed_vocabulary(models: Iterable[str]) -> Borrowed | None:
    """The vocabulary of the origins of the named models, None where none has one; ConfigError where they differ."""
    names = dict.fromkeys(parse_model(model).origin for model in models)
    origins = [find_origin(name) for name in names if name is not None]
    if not origins:
        return None
    first, *others = origins
    for other in others:
        if other.vocabulary.to_json() != first.vocabulary.to_json():
            raise ConfigError(
                f"{first.name} and {other.name} have different vocabularies, and a task reads its texts by one: "
                "compare them apart, or train both on the same texts"
            )
    return Borrowed(first.vocabulary, first.name)


def with_origins(models: Sequence[str], origins: Sequence[str]) -> list[str]:
    """The models with those that an origin is of replaced by two: started from it, and its size with new weights.

    Raises ConfigError for an origin that none of the models is of, and for two of the same kind.
    """
    by_kind: dict[str, str] = {}
    for origin in (name.strip() for name in origins):
        kind = preset_name(find_origin(origin).settings)
        if kind in by_kind:
            raise ConfigError(f"{by_kind[kind]} and {origin} are both a {kind}: write {kind}[from=RUN] for each")
        by_kind[kind] = origin
    entered: list[str] = []
    for model in models:
        chosen = by_kind.get(preset_name(parse_model(model)))
        if chosen is None:
            entered.append(model)
        elif "origin" in bracket_keys(model):
            raise ConfigError(f"{model} has an origin in its brackets: leave out from=… there, or --from {chosen}")
        else:
            started = with_setting(model, "from", chosen)
            entered += [started, with_setting(started, "fresh", "true")]
    unused = by_kind.keys() - {preset_name(parse_model(model)) for model in models}
    if unused:
        kind = min(unused)
        raise ConfigError(f"{by_kind[kind]} is a {kind}, and --models names none: add {kind} to it")
    return entered


def sized_like(named: ModelSettings, origin: Origin, own: Collection[str]) -> ModelSettings:
    """`origin`'s settings for the model that was `named`, but for what the user gave (`own`) and what trains it.

    Raises ConfigError where another kind of model was named.
    """
    kind = preset_name(origin.settings)
    if preset_name(named) != kind:
        raise ConfigError(
            f"{named.name} is to start from {origin.name}, which is a {kind}: name that model, or another origin"
        )
    _refuse_other_sizes(named, origin, own)
    kept = {"name", "origin", "fresh", "learning_rate", "embedding_std"} | ({"causal"} & set(own))
    # A run was regularised for its own task; a checkpoint's dropout is part of what it is.
    kept |= {"dropout"} if "dropout" in own or not is_checkpoint(origin.name) else set()
    tie = origin.settings.tie_embeddings and not ("tie_embeddings" in own and not named.tie_embeddings)
    given = {key: getattr(named, key) for key in kept}
    return replace(origin.settings, **{"causal": origin.causal, "tie_embeddings": tie, **given})


def _refuse_other_sizes(named: ModelSettings, origin: Origin, own: Collection[str]) -> None:
    """Refuse what the user gave beside the origin's value of it, but for what changes none of its weights."""
    held = origin.settings
    simple = ModelSettings.__dataclass_fields__.keys() & set(own)
    values = {key: (getattr(named, key), getattr(held, key)) for key in sorted(simple)}
    for mixer, settings in named.mixer.items():
        known = next((s for s in mixer_settings(held, causal=origin.causal) if s.name == mixer), None)
        for key, value in settings.items():
            if {key, f"{mixer}.{key}", f"mixer.{mixer}.{key}"} & set(own):
                values[key] = value, getattr(known, key, None)
    for key, (given, own_value) in values.items():
        loose = key == "tie_embeddings" and not given
        if given != own_value and key not in _FREE and not loose:
            raise ConfigError(
                f"{named.name}: {key} is {given}, but {origin.name} was trained with {own_value}: leave it out"
            )


def untied(settings: ModelSettings, outputs: Outputs) -> ModelSettings:
    """`settings` without tied embeddings where the outputs are no tokens."""
    return settings if isinstance(outputs, PerStep) else replace(settings, tie_embeddings=False)


def check_start(model: SequenceModel, origin: Origin) -> Start:
    """What `model` (on any device, the meta device too) would take; ConfigError where embedding or blocks differ."""
    own = {name: value.shape for name, value in model.state_dict().items()}
    same_outputs = isinstance(model.outputs, PerStep) and model.outputs == origin.outputs
    taken, anew = [], []
    for name, shape in own.items():
        given = origin.weights.get(name)
        other_head = name.startswith(_HEAD) and not same_outputs
        if given is not None and given.shape == shape and not other_head:
            taken.append(name)
        elif other_head or name.startswith(_FEATURES):
            anew.append(name)
        else:
            held = "has no such parameter" if given is None else f"has {list(given.shape)}"
            raise ConfigError(
                f"{model.settings.name} cannot start from {origin.name}: its {name} is {list(shape)}, and the origin "
                f"{held}: leave the settings to the origin"
            )
    left = [name for name in origin.weights if name not in own and not name.startswith((_HEAD, _FEATURES))]
    if left:
        raise ConfigError(
            f"{model.settings.name} cannot start from {origin.name}: it has no place for {left[0]}, so leave the "
            "settings to the origin"
        )
    return Start(tuple(taken), tuple(anew))


@torch.no_grad()
def start_from(model: SequenceModel, origin: Origin) -> Start:
    """Give `model` the weights of `origin` in place, and say which they are; errors as in `check_start`."""
    start = check_start(model, origin)
    # A tied model multiplies what it embeds; one that is no longer tied has the factor in its tables.
    loosened = origin.settings.tie_embeddings and not model.settings.tie_embeddings
    factor = math.sqrt(origin.settings.width) if loosened else 1.0
    own = model.state_dict()
    for name in start.taken:
        given = origin.weights[name]
        own[name].copy_(given * factor if name.startswith(_UNTIED) else given)
    return start


def start_note(settings: ModelSettings, model: SequenceModel) -> str | None:
    """One sentence on where a model's weights come from; None for one that starts anew."""
    if settings.origin is None:
        return None
    if settings.fresh:
        return f"{settings.name} has the sizes of {settings.origin}, and new weights."
    start = check_start(model, find_origin(settings.origin))
    sizes = {name: value.numel() for name, value in model.state_dict().items()}
    taken = sum(sizes[name] for name in start.taken)
    anew = listing(start.anew).replace(" or ", " and ") if start.anew else "none"
    return (
        f"{settings.name} starts from {settings.origin}: {taken:,} of {sum(sizes.values()):,} weights are taken, "
        f"new are {anew}."
    )
