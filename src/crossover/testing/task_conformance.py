"""The conformance suite of tasks: what training, comparing and predicting rely on; for a user's task too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.errors import DataError
from crossover.inference.forward import batch_outputs
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.ports import PerRow
from crossover.models.presets import parse_model
from crossover.tasks import RESTORERS, TASKS, Batch, Split, Sums, Task
from crossover.testing.results import Check, CheckResult, require, require_close, run_check

ROWS = 8
BATCHES = 4
"""Of train, which may be long, this many batches are looked at."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def check_task(task: str | Task) -> list[CheckResult]:
    """Run the suite on a task, or on a registered name with its own data (a ConfigError where it is unknown)."""
    subject = TASKS.get(task)(DataOptions()) if isinstance(task, str) else task
    return [run_check(check, subject) for check in CHECKS]


def check_batches(task: Task) -> str:
    """Batches are pure in their arguments: train shuffled by seed and epoch, the other splits whole and in order."""
    first, again = _few(task, epoch=1), _few(task, epoch=1)
    require(len(first) > 0 and len(first) == len(again), "train gives no batches, or not the same number twice")
    for ours, theirs in zip(first, again, strict=True):
        require(_same(ours, theirs), "two calls with the same arguments give different batches")
    unchanged = all(_same(ours, theirs) for ours, theirs in zip(first, _few(task, epoch=2), strict=True))
    require(task.size("train") < 4 or not unchanged, "epochs 1 and 2 give train in the same order")
    for split in ("valid", "test"):
        seen = torch.cat([batch.rows_B for batch in task.batches(split, seed=0, epoch=0, batch=64)])
        seen = seen.sort().values if task.spec.carry != "none" else seen
        require(torch.equal(seen, torch.arange(task.size(split))), f"{split} is not given whole and in order")
    return "batches are pure in their arguments; valid and test are whole and in order"


def check_shapes(task: Task) -> str:
    """Inputs, lengths and row numbers are of the shapes and types that `Batch` promises."""
    for split in SPLITS:
        batch = next(iter(task.batches(split, seed=0, epoch=0, batch=ROWS)))
        size, time = batch.inputs.shape[:2]
        expected = torch.int64 if batch.inputs.ndim == 2 else torch.float32
        require(batch.inputs.dtype == expected, f"inputs {tuple(batch.inputs.shape)} are {batch.inputs.dtype}")
        require(bool(batch.inputs.double().isfinite().all()), f"inputs of {split} hold values that are not finite")
        lengths = batch.lengths_B
        require(
            lengths.shape == (size,) and int(lengths.max()) <= time, f"lengths {lengths.tolist()} for {time} steps"
        )
        require(batch.rows_B.shape == (size,), f"rows_B has shape {tuple(batch.rows_B.shape)} for {size} rows")
        require(task.count(batch) > 0, f"the first batch of {split} counts {task.count(batch)} units")
        longest = task.spec.max_length
        require(time <= longest, f"a batch of {split} has {time} steps, but the task states at most {longest}")
        if batch.source is not None:
            read, most = batch.source.inputs.shape[1], int(batch.source.lengths_B.max())
            require(most <= read <= longest, f"a source of {split} has {read} steps, {most} of them real")
    return "every split gives batches of the promised shapes"


def check_tokens(task: Task) -> str:
    """Batches by tokens hold at most that many padded steps, and every row once."""
    limit = 4 * task.spec.max_length
    seen = []
    for batch in task.batches("valid", seed=0, epoch=0, batch=limit, by="tokens"):
        steps = batch.inputs.shape[0] * batch.inputs.shape[1]
        require(steps <= limit, f"a batch of at most {limit} tokens holds {steps} padded steps")
        seen.append(batch.rows_B)
    rows = torch.cat(seen).sort().values
    require(torch.equal(rows, torch.arange(task.size("valid"))), "batches by tokens do not hold every row once")
    return f"batches by tokens hold at most the given {limit} padded steps"


def check_shards(task: Task) -> str:
    """Shards are row slices of the same global batches: as many on each, together the whole."""
    whole = _few(task)
    for ranks in (2, 3):
        shards = [_few(task, shard=(rank, ranks)) for rank in range(ranks)]
        lengths = {len(shard) for shard in shards}
        require(lengths == {len(whole)}, f"{ranks} shards give {sorted(lengths)} batches, not {len(whole)} each")
        for index, batch in enumerate(whole):
            rows = torch.cat([shard[index].rows_B for shard in shards])
            require(torch.equal(rows, batch.rows_B), f"{ranks} shards of batch {index} are not the global batch")
    return "shards partition every global batch"


def check_start(task: Task) -> str:
    """`start` leaves out exactly the first batches."""
    whole, rest = _few(task, limit=BATCHES + 2), _few(task, start=2)
    for ours, theirs in zip(rest, whole[2:], strict=True):
        require(_same(ours, theirs), "start=2 does not go on at the third batch")
    return "start leaves out exactly the first batches"


