from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from crossover.data.options import DataOptions
from crossover.errors import LayoutError
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.tasks import TASKS

ENDS = {"inputs": Tokens(vocabulary=5), "outputs": PerStep(size=5)}
TASK = SimpleNamespace(name="recall", causal=True, batch_rows=8, batch_tokens=None, **ENDS)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", Layout()),
        ("single", Layout()),
        ("data=2, tensor=2", Layout(data=2, tensor=2)),
        ("pipeline=2,stages=1+3,schedule=1f1b", Layout(pipeline=2, stages=(1, 3), schedule="1f1b")),
        ("data=4,shard_parameters=true,synchronise=end", Layout(data=4, shard_parameters=True, synchronise="end")),
        ('{"data": 2, "stages": null}', Layout(data=2)),
    ],
)
def test_parse_reads_every_form_and_str_is_read_back(text, layout):
    assert Layout.parse(text) == layout
    assert Layout.parse(str(layout)) == layout
    assert Layout.from_json(layout.to_json()) == layout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data", "write AXIS=DEGREE"),
        ("dta=2", "did you mean 'data'"),
        ("data=2,data=3", "gives data twice"),
        ("data=two", "data='two' is not admissible"),
        ("data=0", "data=0 must be 1 or more"),
        ("schedule=1f1c", "did you mean '1f1b'"),
        ("synchronise=never", "synchronise='never' must be a number of steps"),
        ("stages=2+0", r"stages=2\+0 must give every stage 1 block"),
        ("{broken", "no JSON object"),
    ],
)
def test_malformed_layouts_are_refused_with_what_is_admissible(text, message):
    with pytest.raises(LayoutError, match=message):
        Layout.parse(text)


def test_every_reason_comes_at_once_with_its_values():
    layout = Layout(data=2, tensor=3, pipeline=4, sequence_method="scan", stages=(1, 1), shard_parameters=True)
    with pytest.raises(LayoutError) as refused:
        layout.check(4, parse_model("lstm[layers=2,width=64]"), None)
    for part in (
        "data=2 x pipeline=4 x tensor=3 needs 24 devices, given 4",
        "pipeline=4 x interleave=1 needs 4 blocks of 2",
        "stages=1+1 are 2, the pipeline has 4",
        "tensor=3 does not divide the hidden of lstm, 64",
        "tensor=3 does not divide the feed-forward width, 256",
        "sequence_method=scan needs sequence>1",
        "shard_parameters beside pipeline=4 is not carried out by this version",
    ):
        assert part in str(refused.value)


def test_a_model_in_use_is_not_trained():
    for text, devices in (("single", 1), ("data=2,tensor=2", 4), ("pipeline=2,microbatches=64", 2)):
        Layout.parse(text).check_inference(devices, "lstm", TASK)
    with pytest.raises(LayoutError) as refused:
        Layout.parse("pipeline=2,chunks=4,recompute=blocks").check_inference(2, "lstm", TASK)
    for name in ("chunks=4", "recompute=blocks"):
        assert f"{name} is for a run in training: leave it out" in str(refused.value)


