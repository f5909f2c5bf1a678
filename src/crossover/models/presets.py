"""Models by name: presets, settings in brackets (``lstm[width=256]``), hybrids by pattern (``lstm+attention``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from crossover.config import override, parse_assignments
from crossover.errors import ConfigError, unknown
from crossover.models.mixers import MIXERS
from crossover.models.settings import ModelSettings
from crossover.registry import Registry

PRESETS: Registry[ModelSettings] = Registry("model", group="crossover.presets")


def _preset(name: str, summary: str, *mixers: str, **settings: Any) -> None:
    PRESETS.add(name, ModelSettings(name=name, mixers=mixers or (name,), **settings), summary)


_preset("elman", "plain recurrent network in pre-norm blocks", learning_rate=1e-3)
_preset("lstm", "LSTM in pre-norm blocks", learning_rate=3e-3)
_preset("gru", "GRU in pre-norm blocks", learning_rate=3e-3)
_preset("mingru", "minGRU in pre-norm blocks: parallel over time", learning_rate=3e-3)
_preset("minlstm", "minLSTM in pre-norm blocks: parallel over time", learning_rate=3e-3)
_preset("diagonal-elman", "Elman network whose units do not see one another", learning_rate=1e-3)
_preset("diagonal-gru", "GRU whose gates see their own unit alone", learning_rate=3e-3)
_preset("diagonal-lstm", "LSTM whose gates see their own unit alone", learning_rate=3e-3)
_preset("linear-attention", "gated linear attention in pre-norm blocks", learning_rate=2e-3)
_preset("convolution", "causal convolution in pre-norm blocks", learning_rate=2e-3)
_preset(
    "transformer", "pre-norm Transformer: GELU, rotary positions", "attention", positions="rotary", learning_rate=1e-3
)
_preset(
    "transformer-original",
    "the Transformer of 2017: post-norm, ReLU, sinusoidal positions",
    "attention",
    style="post-norm",
    feed_forward="relu",
    positions="sinusoidal",
    learning_rate=5e-4,
)
_preset(
    "bert",
    "BERT: post-norm, GELU, learned positions, normalised embeddings",
    "attention",
    style="post-norm",
    positions="learned",
    embedding_norm=True,
    norm_eps=1e-12,
    max_length=512,
    learning_rate=5e-4,
)
_preset(
    "gpt",
    "GPT-2: pre-norm, GELU, learned positions, tied embeddings",
    "attention",
    positions="learned",
    causal=True,
    tie_embeddings=True,
    learning_rate=1e-3,
)
_preset(
    "llama-like",
    "RMSNorm, SwiGLU, rotary positions, grouped keys",
    "attention",
    norm="rms",
    feed_forward="swiglu",
    positions="rotary",
    mixer={"attention": {"heads": 4, "kv_heads": 2}},
    learning_rate=1e-3,
)
_preset(
    "window-transformer",
    "Transformer whose attention sees a sliding window",
    "window-attention",
    positions="rotary",
    learning_rate=1e-3,
)
_preset(
    "transformer-xl",
    "Transformer-XL: relative positions, attention to a memory of the steps before",
    "xl-attention",
    learning_rate=1e-3,
)
_preset(
    "seq2seq",
    "LSTM that reads a source and writes from its last state alone",
    "lstm",
    style="classic",
    encoder="causal",
    cross="last",
    learning_rate=3e-3,
)
_preset(
    "gnmt",
    "residual LSTM stack, first encoder layer in both directions, additive attention",
    "lstm",
    feed_forward="none",
    encoder="first-bidirectional",
    cross="additive",
    learning_rate=3e-3,
)
_preset("lstm-classic", "plain stacked LSTM, no residuals, no norm", "lstm", style="classic", learning_rate=3e-3)
_preset("gru-classic", "plain stacked GRU, no residuals, no norm", "gru", style="classic", learning_rate=3e-3)
_preset("elman-classic", "plain stacked Elman network", "elman", style="classic", learning_rate=1e-3)

_MODEL_FIELDS = {field.name for field in fields(ModelSettings)} - {"name", "mixers", "mixer"}
_IN_BRACKETS = {"origin": "from"}
"""Settings that brackets and flags call by another name than Python can."""

CHECKPOINT_KINDS = ("bert", "gpt2")
"""What ``KIND:PATH`` may begin with: models in the format of Hugging Face's transformers."""

_CHECKPOINT_RATE = 5e-5
"""Devlin et al. 2019, appendix A.3: the largest of the rates that worked for fine-tuning."""


def split_models(text: str) -> list[str]:
    """``a[x=1,y=2],b`` at its top-level commas; unbalanced brackets or an empty name are a ConfigError."""
    names, depth, current = [], 0, ""
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            break
        if character == "," and depth == 0:
            names.append(current.strip())
            current = ""
        else:
            current += character
    names.append(current.strip())
    if depth != 0:
        raise ConfigError(f"brackets do not match in models {text!r}: write NAME[KEY=VALUE,…],NAME")
    if not all(names):
        raise ConfigError(f"an empty model name in {text!r}: write NAME,NAME")
    return names


