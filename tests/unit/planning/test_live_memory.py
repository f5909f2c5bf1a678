"""Predicted memory beside the sum of live tensors of a real step, whichever part of it is computed again."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from crossover.measure.numerics import Numerics
from crossover.measure.spread import prepare_spread
from crossover.measure.workload import Workload
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import make_mesh
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.testing.live import LiveBytes

NOTHING, BLOCKS, CHUNKS = Layout(), Layout(recompute="blocks"), Layout(recompute="chunks", chunks=4)
# With many words the outputs weigh the most, with few the last block on its way back.
VOCABULARIES = {"many": 2000, "few": 100}


def held_and_predicted(workload, layout):
    # As on a device that gives at once what is set aside.
    machine = replace(load_machine("cpu"), kind="gpu")
    step = prepare_spread(workload, layout, make_mesh(layout))
    with LiveBytes() as live:
        step()
        step()
    job = workload.job(workload.numerics.precision)
    return live.most, Planner(job, machine).predict(layout).memory.total


def small(model, size, numerics):
    return Workload(
        model=parse_model(f"{model}[layers=4,width=64,dropout=0.0]"),
        batch=8,
        time=128,
        inputs=Tokens(vocabulary=size),
        outputs=PerStep(size=size),
        numerics=numerics,
    )


@pytest.mark.parametrize("words", VOCABULARIES)
@pytest.mark.parametrize(
    ("model", "layout"),
    [
        *product(("transformer", "lstm", "mingru"), (NOTHING, BLOCKS)),
        # Attention's state grows with the row, so that its chunks are not computed again.
        *product(("lstm", "mingru"), (CHUNKS,)),
    ],
    ids=str,
)
def test_predicted_memory_is_that_of_live_tensors(model, layout, words):
    workload = small(model, VOCABULARIES[words], Numerics(threads=1))
    assert not layout.reasons(1, workload.model, workload.job().spec)
    held, predicted = held_and_predicted(workload, layout)
    assert predicted == pytest.approx(held, rel=0.05)


@pytest.mark.parametrize("model", ["elman", "gru", "mingru", "minlstm", "diagonal-gru", "diagonal-lstm"])
def test_in_bf16_what_is_solved_is_held_in_fp32(model):
    workload = small(model, VOCABULARIES["many"], Numerics(threads=1, precision="bf16"))
    held, predicted = held_and_predicted(workload, NOTHING)
    assert predicted == pytest.approx(held, rel=0.02)