def test_what_training_carries_out_is_let_through_and_the_rest_named():
    for text, devices in (
        ("single", 1),
        ("data=2", 2),
        ("data=2,tensor=2,sequence=2", 8),
        ("pipeline=2,chunks=4", 2),
        ("pipeline=2,chunks=4,recompute=blocks", 2),
        ("data=2,shard_parameters=true,gradients=bf16", 2),
        ("sequence=2,microbatches=2", 2),
        ("recompute=blocks", 1),
        ("recompute=chunks,chunks=4", 1),
        ("data=2,tensor=2,recompute=chunks,chunks=4", 4),
    ):
        Layout.parse(text).check(devices, "lstm", TASK)
    for text, model, named in (
        ("data=2,tensor=2,shard_parameters=true", "lstm", "shard_parameters beside tensor=2 is not carried out"),
        ("data=2,shard_parameters=true,synchronise=2", "lstm", "shard_parameters beside synchronise=2 is not"),
        ("data=2,shard_parameters=true,gradients=powersgd", "lstm", "shard_parameters beside gradients=powersgd"),
        ("sequence=2,recompute=blocks", "lstm", "recompute=blocks would ask for the state of lstm twice"),
        ("recompute=chunks", "lstm", "recompute=chunks needs chunks>1"),
        ("recompute=chunks,chunks=2", "gpt", "keeps the state between chunks, and that of attention grows"),
        ("pipeline=2,recompute=chunks,chunks=2", "lstm", "recompute=chunks beside pipeline=2 is not carried out"),
        ("sequence=2,recompute=chunks,chunks=2", "mingru", "recompute=chunks beside sequence=2 is not carried out"),
        ("data=2,pipeline=2,gradients=bf16", "lstm", "gradients=bf16 under a pipeline are not carried out"),
        ("data=2,tensor=2,synchronise=end", "lstm", "synchronise=end beside another axis than data"),
        ("data=2,gradients=bf16,synchronise=8", "lstm", "gradients=bf16 are not sent where replicas synchronise=8"),
        ("pipeline=2,sequence=2", "lstm", "pipeline with sequence is not carried out"),
        ("data=2,shards=sorted", "lstm", "shards=sorted hands rows out by class, and those of recall have none"),
    ):
        layout = Layout.parse(text)
        with pytest.raises(LayoutError, match=named):
            layout.check(layout.devices, model, TASK)


def test_an_encoder_and_what_looks_at_it_are_divided_too():
    translation = TASKS.get("translation/phrases")(DataOptions()).spec
    assert Layout(tensor=4).reasons(4, "transformer[width=64,cross_heads=2]", translation) == [
        "tensor=4 does not divide the cross_heads, 2"
    ]
    for layout in (Layout(sequence=2), Layout(pipeline=2, chunks=2)):
        assert "a source is read whole" in " ".join(layout.reasons(2, "lstm", translation))
    assert Layout(pipeline=4, microbatches=4).reasons(4, "lstm[layers=2]", translation) == []


def test_reasons_depend_on_the_model():
    assert Layout(tensor=4).reasons(4, "transformer[width=64,heads=4]") == []
    assert Layout(tensor=8).reasons(8, "transformer[width=64,heads=4]") == [
        "tensor=8 does not divide the heads of attention, 4",
        "tensor=8 does not divide the kv_heads of attention, 4",
    ]
    assert Layout(sequence=2, sequence_method="ring").reasons(2, "transformer") == []
    assert Layout(sequence=2, sequence_method="scan").reasons(2, "transformer") == [
        "sequence_method=scan is not how the state of attention travels (gather)"
    ]
    encoder = parse_model("lstm[causal=false]")
    assert "split in time" in Layout(sequence=2).reasons(2, encoder)[0]
    assert Layout(pipeline=2, chunks=4).reasons(2, encoder) == [
        "chunks=4 in time need a causal model, lstm is bidirectional here"
    ]


def test_a_batch_must_hold_a_row_for_every_rank_and_micro_batch():
    layout = Layout(data=4, pipeline=2, microbatches=4)
    assert layout.reasons(8, "lstm", TASK) == ["data=4 x microbatches=4 needs 16 rows, a batch of recall has 8"]


@pytest.mark.parametrize(
    "text", ["microbatches=2", "shard_parameters=true", "schedule=gpipe", "gradients=bf16", "shards=sorted"]
)
def test_a_setting_without_its_axis_is_refused(text):
    with pytest.raises(LayoutError, match=r"it needs (pipeline|data)>1"):
        Layout.parse(text).check(1, "lstm", TASK)


def test_the_layout_is_a_value_that_needs_no_torch():
    program = (
        "import sys; from crossover.parallel.layout import Layout; str(Layout(data=2)); print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"
