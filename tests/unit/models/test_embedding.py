from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError
from crossover.models.embedding import Embedding, sinusoids
from crossover.models.frames import FrameEncoder, frames_term, merged, stages
from crossover.models.ports import Continuous, Frames, Tokens
from crossover.models.settings import ModelSettings

SETTINGS = ModelSettings(name="test", mixers=("lstm",), width=6, dropout=0.0, max_length=10)
WORDS = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])


def built(inputs: Tokens | Continuous | Frames = Tokens(vocabulary=5), **changes: object) -> Embedding:  # noqa: B008
    torch.manual_seed(0)
    return Embedding(replace(SETTINGS, **changes), inputs)


def test_tokens_are_looked_up() -> None:
    embedding = built()
    torch.testing.assert_close(embedding(WORDS, None, 0), embedding.tokens.weight[WORDS])


def test_real_inputs_go_through_a_linear_map() -> None:
    embedding, x = built(Continuous(channels=2)), torch.randn(3, 4, 2)
    torch.testing.assert_close(embedding(x, None, 0), x @ embedding.tokens.weight.T + embedding.tokens.bias)


def test_every_frame_is_read_by_itself_with_its_colours_last() -> None:
    frames = Frames(height=6, width=5, colours=3, features={"words": 4})
    embedding, pixels_BTHWC = built(frames), torch.rand(2, 7, 6, 5, 3)
    inputs, words = pixels_BTHWC.flatten(2), torch.zeros(2, 7, dtype=torch.int64)
    (patch,) = embedding.tokens.patches
    kernel = patch.weight.unflatten(1, (3, 4, 4))
    padded = torch.nn.functional.pad(pixels_BTHWC[1, 4].permute(2, 0, 1), (1, 2, 1, 1))
    one = torch.nn.functional.gelu(torch.nn.functional.conv2d(padded[None], kernel, patch.bias, stride=2))
    one = one.permute(0, 2, 3, 1)
    expected = embedding.tokens.project(one.flatten()) + embedding.features["words"].weight[0]
    torch.testing.assert_close(embedding(inputs, {"words": words}, 0)[1, 4], expected)


@pytest.mark.parametrize(
    ("height", "width", "found"),
    [(3, 64, []), (9, 16, [(5, 8), (3, 4)]), (64, 64, [(32, 32), (16, 16), (8, 8), (4, 4)])],
)
def test_frames_are_halved_until_they_are_small(height: int, width: int, found: list[tuple[int, int]]) -> None:
    passed = stages(Frames(height=height, width=width))
    assert [(stage.height, stage.width) for stage in passed] == found
    model = FrameEncoder(Frames(height=height, width=width), width=5)
    assert model(torch.rand(2, 3, height * width)).shape == (2, 3, 5)


def test_a_frame_is_read_by_convolutions_over_its_own_pixels() -> None:
    model = FrameEncoder(Frames(height=10, width=13, colours=2), width=5).double()
    frames = torch.rand(2, 3, 10 * 13 * 2, dtype=torch.float64)
    x_NFHW = frames.reshape(6, 10, 13, 2).movedim(-1, 1)
    first, second = model.patches
    x_NFHW = F.gelu(F.conv2d(F.pad(x_NFHW, (1, 2, 1, 1)), first.weight.reshape(16, 2, 4, 4), first.bias, stride=2))
    kernel = second.weight.reshape(32, 2, 2, 16).movedim(-1, 1)
    x_NFHW = F.gelu(F.conv2d(F.pad(x_NFHW, (0, 1, 0, 1)), kernel, second.bias, stride=2))
    expected = model.project(x_NFHW.movedim(1, -1).reshape(2, 3, -1))
    torch.testing.assert_close(model(frames), expected)


def test_what_reading_a_frame_keeps_is_counted() -> None:
    inputs, kept = Frames(height=16, width=12, colours=2), []
    model = FrameEncoder(inputs, width=5)
    weights = {weight.data_ptr() for weight in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.extend([tensor.numel()] if tensor.untyped_storage().data_ptr() not in weights else [])
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(torch.rand(2, 3, inputs.channels))
    term = frames_term(inputs, 5, Shape(batch=2, time=3), Execution())
    assert term.activation_bytes == Execution().element_bytes * (sum(kept) + outputs.numel())


@pytest.mark.parametrize(
    "kind", [Tokens(vocabulary=5, features={"tags": 3}), Continuous(channels=2, features={"tags": 3})]
)
def test_a_feature_is_embedded_by_itself_and_added(kind: Tokens | Continuous) -> None:
    embedding, tags = built(kind), torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])
    inputs = WORDS if isinstance(kind, Tokens) else torch.randn(2, 4, 2)
    expected = embedding.tokens(inputs) + embedding.features["tags"].weight[tags]
    torch.testing.assert_close(embedding(inputs, {"tags": tags}, 0), expected)
    for features in (None, {}, {"words": tags}):
        with pytest.raises(ConfigError, match="built with the input 'tags'"):
            embedding(inputs, features, 0)


def test_learned_positions_are_added_from_the_offset_of_each_row() -> None:
    embedding = built(positions="learned")
    at = torch.tensor([[2, 3, 4, 5], [0, 1, 2, 3]])
    expected = embedding.tokens.weight[WORDS] + embedding.positions.weight[at]
    torch.testing.assert_close(embedding(WORDS, None, torch.tensor([2, 0])), expected)
    torch.testing.assert_close(embedding(WORDS[:1], None, 2), expected[:1])


@pytest.mark.parametrize("offset", [7, torch.tensor([0, 7])], ids=["one offset", "an offset per row"])
def test_a_position_that_was_never_learned_is_refused(offset: int | torch.Tensor) -> None:
    embedding = built(positions="learned")
    embedding(WORDS, None, 6)
    with pytest.raises(ConfigError, match=r"11 steps is longer than the model's maximum of 10: .* max_length=11"):
        embedding(WORDS, None, offset)


def test_sinusoidal_positions_have_no_end() -> None:
    embedding = built(positions="sinusoidal")
    near, far = embedding(WORDS, None, 0), embedding(WORDS, None, 1000)
    looked_up = embedding.tokens.weight[WORDS]
    torch.testing.assert_close(near, looked_up + sinusoids(torch.arange(4), 6))
    torch.testing.assert_close(far, looked_up + sinusoids(torch.arange(1000, 1004), 6))


def test_a_table_that_is_the_output_matrix_too_is_scaled_up_on_the_way_in() -> None:
    embedding = built(tie_embeddings=True)
    torch.testing.assert_close(embedding(WORDS, None, 0), math.sqrt(6) * embedding.tokens.weight[WORDS])


def test_sinusoids_by_hand() -> None:
    found = sinusoids(torch.tensor([0, 3]), 4)
    slow = math.exp(-math.log(10000.0) / 2)
    expected = [[0, 0, 1, 1], [math.sin(3), math.sin(3 * slow), math.cos(3), math.cos(3 * slow)]]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert sinusoids(torch.arange(5), 7).shape == (5, 7)


@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_other_positions_are_not_the_embeddings_business(positions: str) -> None:
    embedding = built(positions=positions)
    torch.testing.assert_close(embedding(WORDS, None, 0), embedding(WORDS, None, 500))


def test_merged_patches_hold_two_by_two_places() -> None:
    places = torch.arange(6.0).reshape(1, 2, 3, 1)
    assert merged(places).tolist() == [[[0, 1, 3, 4], [2, 0, 5, 0]]]
