"""Published memory of a device beside its prediction; `benchmarks/predict_published_memory.py` has all figures."""

from __future__ import annotations

import pytest

from crossover.models.ports import PerStep, Tokens
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.job import Job, Stored
from crossover.planning.machine import load_machine
from crossover.planning.practice import Practice
from crossover.planning.predict import Planner

GIB = 2**30


def memory(practice, *, dropout=0.1, dropped_scores=True, tensor=8):
    """Megatron's decoder of 22 billion parameters, four rows of 2,048 steps on eight GPUs."""
    model = ModelSettings(
        name="megatron-22b",
        mixers=("attention",),
        layers=48,
        width=6144,
        dropout=dropout,
        causal=True,
        positions="learned",
        tie_embeddings=True,
        max_length=2048,
        mixer={"attention": {"heads": 64}},
    )
    job = Job(
        model=model,
        inputs=Tokens(vocabulary=51_200),
        outputs=PerStep(size=51_200),
        rows=4,
        time=2048,
        precision="fp16",
        fused=False,
        dropped_scores=dropped_scores,
        stored=Stored(weight=2, gradient=4, optimizer=12, gathered=2, sent=4),
    )
    return Planner(job, load_machine("a100-80"), practice=practice).predict(Layout(tensor=tensor)).memory


# Korthikanti et al. 2022, arXiv 2205.05198, figure 1.
@pytest.mark.parametrize(
    ("practice", "published"),
    [
        (Practice(standing=True), 59.25),
        (Practice(standing=True, spread=True, again=("scores",)), 9.56),
    ],
    ids=["nothing again", "scores again, whole rows spread"],
)
def test_megatrons_memory_on_eight_gpus(practice, published):
    found = memory(practice)
    assert found.activations / GIB == pytest.approx(published, rel=0.12)
    assert (found.parameters + found.gradients + found.optimizer) / GIB == pytest.approx(45.56, rel=0.12)


def test_without_standing_gradients_the_way_back_makes_room_for_them():
    assert memory(Practice()).gradients == 0
    assert memory(Practice(standing=True)).gradients == pytest.approx(2 * memory(Practice()).parameters)


def test_a_dropped_score_leaves_its_mask_and_the_rest_of_it():
    more = memory(Practice()).activations - memory(Practice(), dropped_scores=False).activations
    pairs = 48 * 4 * 64 * 2048**2 / 8
    assert more == pytest.approx(3 * pairs)


def test_a_gpus_dropout_keeps_one_byte_of_an_element():
    more = memory(Practice()).activations - memory(Practice(), dropout=0.0).activations
    # Twice in a block and once behind the embedding, whole on every rank.
    assert more == pytest.approx((2 * 48 + 1) * 4 * 2048 * 6144)


def test_of_scores_that_are_computed_again_what_enters_them_stays():
    less = memory(Practice()).activations - memory(Practice(again=("scores",))).activations
    pairs = 48 * 4 * 64 * 2048**2 / 8
    assert less == pytest.approx(5 * pairs, rel=0.01)


def test_tensor_ranks_that_spread_whole_rows_keep_nothing_twice():
    spread, alone = memory(Practice(spread=True)), memory(Practice(), tensor=1)
    assert 8 * spread.activations == pytest.approx(alone.activations, rel=0.001)
