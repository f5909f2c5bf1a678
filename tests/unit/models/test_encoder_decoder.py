from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.measure.latency import tensor_bytes
from crossover.models.counting import count_parameters, flops_per_token, model_cost
from crossover.models.cross import build_cross
from crossover.models.encoder import Source, encoder_mixers
from crossover.models.initialise import initialise
from crossover.models.matching import match_flops, match_parameters
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Continuous, PerStep, SourceTarget, Tokens, port_from_json, port_to_json
from crossover.models.presets import PRESETS, parse_model
from crossover.models.settings import ModelSettings

PORT = SourceTarget(source=Tokens(vocabulary=20), target=Tokens(vocabulary=23))
OUTPUTS = PerStep(size=23)
MODELS = sorted(
    {
        *PRESETS.names(),
        *MIXERS.names(),
        "lstm+attention",
        "lstm[cross=additive]",
        "gru[encoder_layers=1]",
        "gnmt[layers=3,cross_layers=1]",
    }
)


def small(name: str, port: SourceTarget = PORT) -> tuple[ModelSettings, SequenceModel]:
    settings = replace(parse_model(name), width=16, dropout=0.0, max_length=32)
    outputs = PerStep(size=port.target.vocabulary)
    return settings, build_model(settings, port, outputs, causal=True, seed=0).eval()


def source(lengths: tuple[int, ...] = (7, 3, 5), time: int = 7, vocabulary: int = 20) -> Source:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(vocabulary, (len(lengths), time), generator=generator)
    return Source(drawn, torch.tensor(lengths))


