"""BERT and GPT-2 in the format of Hugging Face's transformers, as models of ours.

Weights are read from safetensors alone, which cannot carry code. A text is one segment to BERT, so the embedding of
the first token type, which every position has, is added to the table of positions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from crossover.data.foreign import ForeignVocabulary
from crossover.errors import ConfigError, DataError, FolderError, listing
from crossover.inference.origins import Origin
from crossover.models.foreign import CONFIG, check_kind, foreign_settings, read_json
from crossover.models.model import check_model
from crossover.models.ports import PerStep, Tokens
from crossover.models.settings import ModelSettings

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
_TOKENIZER_PARTS = {"bert": ("vocab.txt",), "gpt2": ("vocab.json", "merges.txt")}
_FETCHED = (WEIGHTS, CONFIG, TOKENIZER, "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt")
_BLOCKS = {"bert": "encoder.layer", "gpt2": "h"}
"""What their names of a layer's weights begin with, before its number."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@lru_cache
def checkpoint_folder(name: str) -> Path:
    """The folder of ``KIND:PATH``, local or fetched from the hub; FolderError for one that lacks a file."""
    place = name.partition(":")[2]
    path = Path(place).expanduser()
    folder = path if path.is_dir() else _fetch(name, place)
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(file.name for file in folder.glob("*.bin"))
        found = f"only {listing(pickles)}, a pickle that could carry code" if pickles else f"no {WEIGHTS}"
        raise FolderError(f"{folder} holds {found}: save the model with safe_serialization=True, as one file")
    if not (folder / CONFIG).is_file():
        raise FolderError(f"{folder} holds no {CONFIG}: give a folder that transformers saved a model in")
    return folder


def load_checkpoint(name: str, folder: Path) -> Origin:
    """The checkpoint in `folder` as an origin; ConfigError for one whose function is not that of our blocks."""
    kind = name.partition(":")[0]
    config = read_json(folder / CONFIG)
    check_kind(name, kind, config)
    settings = foreign_settings(name, config)
    vocabulary = _vocabulary(kind, folder)
    given = _read_weights(folder / WEIGHTS)
    try:
        weights = (_bert_weights if kind == "bert" else _gpt2_weights)(given, settings)
    except KeyError as error:
        raise FolderError(f"{folder} holds no whole {kind} ({error} is missing): save the model again") from None
    rows = len(weights["embedding.tokens.weight"])
    if rows < vocabulary.size:
        raise FolderError(
            f"{folder}: its tokenizer has {vocabulary.size} ids and its model {rows}: save the model's own beside it"
        )
    # Some models have rows for ids that no text has.
    weights = {
        key: value[: vocabulary.size] if key in ("embedding.tokens.weight", "head.project.weight") else value
        for key, value in weights.items()
    }
    outputs = PerStep(size=vocabulary.size) if kind == "gpt2" else None
    if outputs is not None:
        weights["head.project.bias"] = torch.zeros(vocabulary.size)
    origin = Origin(name, settings, kind == "gpt2", outputs, vocabulary, weights)
    _check_sizes(folder, origin)
    if any(f".{_BLOCKS[kind]}.{settings.layers}." in f".{key}" for key in given):
        raise FolderError(
            f"{folder}: its weights have more layers than the {settings.layers} of {CONFIG}: save both again"
        )
    return origin


def _check_sizes(folder: Path, origin: Origin) -> None:
    """Refuse weights of other sizes than the configuration's."""
    ends = Tokens(vocabulary=origin.vocabulary.size), PerStep(size=origin.vocabulary.size)
    for key, value in check_model(origin.settings, *ends, causal=origin.causal).state_dict().items():
        held = origin.weights.get(key)
        if held is not None and held.shape != value.shape:
            raise FolderError(
                f"{folder}: by its {CONFIG} {key} is {list(value.shape)}, and by its weights {list(held.shape)}: "
                "save both again"
            )


