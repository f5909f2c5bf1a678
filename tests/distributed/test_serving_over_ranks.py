"""A trained model under a layout gives what it gives on one device: outputs, states that go on, written text."""

from __future__ import annotations

import pytest
import serving_cases
from serving_cases import Serving

EXACT = 1e-9

READERS = [
    *[
        (2, Serving(model, layout))
        for model in ("lstm", "mingru", "linear-attention", "transformer", "transformer-xl", "lstm+attention")
        for layout in ("tensor=2", "sequence=2", "pipeline=2")
    ],
    (2, Serving("gpt", "pipeline=2,microbatches=3")),
    (2, Serving("window-transformer", "sequence=2")),
    (2, Serving("transformer", "sequence=2,sequence_method=gather")),
    (2, Serving("bert", "tensor=2", causal=False)),
    (2, Serving("bert", "sequence=2,sequence_method=ring", causal=False)),
    (2, Serving("lstm", "pipeline=2,microbatches=2", causal=False)),
    (2, Serving("lstm", "tensor=2", causal=False)),
    (2, Serving("gru", "pipeline=2,stages=2+1")),
    (4, Serving("elman", "pipeline=2,tensor=2")),
    (4, Serving("transformer", "tensor=2,sequence=2")),
]
WRITERS = [
    (2, Serving("gnmt", "tensor=2")),
    (2, Serving("gnmt", "pipeline=2")),
    (2, Serving("gnmt[cross_layers=1]", "pipeline=2")),
    (2, Serving("transformer", "tensor=2")),
    (2, Serving("transformer", "pipeline=2,interleave=2")),
    (2, Serving("seq2seq", "pipeline=2")),
    (4, Serving("transformer", "pipeline=2,tensor=2")),
]


@pytest.mark.parametrize(("ranks", "case"), READERS, ids=str)
def test_rows_are_read_and_gone_on_from_as_on_one_device(ranks, case, on_ranks):
    for rank, distances in enumerate(on_ranks(ranks, serving_cases.read_and_go_on, case)):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"


@pytest.mark.parametrize(("ranks", "case"), WRITERS, ids=str)
def test_every_rank_writes_what_one_device_writes(ranks, case, on_ranks):
    for alone, together in on_ranks(ranks, serving_cases.written, case):
        assert together == alone