def parse_model(text: str) -> ModelSettings:
    """The settings that a model's name stands for.

    A name is a preset, a mixer, or mixers joined by ``+``; brackets hold model settings (``layers=2``) and mixer
    settings (``heads=8``, or ``attention.heads=8`` where several mixers have one). Anything unknown is a ConfigError.
    """
    name, bracket, rest = text.strip().partition("[")
    if bracket and not rest.endswith("]"):
        raise ConfigError(f"model {text!r} has an open bracket: write NAME[KEY=VALUE,…]")
    settings = _named(name.strip())
    if not bracket:
        return settings
    items = [item for item in (part.strip() for part in rest[:-1].split(",")) if item]
    changes: dict[str, Any] = {}
    for key, value in parse_assignments(items, what=f"setting of model {name!r}").items():
        changes.update(_locate(settings, key, value))
    return replace(override(settings, changes, path=name), name=text.strip())


def adapt(settings: ModelSettings, defaults: Mapping[str, Any], *, keep: Collection[str] = ()) -> ModelSettings:
    """`settings` with a task's `defaults` for what the user and the preset left at the model's own default.

    Brackets in the model's name are the user's; `keep` names further settings that are.

    A default for a mixer setting (``attention.heads``) counts only for models with that mixer.
    """
    base = ModelSettings(name="", mixers=("",))
    given = {*bracket_keys(settings.name), *keep}
    changes: dict[str, Any] = {}
    for key, value in defaults.items():
        mixer, dot, setting = key.partition(".")
        if dot:
            if mixer in settings.mixers and setting not in settings.mixer.get(mixer, {}):
                changes[f"mixer.{mixer}.{setting}"] = value
        elif key not in given and getattr(settings, key) == getattr(base, key):
            changes[key] = value
    return override(settings, changes, path=settings.name)


def family_of(settings: ModelSettings) -> str:
    """recurrent, attention or other; hybrid where blocks of several families are mixed."""
    families = {MIXERS.get(name).family for name in settings.mixers}
    return families.pop() if len(families) == 1 else "hybrid"


def is_checkpoint(name: str) -> bool:
    """Whether `name` is ``KIND:PATH``, a model in another library's format."""
    kind, colon, place = name.partition(":")
    return bool(colon and place) and kind in CHECKPOINT_KINDS


def with_setting(name: str, key: str, value: str) -> str:
    """The model's name with one more setting in its brackets; ConfigError for a value that they cannot hold."""
    if any(character in value for character in ",[]"):
        raise ConfigError(f"{value!r} has a comma or a bracket, which {name}[{key}=…] cannot hold: rename it")
    return f"{name[:-1]},{key}={value}]" if name.endswith("]") else f"{name}[{key}={value}]"


def _named(name: str) -> ModelSettings:
    if name in PRESETS:
        return PRESETS.get(name)
    if is_checkpoint(name):
        # Sizes are read from its files, by whoever reads its weights.
        return ModelSettings(name=name, mixers=("attention",), origin=name, learning_rate=_CHECKPOINT_RATE)
    mixers = tuple(part.strip() for part in name.split("+"))
    for mixer in mixers:
        if mixer not in MIXERS:
            raise ConfigError(unknown("model", name if len(mixers) == 1 else mixer, _admissible()))
    turned = any("rotary" in MIXERS.get(mixer).__dataclass_fields__ for mixer in mixers)
    positions = "rotary" if turned else "none"
    return ModelSettings(name=name, mixers=mixers, layers=max(2, len(mixers)), positions=positions)  # type: ignore[arg-type]


def _admissible() -> list[str]:
    return sorted({*PRESETS.names(), *MIXERS.names()})


def _locate(settings: ModelSettings, key: str, value: Any) -> dict[str, Any]:
    """The dotted path of a bracket's key: a model setting, or the setting of the mixers that have it."""
    named = {_IN_BRACKETS.get(field, field): field for field in _MODEL_FIELDS}
    if key in named:
        return {named[key]: value}
    mixer, dot, setting = key.partition(".")
    owners = {
        name: {field.name for field in fields(MIXERS.get(name))} - {"width", "causal"} for name in settings.mixers
    }
    if dot and mixer in owners and setting in owners[mixer]:
        return {f"mixer.{mixer}.{setting}": value}
    having = [name for name, names in owners.items() if key in names]
    if not having:
        admissible = set(named).union(*owners.values())
        raise ConfigError(unknown(f"setting of model {settings.name!r}", key, admissible))
    return {f"mixer.{name}.{key}": value for name in having}


def preset_name(model: ModelSettings) -> str:
    """The name that recipes go by: ``lstm`` for ``lstm[layers=2]``."""
    return model.name.split("[", 1)[0]


def bracket_keys(name: str) -> set[str]:
    """The settings that the brackets of a model's name give."""
    _, _, rest = name.partition("[")
    fields_of = {bracket: field for field, bracket in _IN_BRACKETS.items()}
    keys = {item.partition("=")[0].strip() for item in rest.rstrip("]").split(",")} if rest else set()
    return {fields_of.get(key, key) for key in keys}


def describe_model(settings: ModelSettings) -> str:
    """A name that `parse_model` reads back as these settings: every field that differs from what the name says."""
    name = settings.name.partition("[")[0]
    base = _named(name)
    changes = [
        f"{_IN_BRACKETS.get(field.name, field.name)}={_scalar(getattr(settings, field.name))}"
        for field in fields(ModelSettings)
        if field.name in _MODEL_FIELDS and getattr(settings, field.name) != getattr(base, field.name)
    ]
    for mixer, values in settings.mixer.items():
        known = base.mixer.get(mixer, {})
        changes += [f"{mixer}.{key}={_scalar(value)}" for key, value in values.items() if known.get(key) != value]
    return f"{name}[{','.join(changes)}]" if changes else name


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