def check_loss(task: Task) -> str:
    """Loss and count are sums over rows, zero for no rows."""
    for batch in _valid(task, limit=2):
        outputs = _draw_outputs(task, batch)
        half = batch.size // 2
        parts = [slice(0, half), slice(half, batch.size)]
        for smoothing in (0.0, 0.1):
            loss = task.loss(outputs, batch, label_smoothing=smoothing)
            require(loss.ndim == 0 and bool(loss.isfinite()), f"the loss of drawn outputs is {loss.tolist()}")
            halves = [task.loss(outputs[part], rows_of(batch, part), label_smoothing=smoothing) for part in parts]
            require_close("the loss of two halves together", torch.stack(halves).sum(), loss, 1e-5)
        counts = [task.count(rows_of(batch, part)) for part in parts]
        require(sum(counts) == task.count(batch), f"halves count {counts}, the whole batch {task.count(batch)}")
        none = slice(0, 0)
        nothing = float(task.loss(outputs[none], rows_of(batch, none)))
        require(nothing == 0 and task.count(rows_of(batch, none)) == 0, f"no rows have the loss {nothing:g}, not 0")
    return "the loss is a sum: two halves make the whole, and no rows make zero"


def check_gradient(task: Task) -> str:
    """The loss has a finite gradient to the outputs."""
    batch = _valid(task, limit=1)[0]
    outputs = _draw_outputs(task, batch).requires_grad_()
    (gradient,) = torch.autograd.grad(task.loss(outputs, batch), outputs)
    require(bool(gradient.isfinite().all() and gradient.any()), "the loss's gradient is zero or not finite")
    return "the loss has a finite gradient"


def check_metrics(task: Task) -> str:
    """Statistics have the rows on their first dim, add up, and agree with loss and count."""
    batch = _valid(task, limit=1)[0]
    outputs = _draw_outputs(task, batch)
    items = task.metrics(outputs, batch)
    require({"loss", "count"} <= set(items), f"metrics holds {sorted(items)}: it must hold loss and count")
    half = batch.size // 2
    parts = [task.metrics(outputs[part], rows_of(batch, part)) for part in (slice(0, half), slice(half, batch.size))]
    for name, values in items.items():
        shape = np.shape(values)
        require(shape[:1] == (batch.size,), f"metrics gives {name} of shape {shape} for {batch.size} rows")
        joined = np.concatenate([part[name] for part in parts])
        require(np.allclose(joined, values, rtol=1e-5), f"{name} of two halves is not {name} of the whole")
    counted, count = float(items["count"].sum()), task.count(batch)
    require(math.isclose(counted, count), f"the metrics count {counted:g} units, the loss {count}")
    scores = task.summarise(_sum(items))
    require(math.isfinite(scores.get("loss", math.nan)), f"summarise gives no finite loss but {scores}")
    require(math.isfinite(scores.get(task.spec.metric, math.nan)), f"summarise gives no {task.spec.metric}: {scores}")
    json.dumps(task.details(items))
    return f"{len(items)} statistics add up to {', '.join(scores)}"


def check_padding(task: Task) -> str:
    """A small model's loss on a padded batch is the sum of its losses on the rows alone."""
    settings = replace(parse_model("gru"), width=8, layers=1, dropout=0.0)
    spec, numerics = task.spec, Numerics()
    model = build_model(settings, spec.inputs, spec.outputs, causal=spec.causal, seed=0).eval()
    together = next(iter(task.batches("valid", seed=0, epoch=0, batch=ROWS)))
    wanted = set(together.rows_B.tolist())
    singles = (batch for batch in task.batches("valid", seed=0, epoch=0, batch=1) if int(batch.rows_B) in wanted)
    alone = islice(singles, together.size)
    with torch.no_grad():
        losses = []
        for batch in (together, *alone):
            outputs, _ = batch_outputs(model, batch, numerics)
            losses.append(task.loss(outputs, batch))
    require_close("the loss of rows alone", torch.stack(losses[1:]).sum(), losses[0], 1e-4)
    return f"padding does not change the loss of {together.size} rows"


def check_baselines(task: Task) -> str:
    """A trivial and a strong baseline, named, with finite scores that their own statistics give."""
    baselines = task.baselines("valid")
    names = [baseline.name for baseline in baselines]
    require(all(names) and len(set(names)) == len(names), f"the baselines are named {names}: give each a name")
    kinds = {baseline.kind for baseline in baselines}
    require(kinds == {"trivial", "strong"}, f"the baselines are {sorted(kinds)}: give a trivial and a strong one")
    for baseline in baselines:
        require(math.isfinite(baseline.score), f"baseline {baseline.name!r} scores {baseline.score}")
        if baseline.items is not None:
            sizes = {len(values) for values in baseline.items.values()}
            require(sizes == {task.size("valid")}, f"baseline {baseline.name!r} has statistics of {sizes} rows")
            score = task.summarise(_sum(baseline.items))[task.spec.metric]
            agree = math.isclose(score, baseline.score, rel_tol=1e-6)
            require(agree, f"baseline {baseline.name!r} states {baseline.score:g}, its statistics give {score:g}")
    scores = [f"{baseline.name} {baseline.score:.4g}" for baseline in baselines]
    return f"{task.spec.metric} on valid: {', '.join(scores)}"


