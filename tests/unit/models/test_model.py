from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossover.errors import ConfigError
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model, check_model
from crossover.models.ports import Continuous, Frames, Inputs, PerRow, PerStep, Tokens
from crossover.models.presets import PRESETS, parse_model
from crossover.models.settings import ModelSettings

VOCABULARY, CHANNELS, TIME = 20, 3, 13
INPUTS: dict[str, Inputs] = {
    "tokens": Tokens(vocabulary=VOCABULARY),
    "series": Continuous(channels=CHANNELS),
    "frames": Frames(height=6, width=5),
}
CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def small(name: str, **changes: object) -> ModelSettings:
    return replace(PRESETS.get(name), **{"width": 16, "max_length": 32, "tie_embeddings": False, **changes})


def drawn(kind: str, rows: int = 3, time: int = TIME) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind == "tokens":
        return torch.randint(VOCABULARY, (rows, time), generator=generator)
    return torch.randn(rows, time, INPUTS[kind].channels, generator=generator)


def decoder(name: str, kind: str = "tokens", **changes: object) -> SequenceModel:
    return build_model(small(name, **changes), INPUTS[kind], PerStep(size=5), causal=True, seed=3).eval()


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", PRESETS.names())
@torch.no_grad()
def test_chunk_by_chunk_with_the_state_carried_is_the_whole(name: str, kind: str) -> None:
    model, inputs = decoder(name, kind), drawn(kind)
    whole, last = model(inputs)
    state, parts = model.initial_state(3, capacity=TIME), []
    for chunk in inputs.split([5, 1, 4, 3], dim=1):
        outputs, state = model(chunk, state=state)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **CLOSE)
    assert state.position_B.tolist() == last.position_B.tolist() == [TIME] * 3


@pytest.mark.parametrize("name", PRESETS.names())
@torch.no_grad()
def test_a_decoder_does_not_see_the_future(name: str) -> None:
    model, inputs = decoder(name, "series"), drawn("series")
    before, _ = model(inputs)
    inputs[:, 7] += 1.0
    after, _ = model(inputs)
    torch.testing.assert_close(after[:, :7], before[:, :7], **CLOSE)
    assert (after[:, 7] - before[:, 7]).abs().amax() > 1e-4


@pytest.mark.parametrize("name", [name for name in PRESETS.names() if name != "gpt"])
@torch.no_grad()
def test_an_encoder_sees_whole_rows_and_carries_nothing(name: str) -> None:
    model = build_model(small(name), INPUTS["series"], PerStep(size=5), causal=False, seed=3).eval()
    inputs = drawn("series")
    before, state = model(inputs)
    assert state is None and not model.causal
    inputs[:, 6] += 1.0
    after, _ = model(inputs)
    assert (after[:, 5] - before[:, 5]).abs().amax() > 1e-5, "an earlier step sees a later one"
    with pytest.raises(ConfigError, match="carries no state"):
        model.initial_state(1)


@pytest.mark.parametrize("pool", ["mean", "last", "max"])
@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize("name", ["lstm", "transformer", "transformer-original", "convolution", "linear-attention"])
@torch.no_grad()
def test_padding_changes_nothing(name: str, causal: bool, pool: str) -> None:
    outputs = PerRow(size=4, pool=pool)
    model = build_model(small(name), INPUTS["tokens"], outputs, causal=causal, seed=3).eval()
    inputs, lengths = drawn("tokens"), torch.tensor([TIME, 8, 1])
    together, _ = model(inputs, span=Span(lengths_B=lengths, carry=False))
    alone = [model(inputs[i : i + 1, : lengths[i]], span=Span(carry=False))[0] for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), **CLOSE)
    inputs[1, 8:] = 0
    torch.testing.assert_close(model(inputs, span=Span(lengths_B=lengths, carry=False))[0], together, **CLOSE)


@torch.no_grad()
def test_ragged_chunks_go_on_from_each_rows_own_end() -> None:
    settings, inputs = parse_model("lstm+attention[width=16]"), drawn("tokens")
    model = build_model(settings, INPUTS["tokens"], PerStep(size=5), causal=True, seed=3).eval()
    lengths = torch.tensor([6, 3, 0])
    _, state = model(inputs[:, :6], span=Span(lengths_B=lengths))
    assert state.position_B.tolist() == [6, 3, 0]
    rest = torch.stack([inputs[i, lengths[i] : lengths[i] + 7] for i in range(3)])
    outputs, _ = model(rest, state=state)
    for i in range(3):
        whole, _ = model(inputs[i : i + 1, : lengths[i] + 7])
        torch.testing.assert_close(outputs[i], whole[0, lengths[i] :], **CLOSE)


def test_a_decoder_setting_goes_before_an_encoders_task() -> None:
    model = build_model(small("gpt"), INPUTS["tokens"], PerRow(size=2), causal=False, seed=0)
    assert model.causal


def test_an_encoder_cannot_take_a_task_that_needs_a_decoder() -> None:
    settings = small("lstm", causal=False)
    for build in (check_model, lambda *args, **kwargs: build_model(*args, **kwargs, seed=0)):
        with pytest.raises(ConfigError, match="causal=false, but this task needs a causal model"):
            build(settings, INPUTS["tokens"], PerStep(size=5), causal=True)


def test_tied_embeddings_share_one_matrix() -> None:
    settings, outputs = small("gpt", tie_embeddings=True), PerStep(size=VOCABULARY)
    model = build_model(settings, INPUTS["tokens"], outputs, causal=True, seed=0)
    assert model.head.project.weight is model.embedding.tokens.weight
    for inputs, other in ((INPUTS["tokens"], PerRow(size=VOCABULARY)), (INPUTS["series"], outputs)):
        with pytest.raises(ConfigError, match=r"gpt.*ties its embeddings.*tie_embeddings=false"):
            check_model(settings, inputs, other, causal=True)


def test_checking_a_model_takes_no_memory_for_its_weights() -> None:
    huge = small("transformer", width=65_536, layers=64)
    check_model(huge, INPUTS["tokens"], PerStep(size=5), causal=True)


def test_every_parameter_gets_a_gradient() -> None:
    for name in PRESETS.names():
        model = build_model(small(name, dropout=0.0), INPUTS["tokens"], PerStep(size=5), causal=True, seed=0)
        outputs, _ = model(drawn("tokens"), span=Span(carry=False))
        outputs.square().sum().backward()
        without = [key for key, value in model.named_parameters() if value.grad is None]
        assert not without, (name, without)