def _fetch(name: str, place: str) -> Path:
    """The folder of a hub's model in the hub's cache."""
    if Path(place).exists() or not _HUB_NAME.fullmatch(place):
        raise FolderError(f"{place} of {name} is no folder: give one with {CONFIG} and {WEIGHTS}, or a hub name")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ConfigError(
            f"{name} is no local folder, and the hub needs the huggingface_hub package: pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(place, allow_patterns=list(_FETCHED)))
    except Exception as error:
        # The client's errors (no such name, no network, no permission) share no base class.
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FolderError(f"{name} is neither a local folder nor to be had from the hub ({reason[:200]})") from None


def _bert_weights(given: Mapping[str, Tensor], settings: ModelSettings) -> dict[str, Tensor]:
    """The encoder under our names; the pooler and the heads that it was trained with are left out."""
    renamed = {
        key.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias"): value
        for key, value in given.items()
    }
    types = renamed["embeddings.token_type_embeddings.weight"]
    found = {
        "embedding.tokens.weight": renamed["embeddings.word_embeddings.weight"],
        "embedding.positions.weight": renamed["embeddings.position_embeddings.weight"] + types[0],
        **_linear("embedding.norm", renamed, "embeddings.LayerNorm"),
    }
    for layer in range(settings.layers):
        ours, theirs = f"backbone.blocks.{layer}", f"encoder.layer.{layer}"
        for part in ("weight", "bias"):
            stacked = [renamed[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            found[f"{ours}.mixer.qkv.{part}"] = torch.cat(stacked)
        found |= _linear(f"{ours}.mixer.out", renamed, f"{theirs}.attention.output.dense")
        found |= _linear(f"{ours}.mixer_norm", renamed, f"{theirs}.attention.output.LayerNorm")
        found |= _linear(f"{ours}.feed_forward.enter", renamed, f"{theirs}.intermediate.dense")
        found |= _linear(f"{ours}.feed_forward.leave", renamed, f"{theirs}.output.dense")
        found |= _linear(f"{ours}.feed_forward_norm", renamed, f"{theirs}.output.LayerNorm")
    return found


def _gpt2_weights(given: Mapping[str, Tensor], settings: ModelSettings) -> dict[str, Tensor]:
    """The decoder under our names, and its embedding as the head that it shares it with."""
    renamed = {key.removeprefix("transformer."): value for key, value in given.items()}
    found = {
        "embedding.tokens.weight": renamed["wte.weight"],
        "embedding.positions.weight": renamed["wpe.weight"],
        "head.project.weight": given.get("lm_head.weight", renamed["wte.weight"]),
        **_linear("backbone.norm", renamed, "ln_f"),
    }
    for layer in range(settings.layers):
        ours, theirs = f"backbone.blocks.{layer}", f"h.{layer}"
        # Their projections are [in, out].
        found |= _linear(f"{ours}.mixer.qkv", renamed, f"{theirs}.attn.c_attn", transposed=True)
        found |= _linear(f"{ours}.mixer.out", renamed, f"{theirs}.attn.c_proj", transposed=True)
        found |= _linear(f"{ours}.mixer_norm", renamed, f"{theirs}.ln_1")
        found |= _linear(f"{ours}.feed_forward.enter", renamed, f"{theirs}.mlp.c_fc", transposed=True)
        found |= _linear(f"{ours}.feed_forward.leave", renamed, f"{theirs}.mlp.c_proj", transposed=True)
        found |= _linear(f"{ours}.feed_forward_norm", renamed, f"{theirs}.ln_2")
    return found


def _linear(ours: str, given: Mapping[str, Tensor], theirs: str, *, transposed: bool = False) -> dict[str, Tensor]:
    """Weight and bias of one module."""
    weight = given[f"{theirs}.weight"]
    return {f"{ours}.weight": weight.T if transposed else weight, f"{ours}.bias": given[f"{theirs}.bias"]}


def _vocabulary(kind: str, folder: Path) -> ForeignVocabulary:
    """The model's own; its tokenizer is built from its parts where it was saved in them."""
    whole = (folder / TOKENIZER).is_file()
    if not whole and not all((folder / part).is_file() for part in _TOKENIZER_PARTS[kind]):
        needed = " and ".join(_TOKENIZER_PARTS[kind])
        raise FolderError(f"{folder} holds no tokenizer: save the model's own beside it ({TOKENIZER}, or {needed})")
    try:
        return ForeignVocabulary(_tokenizer(kind, folder, whole=whole))
    except FolderError:
        raise
    except DataError as error:
        raise FolderError(f"{folder / TOKENIZER}: {error}") from None
    except Exception as error:
        # The tokenizers library raises plain Exception for whatever is wrong with a file.
        raise FolderError(f"the tokenizer in {folder} cannot be read ({error}): save the model's own again") from None


def _tokenizer(kind: str, folder: Path, *, whole: bool) -> str:
    """The tokenizer as the tokenizers library writes it."""
    from tokenizers.implementations import BertWordPieceTokenizer, ByteLevelBPETokenizer

    if whole:
        return (folder / TOKENIZER).read_text(encoding="utf-8")
    if kind == "gpt2":
        return str(ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).to_str())
    config = folder / "tokenizer_config.json"
    lower = bool(read_json(config).get("do_lower_case", True)) if config.is_file() else True
    return str(BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lower).to_str())


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise FolderError(f"{path} cannot be read ({error}): get it again") from None