def check_predictions(task: Task) -> str:
    """Every row is decoded to a JSON-able prediction, and samples are texts."""
    batch = _valid(task, limit=1)[0]
    outputs = _draw_outputs(task, batch)
    decoded = task.decode(outputs, batch)
    require(len(decoded) == batch.size, f"{batch.size} rows are decoded to {len(decoded)} predictions")
    json.dumps(decoded)
    samples = task.samples(outputs, batch, limit=2)
    require(len(samples) <= 2, f"samples(limit=2) gives {len(samples)}")
    for sample in samples:
        stated = [sample.get(name) for name in ("input", "target", "prediction")]
        require(all(isinstance(text, str) for text in stated), f"a sample is {sample}")
    json.dumps(samples)
    return "every row is decoded, and samples are texts"


def check_text(task: Task) -> str:
    """Text becomes a batch, or is refused with a DataError."""
    try:
        batch = task.encode(["one two", "three"])
    except DataError as refusal:
        return f"it takes no text: {refusal}"
    require(batch.size == 2 and int(batch.lengths_B.min()) > 0, f"two texts gave a batch of {batch.size} rows")
    return "two texts become a batch of two rows"


def check_artifacts(task: Task) -> str:
    """What prediction needs is JSON-able, and where the family is registered it gives the same spec and decoding."""
    artifacts = json.loads(json.dumps(task.artifacts()))
    family = artifacts.get("family")
    if family is None or family not in RESTORERS:
        return "its artifacts are JSON-able"
    restored = RESTORERS.get(family)(artifacts)
    for name in ("inputs", "outputs", "causal", "labels", "metric"):
        ours, theirs = getattr(restored.spec, name), getattr(task.spec, name)
        require(ours == theirs, f"restored from its artifacts it has {name} {ours} instead of {theirs}")
    batch = _valid(task, limit=1)[0]
    outputs = _draw_outputs(task, batch)
    same = restored.decode(outputs, batch) == task.decode(outputs, batch)
    require(same, "restored from its artifacts it decodes the same outputs differently")
    return "its artifacts are JSON-able and restore spec and decoding"


CHECKS: tuple[Check[Task], ...] = (
    Check("batches", check_batches),
    Check("shapes", check_shapes),
    Check("tokens", check_tokens),
    Check("shards", check_shards),
    Check("start", check_start),
    Check("loss", check_loss),
    Check("gradient", check_gradient),
    Check("metrics", check_metrics),
    Check("padding", check_padding),
    Check("baselines", check_baselines),
    Check("predictions", check_predictions),
    Check("text", check_text),
    Check("artifacts", check_artifacts),
)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, padded as they are."""

    def cut(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        return {name: part[rows] for name, part in value.items()} if isinstance(value, Mapping) else value[rows]

    return replace(batch, **{field.name: cut(getattr(batch, field.name)) for field in fields(batch)})


def _few(
    task: Task, *, epoch: int = 0, shard: tuple[int, int] = (0, 1), start: int = 0, limit: int = BATCHES
) -> list[Batch]:
    batches: Iterator[Batch] = task.batches("train", seed=3, epoch=epoch, batch=ROWS, shard=shard, start=start)
    return list(islice(batches, limit))


def _valid(task: Task, *, limit: int) -> list[Batch]:
    return list(islice(task.batches("valid", seed=0, epoch=0, batch=ROWS), limit))


def _same(ours: Batch, theirs: Batch) -> bool:
    a, b = _tensors(ours), _tensors(theirs)
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """Every tensor of a batch by a name of its own."""
    named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    found = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    for part in ("features", "extra"):
        found |= {f"{part}.{name}": value for name, value in named[part].items()}
    if batch.source is not None:
        found |= {"source": batch.source.inputs, "source lengths": batch.source.lengths_B}
    return found


def _draw_outputs(task: Task, batch: Batch) -> Tensor:
    """Outputs of the right shape for the batch, drawn from a fixed seed."""
    outputs = task.spec.outputs
    steps = () if isinstance(outputs, PerRow) else (batch.inputs.shape[1],)
    generator = torch.Generator().manual_seed(0)
    return torch.randn((batch.size, *steps, outputs.size), generator=generator)


def _sum(items: Sums) -> Sums:
    return {name: values.sum(0) for name, values in items.items()}
