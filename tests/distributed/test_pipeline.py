"""A pipeline computes what one device computes, whatever the schedule: the loss, and every rank's every gradient."""

from __future__ import annotations

import pipeline_cases
import pytest
from pipeline_cases import Case

EXACT = 1e-9

DECODERS = ("lstm", "gru", "elman", "mingru", "minlstm", "linear-attention", "convolution", "transformer", "gpt")
DECODERS += ("window-transformer", "transformer-xl", "llama-like", "lstm-classic", "lstm+attention")
SCHEDULES = (
    "pipeline=2,microbatches=2,schedule=gpipe",
    "pipeline=2,microbatches=4",
    "pipeline=2,chunks=3",
    "pipeline=2,microbatches=2,chunks=4,schedule=1f1b",
    "pipeline=2,interleave=2,microbatches=2",
)

CASES = [
    *((2, Case(model, SCHEDULES[number % len(SCHEDULES)])) for number, model in enumerate(DECODERS)),
    *((2, Case("lstm", schedule)) for schedule in SCHEDULES),
    *((2, Case("transformer", schedule)) for schedule in SCHEDULES),
    *((4, Case(model, "pipeline=4,chunks=5", ragged=False)) for model in ("lstm", "mingru", "transformer")),
    (4, Case("gru", "pipeline=4,microbatches=4,stages=1+2+1+1", layers=5)),
    *((2, Case(model, "pipeline=2,microbatches=2", causal=False)) for model in ("lstm", "bert", "mingru")),
    *((2, Case(model, "pipeline=2,microbatches=2", source=True)) for model in ("gnmt", "transformer", "seq2seq")),
    (4, Case("transformer-original", "pipeline=4,microbatches=4", source=True, layers=3)),
    (2, Case("gnmt[cross_layers=1]", "pipeline=2,interleave=2,microbatches=2", source=True, layers=3)),
]


@pytest.mark.parametrize(("ranks", "case"), CASES, ids=str)
def test_stages_give_what_the_whole_model_gives(ranks, case, on_ranks):
    for rank, distances in enumerate(on_ranks(ranks, pipeline_cases.apart, case)):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"
