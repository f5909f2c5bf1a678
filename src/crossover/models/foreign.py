"""Configurations in the format of Hugging Face's transformers, as settings of our models.

BERT (Devlin et al. 2019), GPT-2 (Radford et al. 2019), and the decoders that are built like Llama (Touvron et al.
2023): RMSNorm, SwiGLU, rotary positions, shared keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from crossover.errors import ConfigError, FolderError, listing
from crossover.models.presets import CHECKPOINT_KINDS
from crossover.models.settings import ModelSettings

CONFIG = "config.json"
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu"}
_LIKE_LLAMA = ("llama", "mistral", "qwen2")
KINDS = (*CHECKPOINT_KINDS, *_LIKE_LLAMA)
"""The model types whose configurations can be read."""
_EXPECTED: Mapping[str, Mapping[str, Any]] = {
    "bert": {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
    "gpt2": {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    **{kind: {"hidden_act": "silu"} for kind in _LIKE_LLAMA},
}
"""Values of a configuration that change what is computed, and the only ones that our blocks compute; the default."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; FolderError for one that cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{path} does not exist: give the path of a file that does") from None
    except (OSError, ValueError) as error:
        raise FolderError(f"{path} cannot be read ({error}): get it again") from None
    if not isinstance(value, dict):
        raise FolderError(f"{path} is no configuration: get it again")
    return value


def check_kind(name: str, kind: str, config: Mapping[str, Any]) -> None:
    """Raise a ConfigError where a configuration is not of the model type `kind`."""
    found = config.get("model_type")
    if found != kind:
        fitting = (
            f": write {found}:PATH" if found in CHECKPOINT_KINDS else f": {listing(CHECKPOINT_KINDS)} can be read"
        )
        raise ConfigError(f"{name} has the model_type {found!r}, not {kind!r}{fitting}")


def foreign_settings(name: str, config: Mapping[str, Any]) -> ModelSettings:
    """The settings of a configuration; a ConfigError for one whose function is not that of our blocks."""
    kind = config.get("model_type")
    if kind not in KINDS:
        raise ConfigError(f"{name} has the model_type {kind!r}: {listing(KINDS)} can be read")
    for key, expected in _EXPECTED[kind].items():
        if config.get(key, expected) != expected:
            raise ConfigError(f"{name} has {key}={config[key]!r}: only {expected!r} can be read")
    if kind in _LIKE_LLAMA:
        return _llama_settings(name, config)
    activation = config.get("hidden_act" if kind == "bert" else "activation_function", "gelu")
    if str(activation) not in _ACTIVATIONS:
        raise ConfigError(f"{name} has the activation {activation!r}: {listing(_ACTIVATIONS)} can be read")
    return (_bert_settings if kind == "bert" else _gpt2_settings)(name, config)


def foreign_vocabulary(name: str, config: Mapping[str, Any]) -> int:
    """The rows of a configuration's table of tokens."""
    return int(_number(name, config, "vocab_size"))


def _number(name: str, config: Mapping[str, Any], key: str, default: float | None = None) -> Any:
    """A number of the configuration: a whole one where there is no default, which stands for a missing one."""
    value = config.get(key, default)
    kinds = (int,) if default is None else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        what = "whole number" if default is None else "number"
        raise FolderError(f"{CONFIG} of {name} has {key}={value!r}, which is no {what}: save the model again")
    return value


def _bert_settings(name: str, config: Mapping[str, Any]) -> ModelSettings:
    number = partial(_number, name, config)
    return ModelSettings(
        name=name,
        mixers=("attention",),
        layers=number("num_hidden_layers"),
        width=number("hidden_size"),
        feed_forward=_ACTIVATIONS[config.get("hidden_act", "gelu")],  # type: ignore[arg-type]
        feed_forward_width=number("intermediate_size"),
        norm_eps=number("layer_norm_eps", 1e-12),
        positions="learned",
        style="post-norm",
        embedding_norm=True,
        dropout=number("hidden_dropout_prob", 0.1),
        max_length=number("max_position_embeddings"),
        mixer={"attention": {"heads": number("num_attention_heads")}},
    )


def _gpt2_settings(name: str, config: Mapping[str, Any]) -> ModelSettings:
    number = partial(_number, name, config)
    width = number("n_embd")
    return ModelSettings(
        name=name,
        mixers=("attention",),
        layers=number("n_layer"),
        width=width,
        feed_forward=_ACTIVATIONS[config.get("activation_function", "gelu_new")],  # type: ignore[arg-type]
        feed_forward_width=4 * width if config.get("n_inner") is None else number("n_inner"),
        norm_eps=number("layer_norm_epsilon", 1e-5),
        positions="learned",
        dropout=number("resid_pdrop", 0.1),
        max_length=number("n_positions"),
        mixer={"attention": {"heads": number("n_head")}},
    )


def _llama_settings(name: str, config: Mapping[str, Any]) -> ModelSettings:
    number = partial(_number, name, config)
    heads, width = number("num_attention_heads"), number("hidden_size")
    size = config.get("head_dim") or width // heads
    if size * heads != width:
        raise ConfigError(
            f"{name} has {heads} heads of {size} for a width of {width}: only heads that make it up can be read"
        )
    attention = {
        "heads": heads,
        "kv_heads": number("num_key_value_heads", heads),
        "rope_base": float(number("rope_theta", 10_000.0)),
        "bias": bool(config.get("attention_bias", False)),
    }
    return ModelSettings(
        name=name,
        mixers=("attention",),
        layers=number("num_hidden_layers"),
        width=width,
        feed_forward="swiglu",
        feed_forward_width=number("intermediate_size"),
        norm="rms",
        norm_eps=number("rms_norm_eps", 1e-6),
        positions="rotary",
        dropout=number("attention_dropout", 0.0),
        causal=True,
        tie_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_length=number("max_position_embeddings", 2048),
        mixer={"attention": attention},
    )