TARGET = torch.randint(23, (3, 6), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", MODELS)
def test_writing_step_by_step_is_the_whole_row_at_once(name: str) -> None:
    _, model = small(name)
    with torch.inference_mode():
        whole, none = model(TARGET, source=source(), span=Span(carry=False))
        state = model.initial_state(3, source=source(), capacity=8)
        steps = []
        for time in range(TARGET.shape[1]):
            outputs, state = model(TARGET[:, time : time + 1], state=state)
            steps.append(outputs)
    assert none is None
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_padding_of_the_source_changes_nothing(name: str) -> None:
    _, model = small(name)
    read = source()
    alone = Source(read.inputs[1:2, :3], torch.tensor([3]))
    together, _ = model(TARGET, source=read)
    by_itself, _ = model(TARGET[1:2], source=alone)
    torch.testing.assert_close(by_itself, together[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_counted_and_gets_a_gradient(name: str, shared: bool) -> None:
    port = replace(PORT, source=PORT.target, shared=shared)
    settings, model = small(name, port)
    counted = count_parameters(settings, port, OUTPUTS, causal=True)
    assert counted.total == sum(parameter.numel() for parameter in model.parameters())
    outputs, _ = model(TARGET, source=source(vocabulary=23), span=Span(carry=False))
    outputs.square().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


def test_only_the_first_blocks_look_where_few_are_asked_for() -> None:
    _, model = small("gnmt[layers=3,cross_layers=2]")
    assert [block.cross is not None for block in model.backbone.blocks] == [True, True, False]
    assert len(model.initial_state(3, source=source()).memory) == 2
    with pytest.raises(ConfigError, match="cross_layers is 0, it must be 1 or more"):
        parse_model("gnmt[cross_layers=0]")


@pytest.mark.parametrize("kind", ["attention", "additive"])
def test_a_look_at_one_step_of_source_takes_that_step(kind: str) -> None:
    cross = build_cross(kind, 8, 2)  # type: ignore[arg-type]
    initialise(cross, 0)
    encoded = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    one = cross.remember(encoded, torch.tensor([1, 1]))
    alone = cross.remember(encoded[:, :1], None)
    x_BTD = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(cross(x_BTD, one), cross(x_BTD, alone))
    assert (cross(x_BTD, one)[:, 0] - cross(x_BTD, one)[:, 1]).abs().max() < 1e-6, "there is nothing to choose from"


def test_the_last_state_is_that_of_the_last_real_step() -> None:
    cross = build_cross("last", 8, 2)
    initialise(cross, 0)
    encoded = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    (summary,) = cross.remember(encoded, torch.tensor([4, 2]))
    (alone,) = cross.remember(torch.stack([encoded[0, 3], encoded[1, 1]])[:, None], None)
    torch.testing.assert_close(summary, alone)
    assert not torch.allclose(summary, cross.remember(encoded, None)[0])


def test_directions_of_the_encoder() -> None:
    for direction, expected in (
        ("bidirectional", [False, False, False]),
        ("first-bidirectional", [False, True, True]),
        ("causal", [True, True, True]),
    ):
        settings = parse_model(f"lstm[layers=2,encoder_layers=3,encoder={direction}]")
        assert [mixer.causal for mixer in encoder_mixers(settings)] == expected


def test_widths_are_matched_over_encoder_and_decoder() -> None:
    settings, _ = small("transformer")
    target = count_parameters(replace(settings, width=64), PORT, OUTPUTS, causal=True).without_embedding
    for name in ("lstm", "gnmt", "seq2seq", "mingru[cross_heads=8]"):
        matched = match_parameters(parse_model(name), PORT, OUTPUTS, causal=True, target=target)
        found = count_parameters(matched, PORT, OUTPUTS, causal=True).without_embedding
        assert abs(found / target - 1) < 0.03
        assert matched.cross != "attention" or matched.width % matched.cross_heads == 0


def test_operations_are_matched_with_those_of_the_source() -> None:
    settings, _ = small("transformer")
    ends = {"inputs": PORT, "outputs": OUTPUTS, "causal": True}
    target = flops_per_token(replace(settings, width=64), **ends, time=20)  # type: ignore[arg-type]
    matched = match_flops(parse_model("lstm"), **ends, target=target, time=20)  # type: ignore[arg-type]
    assert flops_per_token(matched, **ends, time=20) == pytest.approx(target, rel=0.03)  # type: ignore[arg-type]
    cost = model_cost(matched, PORT, OUTPUTS, Shape(batch=1, time=20, source=20), causal=True)
    assert cost.flops_forward / 20 == pytest.approx(target, rel=0.03)


def test_reading_a_source_costs_and_a_step_from_the_state_does_not_read_it_again() -> None:
    settings, _ = small("transformer")

    def flops(**shape: int) -> float:
        return model_cost(settings, PORT, OUTPUTS, Shape(batch=1, **shape), causal=True).flops_forward

    assert flops(time=8, source=64) > 2 * flops(time=8, source=8)
    assert flops(time=1, context=7, source=64) < flops(time=1, source=8)


@pytest.mark.parametrize("name", ["lstm", "lstm[cross=additive]", "seq2seq", "transformer"])
def test_what_is_remembered_of_a_source_is_counted(name: str) -> None:
    settings, model = small(name)
    cost = model_cost(settings, PORT, OUTPUTS, Shape(batch=3, time=6, source=7), causal=True)
    counted = sum(term.state_bytes for term in cost.terms if term.name.startswith("cross"))
    assert counted == tensor_bytes(model.initial_state(3, source=source()).memory)


def test_a_real_valued_source_is_read() -> None:
    port = SourceTarget(source=Continuous(channels=5), target=PORT.target)
    model = build_model(small("gru")[0], port, OUTPUTS, causal=True, seed=0)
    outputs, _ = model(TARGET, source=Source(torch.randn(3, 9, 5), torch.tensor([9, 4, 1])))
    assert outputs.shape == (3, 6, 23)
    assert port_from_json(port_to_json(port)) == port


def test_a_source_that_is_missing_and_heads_that_do_not_divide_are_refused() -> None:
    _, model = small("lstm")
    with pytest.raises(ConfigError, match="is an encoder-decoder: give it the source"):
        model(TARGET)
    with pytest.raises(ConfigError, match="cross_heads=3"):
        build_model(parse_model("lstm[cross_heads=3]"), PORT, OUTPUTS, causal=True, seed=0)
    with pytest.raises(ConfigError, match="encoder_layers is 0"):
        parse_model("lstm[encoder_layers=0]")


@pytest.mark.parametrize("name", ["lstm", "gru", "transformer", "llama-like", "gnmt", "seq2seq"])
def test_products_cost_what_pytorch_counts(name: str) -> None:
    settings = replace(parse_model(name), width=32, dropout=0.0)
    with torch.device("meta"):
        model = SequenceModel(settings, PORT, OUTPUTS, causal=True)
        x_BT, read_BS = torch.zeros(2, 8, dtype=torch.int64), torch.zeros(2, 5, dtype=torch.int64)
    for mixer in model.mixers():
        mixer.forward = mixer.definition  # type: ignore[method-assign]
    # Lengths stand on the CPU as in training, where they are read to see whether rows are padded.
    read = Source(read_BS, torch.tensor([5, 5]))
    with FlopCounterMode(display=False) as forward:
        outputs, _ = model(x_BT, source=read)
    with FlopCounterMode(display=False) as backward:
        outputs.sum().backward()
    cost = model_cost(
        settings,
        PORT,
        OUTPUTS,
        Shape(batch=2, time=8, source=5),
        causal=True,
        execution=Execution(fused=False),
    )
    assert cost.flops_forward == forward.get_total_flops()
    assert cost.flops_backward == backward.get_total_flops()
