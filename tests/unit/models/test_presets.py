from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.errors import ConfigError
from crossover.models.mixers import MIXERS
from crossover.models.presets import (
    PRESETS,
    adapt,
    bracket_keys,
    describe_model,
    family_of,
    parse_model,
    split_models,
)
from crossover.models.settings import ModelSettings


def unnamed(settings: ModelSettings) -> ModelSettings:
    return replace(settings, name="")


@pytest.mark.parametrize("name", PRESETS.names())
def test_every_preset_is_parsed_described_and_has_a_summary(name: str) -> None:
    settings = parse_model(name)
    assert settings == PRESETS.get(name) and describe_model(settings) == name
    assert PRESETS.entry(name).summary


@pytest.mark.parametrize(
    "text",
    [
        "lstm[layers=3,width=96,dropout=0.0]",
        "lstm+attention[layers=4,attention.heads=2]",
        "transformer[heads=8,feed_forward=swiglu,norm=rms,positions=learned]",
        "llama-like[kv_heads=1]",
        "gpt[tie_embeddings=false,causal=true,max_length=64,learning_rate=0.0003]",
        "mingru+window-attention[style=post-norm,window=16]",
        "elman[feed_forward_width=40]",
    ],
)
def test_a_description_is_read_back_as_the_same_model(text: str) -> None:
    settings = parse_model(text)
    assert unnamed(parse_model(describe_model(settings))) == unnamed(settings)


def test_brackets_hold_settings_of_the_model_and_of_its_mixers() -> None:
    settings = parse_model("lstm+attention[layers=4, heads=2, lstm.forget_bias=2.0]")
    assert settings.mixers == ("lstm", "attention") and settings.layers == 4
    assert settings.mixer == {"attention": {"heads": 2}, "lstm": {"forget_bias": 2.0}}
    assert settings.name == "lstm+attention[layers=4, heads=2, lstm.forget_bias=2.0]"


def test_a_setting_that_several_mixers_have_goes_to_all_of_them() -> None:
    settings = parse_model("attention+window-attention[heads=2]")
    assert settings.mixer == {"attention": {"heads": 2}, "window-attention": {"heads": 2}}


def test_mixers_and_hybrids_need_no_preset() -> None:
    assert parse_model("window-attention").positions == "rotary"
    assert parse_model("lstm+xl-attention").positions == "none"
    assert parse_model("lstm+gru").positions == "none"
    assert parse_model("lstm+attention+mingru").layers == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lstmm", "unknown model 'lstmm': did you mean 'lstm'"),
        ("lstm+atention", "did you mean 'attention'"),
        ("", "unknown model ''"),
        ("lstm[layers=2", "open bracket"),
        ("lstm[layers]", "write KEY=VALUE"),
        ("lstm[layer=2]", "did you mean 'layers'"),
        ("lstm[heads=2]", "heads"),
        ("lstm[layers=two]", "layers='two' is not admissible"),
        ("lstm[layers=0]", "layers is 0"),
        ("lstm[width=-4]", "width is -4"),
        ("lstm[dropout=1.0]", "dropout is 1.0"),
        ("lstm[norm=batch]", "'layer' or 'rms'"),
        ("lstm[learning_rate=0]", "learning_rate is 0"),
        ("lstm[feed_forward_width=-1]", "feed_forward_width is -1"),
        ("lstm[max_length=0]", "max_length is 0"),
        ("lstm[name=x]", "unknown setting"),
    ],
)
def test_what_is_no_model_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_model(text)


def test_models_are_split_at_their_top_level_commas() -> None:
    assert split_models("lstm[layers=2,width=8], gru ,gpt") == ["lstm[layers=2,width=8]", "gru", "gpt"]
    for text, message in (
        ("lstm[a=1", "brackets do not match"),
        ("lstm]a=1", "brackets do not match"),
        ("lstm[[a=1]]", "brackets do not match"),
        ("lstm,,gru", "empty model name"),
        ("", "empty model name"),
    ):
        with pytest.raises(ConfigError, match=message):
            split_models(text)


def test_families() -> None:
    found = {name: family_of(parse_model(name)) for name in ("lstm", "mingru", "transformer", "convolution")}
    assert found == {"lstm": "recurrent", "mingru": "recurrent", "transformer": "attention", "convolution": "other"}
    assert family_of(parse_model("lstm+attention")) == "hybrid"
    assert family_of(parse_model("lstm+gru")) == "recurrent"
    assert {MIXERS.get(name).family for name in MIXERS.names()} == {"recurrent", "attention", "other"}


def test_a_tasks_defaults_fill_what_nobody_chose() -> None:
    defaults = {"width": 64, "layers": 3, "dropout": 0.0, "attention.heads": 2}
    assert adapt(parse_model("lstm"), defaults).width == 64
    kept = adapt(parse_model("transformer[width=32]"), defaults)
    assert (kept.width, kept.layers, kept.mixer) == (32, 3, {"attention": {"heads": 2}})
    assert adapt(parse_model("lstm"), defaults).mixer == {}, "a mixer that is not there takes no default"
    assert adapt(parse_model("llama-like"), {"attention.heads": 8}).mixer["attention"]["heads"] == 4
    assert adapt(parse_model("lstm"), defaults, keep={"layers"}).layers == 2


def test_the_users_default_value_is_still_the_users() -> None:
    assert adapt(parse_model("lstm[width=128]"), {"width": 64}).width == 128


def test_bracket_keys() -> None:
    assert bracket_keys("lstm[layers=2, attention.heads=4]") == {"layers", "attention.heads"}
    assert bracket_keys("lstm") == set()
