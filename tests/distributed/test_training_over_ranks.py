"""Training under a layout is training on one device: losses, every gradient, and the weights after three steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import training_cases
from training_cases import Training

EXACT = 1e-9

CASES = [
    (2, Training("sentiment/headlines", "lstm", "data=2")),
    (2, Training("sentiment/headlines", "transformer", "data=2", "adamw", accumulate=3, batch=7)),
    (2, Training("recall", "gru", "data=2", "adamw", batch=5)),
    (2, Training("recall", "mingru", "tensor=2", "adamw")),
    (2, Training("recall", "lstm", "tensor=2", accumulate=3)),
    (2, Training("recall", "llama-like", "tensor=2", "adamw")),
    (2, Training("sentiment/headlines", "lstm", "tensor=2", "adamw", accumulate=2)),
    (4, Training("sentiment/headlines", "gru", "data=2,tensor=2", "adamw")),
    (2, Training("language-modeling/python-docs", "gpt", "data=2", "adamw")),
    (2, Training("language-modeling/python-docs", "transformer-xl", "tensor=2", "adamw", accumulate=2)),
    (2, Training("language-modeling/python-docs", "elman", "data=2")),
    (2, Training("forecasting/elnino", "transformer", "tensor=2")),
    (2, Training("translation/phrases", "gnmt", "data=2", "adamw")),
    (2, Training("translation/phrases", "transformer", "tensor=2", "adamw")),
    (2, Training("language-modeling/python-docs", "gpt", "sequence=2", "adamw")),
    (2, Training("language-modeling/python-docs", "lstm", "sequence=2", "adamw", accumulate=2)),
    (2, Training("language-modeling/python-docs", "transformer-xl", "sequence=2")),
    (2, Training("sentiment/headlines", "transformer", "sequence=2", "adamw")),
    (2, Training("recall", "linear-attention", "sequence=2", "adamw")),
    (2, Training("forecasting/elnino", "transformer", "sequence=2")),
    (4, Training("recall", "window-transformer", "data=2,sequence=2", "adamw", accumulate=3)),
    (4, Training("recall", "lstm", "tensor=2,sequence=2")),
    (2, Training("recall", "lstm", "pipeline=2,chunks=4", "adamw")),
    (2, Training("language-modeling/python-docs", "gpt", "pipeline=2,microbatches=3", "adamw", accumulate=2)),
    (2, Training("language-modeling/python-docs", "gru", "pipeline=2,chunks=3", "adamw")),
    (2, Training("sentiment/headlines", "bert", "pipeline=2,microbatches=2")),
    (2, Training("translation/phrases", "gnmt", "pipeline=2,microbatches=2", "adamw")),
    (4, Training("recall", "mingru", "pipeline=2,tensor=2,microbatches=2", "adamw")),
    (4, Training("recall", "transformer", "data=2,pipeline=2,microbatches=2,schedule=gpipe", "adamw")),
    (4, Training("translation/phrases", "transformer", "data=2,tensor=2", "adamw", accumulate=3)),
    (4, Training("recall", "lstm", "data=2,tensor=2", "adamw")),
    (4, Training("recall", "minlstm", "data=4", batch=3)),
    (4, Training("recall", "linear-attention", "data=2,tensor=2")),
    (2, Training("recall", "transformer", "sequence=2,sequence_method=ring", "adamw", accumulate=2)),
    (4, Training("language-modeling/python-docs", "gpt", "data=2,sequence=2,sequence_method=ring")),
    (2, Training("recall", "gru", "sequence=2,microbatches=3", "adamw")),
    (4, Training("recall", "lstm", "data=2,sequence=2,microbatches=2", "adamw", accumulate=2)),
    (2, Training("recall", "transformer", "data=2,recompute=blocks", "adamw")),
    (2, Training("recall", "lstm", "pipeline=2,chunks=3,recompute=blocks", "adamw")),
    (2, Training("recall", "gru", "tensor=2,recompute=blocks", "adamw", accumulate=2)),
    (2, Training("recall", "mingru", "sequence=2,recompute=blocks")),
    (2, Training("recall", "window-transformer", "data=2,recompute=chunks,chunks=3", "adamw")),
    (2, Training("recall", "lstm", "tensor=2,recompute=chunks,chunks=3", "adamw", accumulate=2)),
    (2, Training("recall", "lstm", "data=2,shard_parameters=true", "adamw", accumulate=3)),
    (2, Training("sentiment/headlines", "bert", "data=2,shard_parameters=true", batch=5)),
    (2, Training("language-modeling/python-docs", "gpt", "data=2,shard_parameters=true,recompute=blocks", "adamw")),
    (4, Training("translation/phrases", "gnmt", "data=4,shard_parameters=true", "adamw", batch=7)),
    (2, Training("translation/phrases", "transformer", "data=2,shard_parameters=true", "adamw")),
    (4, Training("recall", "minlstm", "data=2,sequence=2,shard_parameters=true", "adamw", accumulate=2)),
]


ROUNDED = 2e-5
FUSED = [
    *[Training("recall", "lstm", layout) for layout in ("data=2", "pipeline=2,chunks=3", "tensor=2", "sequence=2")],
    *[Training("recall", "gru", layout) for layout in ("pipeline=2,microbatches=2", "sequence=2,microbatches=2")],
    *[Training("recall", "mingru", layout) for layout in ("data=2", "tensor=2", "sequence=2")],
    *[Training("recall", "linear-attention", layout) for layout in ("pipeline=2,chunks=3", "sequence=2")],
    *[Training("recall", "transformer", layout) for layout in ("data=2", "pipeline=2,chunks=3", "sequence=2")],
    Training("recall", "transformer", "sequence=2,sequence_method=ring"),
    Training("recall", "window-transformer", "sequence=2"),
    Training("language-modeling/python-docs", "gpt", "tensor=2"),
    Training("recall", "elman", "tensor=2"),
]
"""Kernels that are there for float32 alone, and the others in it."""


@pytest.mark.parametrize("case", [replace(case, dtype=torch.float32) for case in FUSED], ids=str)
def test_in_float32_a_layout_changes_no_more_than_rounding(case, on_ranks):
    for rank, distances in enumerate(on_ranks(2, training_cases.apart, case)):
        far = {name: value for name, value in distances.items() if not value <= ROUNDED}
        assert not far, f"rank {rank}: {far}"


@pytest.mark.parametrize(("ranks", "case"), CASES, ids=lambda value: str(value))
def test_a_layout_changes_nothing_but_where_it_is_computed(ranks, case, on_ranks):
    for rank, distances in enumerate(on_ranks(ranks, training_cases.apart, case)):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"


GONE_ON = [
    (2, Training("recall", "lstm", "tensor=2", "adamw"), "single"),
    (2, Training("recall", "lstm", "pipeline=2,chunks=3", "adamw"), "tensor=2"),
    (2, Training("recall", "lstm", "data=2,shard_parameters=true", "adamw"), "sequence=2"),
    (2, Training("recall", "transformer", "tensor=2", "adamw"), "pipeline=2,microbatches=2"),
    (2, Training("recall", "transformer", "sequence=2"), "data=2,shard_parameters=true"),
    (2, Training("sentiment/headlines", "lstm", "tensor=2", "adamw"), "single"),
    (2, Training("sentiment/headlines", "lstm", "data=2", "adamw"), "tensor=2"),
    (4, Training("sentiment/headlines", "gru", "data=2,tensor=2", "adamw"), "tensor=4"),
    (4, Training("translation/phrases", "gnmt", "tensor=4", "adamw"), "pipeline=2,tensor=2,microbatches=2"),
]


@pytest.mark.parametrize(("ranks", "case", "other"), GONE_ON, ids=str)
def test_a_checkpoint_is_gone_on_with_under_another_layout(ranks, case, other, on_ranks, tmp_path):
    for rank, distances in enumerate(on_ranks(ranks, training_cases.gone_on_apart, case, other, str(tmp_path))):
        far = {name: value for name, value in distances.items() if not value <= EXACT}
        assert not far, f"rank {rank} of {ranks}: {far}"


@pytest.mark.parametrize(
    ("model", "layout"),
    [
        ("lstm", "data=2"),
        ("transformer", "tensor=2"),
        ("lstm", "tensor=2"),
        ("transformer", "sequence=2"),
        ("gru", "pipeline=2,chunks=3"),
    ],
)
def test_with_dropout_the_same_layout_and_seed_give_the_same_losses_on_every_rank(model, layout, on_ranks):
    first, again, other = (on_ranks(2, training_cases.losses_with_dropout, model, layout, seed) for seed in (3, 3, 4))
    assert first[0] == first[1] == again[0] == again[1]
    assert other[0] != first[0]


@pytest.mark.parametrize(("gradients", "bytes_"), [("bf16", 0.5), ("powersgd", 0.75)])
def test_compressed_gradients_are_fewer_bytes_and_train_nearly_as_well(gradients, bytes_, on_ranks):
    case, steps = Training("recall", "lstm", "data=2", "adamw"), 14
    whole, sent = on_ranks(2, training_cases.with_traffic, case, case.layout, steps)[0]
    fewer, fewer_sent = on_ranks(2, training_cases.with_traffic, case, f"data=2,gradients={gradients}", steps)[0]
    assert fewer_sent <= bytes_ * sent
    assert fewer != whole
    assert fewer[-1] == pytest.approx(whole[-1], rel=0.05)
    assert fewer[-1] < fewer[0]


def test_factors_of_two_buckets_are_not_taken_for_one_another_where_a_rank_is_late(on_ranks):
    first, second = on_ranks(2, training_cases.factored_gradients, 14)
    assert len(first) == 6 and first == second and all(norm > 0 for norm in first)


@pytest.mark.parametrize(("synchronise", "together"), [("2", {1, 3}), ("3", {2}), ("end", set())])
def test_replicas_by_themselves_meet_when_they_are_averaged(synchronise, together, on_ranks):
    case = Training("recall", "mingru", f"data=2,synchronise={synchronise}", "adamw")
    for found in on_ranks(2, training_cases.by_themselves, case, 4):
        for step, ((first, second), whole) in enumerate(found):
            assert (abs(first - second) < 1e-12) == (step in together)
            assert whole == pytest.approx((first + second) / 2, abs=1e-12)


def test_rows_handed_out_by_class_give_the_same_gradient_and_other_replicas(on_ranks):
    apart = "data=2,synchronise=end"
    layouts = ("data=2", "data=2,shards=sorted", apart, f"{apart},shards=sorted")
    whole, by_class, merged, merged_by_class = (
        on_ranks(2, training_cases.validation_loss, layout)[0] for layout in layouts
    )
    assert by_class == pytest.approx(whole, rel=1e-4)
    assert merged_by_class != pytest.approx(merged, rel=1e-3)
