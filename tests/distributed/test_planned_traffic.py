"""What the planner says that a rank sends in a whole step, beside what it sends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import traffic_cases
from training_cases import SMALL, Training

from crossover.data.options import DataOptions
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.planning.job import Job
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.planning.step_traffic import step_traffic
from crossover.tasks import TASKS

TASK = "language-modeling/python-docs"
CASES = [
    (ranks, Training(TASK, model, layout, batch=8, dropout=dropout))
    for ranks, model, layout, dropout in [
        (2, "gpt", "data=2", 0.0),
        (2, "lstm", "data=2", 0.0),
        (2, "gpt", "tensor=2", 0.0),
        (2, "lstm", "tensor=2", 0.0),
        (2, "mingru", "tensor=2,recompute=blocks", 0.0),
        (2, "mingru", "tensor=2,recompute=blocks", 0.1),
        (2, "gpt[style=post-norm]", "tensor=2,recompute=blocks", 0.0),
        (2, "lstm-classic", "tensor=2,recompute=blocks", 0.1),
        (2, "mingru", "tensor=2,recompute=chunks,chunks=4", 0.0),
        (2, "lstm", "tensor=2,recompute=chunks,chunks=4", 0.0),
        (2, "gpt", "sequence=2", 0.0),
        (2, "lstm", "sequence=2,microbatches=2", 0.0),
        (2, "mingru", "sequence=2", 0.0),
        (2, "gpt", "pipeline=2,microbatches=4", 0.0),
        (2, "lstm", "pipeline=2,chunks=4", 0.0),
        (4, "gpt", "data=2,tensor=2", 0.0),
        (4, "gpt", "data=2,sequence=2", 0.0),
        (4, "lstm", "tensor=2,sequence=2", 0.0),
        (4, "gru", "pipeline=2,tensor=2,chunks=4", 0.0),
        (4, "transformer", "pipeline=2,tensor=2,microbatches=2", 0.0),
        (4, "lstm", "data=2,pipeline=2,microbatches=2", 0.0),
    ]
]


def planned(case: Training, rank: int, rows: int, time: int) -> list[tuple[str, str, int, int]]:
    spec, layout = TASKS.get(case.task)(DataOptions()).spec, Layout.parse(case.layout)
    model = replace(parse_model(case.model), **{**SMALL, "dropout": case.dropout})
    job = Job(
        model=model,
        inputs=spec.inputs,
        outputs=spec.outputs,
        rows=rows,
        time=time,
        causal=spec.causal,
        precision="fp32",
        optimizer="sgd",
    )
    # From the outermost axis to the innermost: data, pipeline, sequence, tensor.
    stretch = rank // layout.tensor % layout.sequence
    stage = rank // (layout.tensor * layout.sequence) % layout.pipeline
    said = step_traffic(Planner(job, load_machine("cpu")), layout, stage=stage, stretch=stretch)
    return [(sent.operation, sent.axis, sent.count, sent.bytes) for sent in said]


@pytest.mark.parametrize(("ranks", "case"), CASES, ids=str)
def test_a_whole_step_sends_what_was_planned(ranks, case, on_ranks):
    for rank, (found, rows, time) in enumerate(on_ranks(ranks, traffic_cases.in_a_step, case)):
        assert found == planned(case, rank, rows, time)
