"""NVIDIA's GNMT and Transformer-big, which train on sentences of all lengths, in the planner's words.

What they do is read in their sources (NVIDIA/DeepLearningExamples, PyTorch/Translation), what they read is drawn by
`published_batches`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from published import Row
from published_batches import Batch, Usual, by_buckets, by_pieces, unevenness
from published_case import Case

from crossover.models.ports import PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.job import Job, Stored
from crossover.planning.machine import load_machine
from crossover.planning.practice import Practice
from crossover.planning.predict import Planner

_APART = 20 * 4 + 12 + 4
"""Bytes of a parameter that PyTorch's Adam of 2020 reads and writes, operation by operation, the bound on the
gradient's norm, and the gradient set to zero (GNMT: seq2seq/train/trainer.py, fp_optimizers.py)."""
_IN_ONE = 28 + 2 * 4
"""The same of Adam in one kernel, no bound, and a gradient that is divided by the number of tokens (Transformer-big:
fairseq/ddp_trainer.py, optim/adam.py)."""
_MASTERS = 6 + 6
"""The same of gradients and weights in fp16 beside those of the update (Apex, O2)."""
_FLATTENED = 6
"""How often Apex's replicas read or write a gradient: into a bucket, divided by their number, and back."""


@dataclass(frozen=True)
class Program:
    """A model, the batches that a device reads, and what an update moves.

    `both` says whether pieces of both languages are counted, or the target's alone; with `summed_each` replicas add
    up at every way back, whether an update follows or not (Apex, unless it is told otherwise).
    """

    model: ModelSettings
    vocabulary: int
    batches: tuple[Batch, ...]
    both: bool
    updated: float
    summed_each: bool
    fused: bool


def translation(row: Row) -> Case | str:
    """A row of either page."""
    devices = int(row["n_gpus"])
    if "4-layer enc" in row["model_family"]:
        rows = int(row["micro_batch"])
        layout = Layout(data=devices, accumulate=int(row["global_batch"]) // (devices * rows))
        return _case(row, _gnmt(rows), layout)
    if "fairseq" in row["model_family"]:
        pieces = int(row["micro_batch"].split()[0])
        return _case(row, _transformer_big(pieces), Layout(data=devices))
    return "another framework or model"


def _gnmt(rows: int) -> Program:
    sizes = "layers=4,width=1024,dropout=0.2,cross_layers=1"
    model = replace(parse_model(f"gnmt[{sizes}]"), name="GNMT", max_length=64)
    return Program(model, 32_320, by_buckets(rows), both=True, updated=_APART, summed_each=True, fused=True)


def _transformer_big(pieces: int) -> Program:
    sizes = "layers=6,width=1024,feed_forward_width=4096,attention.heads=16,cross_heads=16,tie_embeddings=true"
    model = replace(parse_model(f"transformer-original[{sizes}]"), name="Transformer-big", max_length=1024)
    # Of 2020: scores are written out, and dropped like all else.
    return Program(model, 33_712, by_pieces(pieces), both=False, updated=_IN_ONE, summed_each=False, fused=False)


def _case(row: Row, program: Program, layout: Layout) -> Case:
    usual, tokens = Usual.of(program.batches), Tokens(vocabulary=program.vocabulary)
    precision = row["precision"].split("-")[0]
    machine = "a100-40" if "A100" in row["gpu"] else "v100-16"
    job = Job(
        model=program.model,
        inputs=SourceTarget(source=tokens, target=tokens, shared=program.model.tie_embeddings),
        outputs=PerStep(size=program.vocabulary),
        rows=round(usual.rows) * layout.data * layout.accumulate,
        time=round(usual.target),
        source=round(usual.source),
        precision=precision,
        fused=program.fused,
        dropped_scores=not program.fused,
        stored=Stored(sent=2 if precision == "fp16" else 4),
    )
    label = f"{program.model.name} {machine} x {row['n_gpus']}, {precision}"
    counted = usual.target_pieces + (usual.source_pieces if program.both else 0)
    seconds, practice = job.rows * counted / float(row["value"]), _practice(program, job, machine)
    return Case(program.model.name, label, job, layout, machine, seconds, row["metric"], practice=practice)


def _practice(program: Program, job: Job, machine: str) -> Practice:
    """With masters of the weights beside fp16, gradients in buckets, and batches that take as long as planned."""

    def seconds(batch: Batch) -> float:
        own = replace(job, rows=batch.rows, time=batch.target, source=batch.source)
        return Planner(own, load_machine(machine)).predict(Layout()).compute_seconds

    in_16_bits = job.precision == "fp16"
    return Practice(
        updated=program.updated + (_MASTERS if in_16_bits else 0),
        copied=_FLATTENED * (2.0 if in_16_bits else 4.0),
        summed_each=program.summed_each,
        uneven=unevenness(program.batches, seconds),
    )
