"""What a rank does in the tests of training over ranks: some steps, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from time import sleep

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crossover.data.options import DataOptions
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.presets import parse_model
from crossover.parallel.apply import send_gradients
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh, everyones, make_mesh, total
from crossover.parallel.traffic import Traffic
from crossover.tasks import TASKS
from crossover.tasks.base import Batch, Task
from crossover.tasks.carry import carries
from crossover.train.checkpoint import Checkpoints
from crossover.train.loop import train
from crossover.train.settings import TrainSettings, resolve, under_layout
from crossover.train.update import Update

STEPS = 3
SMALL = {"width": 16, "layers": 2, "dropout": 0.0}


@dataclass(frozen=True)
class Training:
    """A few steps of a small model, dropout off unless said."""

    task: str
    model: str
    layout: str
    optimizer: str = "sgd"
    accumulate: int = 1
    batch: int = 6
    options: tuple[tuple[str, object], ...] = ()
    dtype: torch.dtype = torch.float64
    dropout: float = 0.0

    def __str__(self) -> str:
        said = f"{self.task}-{self.model}-{self.layout}-{self.optimizer}-x{self.accumulate}"
        said += f"-dropout{self.dropout}" if self.dropout else ""
        said += "" if self.dtype == torch.float64 else f"-{self.dtype}".replace("torch.", "")
        return said.replace("/", "_")


def steps(case: Training, layout: str) -> tuple[list[float], dict[str, Tensor], dict[str, Tensor]]:
    """Losses, the first step's whole gradients and the last weights of `STEPS` steps under `layout`."""
    exact = case.dtype == torch.float64
    update, batches, mesh = prepare(case, layout, exact=exact)
    gradients = _first_gradients(update)
    losses = _taken(update, batches, mesh, STEPS, exact=exact)
    return losses, gradients, _weights(update)


def gone_on_apart(case: Training, other: str, folder: str) -> dict[str, float]:
    """The same of weights only, where the last step is taken under the layout `other`, from a checkpoint."""
    update, batches, mesh = prepare(case, case.layout, exact=True)
    _taken(update, batches, mesh, STEPS - 1, exact=True)
    checkpoints = Checkpoints(Path(folder), {}, mesh, kept=1)
    checkpoints.save(STEPS - 1, update.state(), update.tensors())
    checkpoints.wait()
    everyones(None, mesh.world)  # only the first rank waits for the checkpoint to have its name
    update, batches, mesh = prepare(case, other, exact=True)
    loaded = Checkpoints(Path(folder), {}, mesh, kept=1).load(device=torch.device("cpu"))
    assert loaded is not None
    update.restore(loaded.state, loaded.tensors)
    _taken(update, islice(batches, STEPS - 1, None), mesh, 1, exact=True)
    return _distances("weight", _weights(update), steps(case, "single")[2])


def _taken(
    update: Update, batches: Iterator[tuple[Batch, ...]], mesh: Mesh, count: int, *, exact: bool
) -> list[float]:
    """The losses of `count` steps."""
    losses: list[float] = []
    for slices in islice(batches, count):
        (counted,) = total([sum(update.task.count(part) for part in slices if part.size)], mesh.data)
        loss = update.step([_exact(part) for part in slices] if exact else slices, max(int(counted), 1), 1e-2)
        losses += total([float(loss)], mesh.contributors)
    return losses


def _weights(update: Update) -> dict[str, Tensor]:
    update.shares.gather()
    return {name: value.clone() for name, value in update.spread.model.state_dict().items()}


def prepare(case: Training, layout: str, *, exact: bool = False) -> tuple[Update, Iterator[tuple[Batch, ...]], Mesh]:
    """A model in training under `layout`, in float64 where it is to be exact, and its batches."""
    own, task = Layout.parse(layout), _task(case.task, case.options)
    settings = parse_model(case.model)
    settings = replace(settings, width=SMALL["width"], layers=SMALL["layers"], dropout=case.dropout)
    training = TrainSettings(
        batch=case.batch, optimizer=case.optimizer, accumulate=case.accumulate, learning_rate=1e-2, clip=1.0
    )
    training = under_layout(resolve(training, task.spec, settings), own)
    mesh = make_mesh(own)
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=0)
    model = model.double() if exact else model
    update = Update(task, model, training, Numerics.default(), own, mesh, carry=carries(task.spec, settings))
    for group in update.optimizer.param_groups:
        if "eps" in group:
            group["eps"] = 1e-6
    batches = zip(*(_batches(task, training, shard) for shard in update.shards), strict=False)
    return update, batches, mesh


def with_traffic(case: Training, layout: str, count: int) -> tuple[list[float], int]:
    """The losses of `count` steps, and the bytes of gradients that this rank sends in the last one."""
    update, batches, mesh = prepare(case, layout)
    losses, sent = [], Traffic()
    for number, slices in zip(range(count), batches, strict=False):
        (counted,) = total([sum(update.task.count(part) for part in slices if part.size)], mesh.data)
        with sent if number == count - 1 else nullcontext():
            loss = update.step(slices, max(int(counted), 1), 1e-2)
        losses += total([float(loss)], mesh.contributors)
    return losses, sum(entry.bytes for entry in sent.sent())


def validation_loss(layout: str) -> float:
    """That of a whole run of a few steps of a small classifier."""
    model = replace(parse_model("gru"), width=16, layers=1, dropout=0.0)
    settings = TrainSettings(budget="8steps", evaluations=1)
    task, own = _task("classification/digits", ()), Layout.parse(layout)
    found = train(task, model, settings, numerics=Numerics.default(), layout=own, test=False)
    return found.record.validation_summary["loss"]


def factored_gradients(steps: int) -> list[float]:
    """Norms of a gradient of several buckets that is sent as factors, by a rank that is late at every one of them."""
    late = 0.02 * dist.get_rank()
    layers = [nn.Linear(600, 600) for _ in range(3)]
    for layer in layers:
        layer.register_full_backward_hook(lambda module, given, found: sleep(late))
    replicated = DistributedDataParallel(nn.Sequential(*layers), bucket_cap_mb=1)
    send_gradients(replicated, Layout.parse("data=2,gradients=powersgd"))
    generator = torch.Generator().manual_seed(dist.get_rank())
    for _ in range(steps):
        replicated.zero_grad()
        x = torch.randn(4, 600, generator=generator, requires_grad=True)
        replicated(x).square().sum().backward()
    return [float(parameter.grad.norm()) for parameter in replicated.parameters() if parameter.grad is not None]


def losses_with_dropout(model: str, layout: str, seed: int) -> list[float]:
    """Those of a whole run of a few steps, as this rank tells them."""
    settings = replace(parse_model(model), width=16, layers=2, dropout=0.3)
    training = TrainSettings(budget="5steps", evaluations=1, batch=6, seed=seed)
    task, own = _task("recall", ()), Layout.parse(layout)
    found = train(task, settings, training, numerics=Numerics.default(), layout=own, test=False)
    return [loss for _, loss in found.record.losses]


def by_themselves(case: Training, count: int) -> list[tuple[list[float], float]]:
    """After each of `count` steps: the sum of one matrix on every replica, and in what is put together of them."""
    update, batches, mesh = prepare(case, case.layout, exact=True)
    name = next(name for name in update.shares.own if "mixer" in name)
    found = []
    for _, slices in zip(range(count), batches, strict=False):
        (counted,) = total([sum(update.task.count(part) for part in slices if part.size)], mesh.data)
        update.step(slices, max(int(counted), 1), 1e-2)
        update.shares.gather()
        own, whole = update.shares.own[name], update.spread.model.get_parameter(name)
        found.append((everyones(float(own.detach().sum()), mesh.data), float(whole.detach().sum())))
    return found


def apart(case: Training) -> dict[str, float]:
    """How far this rank's run under the layout is from one on a single device, by what is compared."""
    expected, found = steps(case, "single"), steps(case, case.layout)
    distances = {
        f"loss {i}": abs(ours - theirs) / abs(theirs)
        for i, (ours, theirs) in enumerate(zip(found[0], expected[0], strict=True))
    }
    distances |= _distances("gradient of", found[1], expected[1])
    return distances | _distances("weight", found[2], expected[2])


def _distances(kind: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, float]:
    whole = float(torch.cat([value.flatten().double() for value in theirs.values()]).norm())
    found = {}
    for name, value in theirs.items():
        size = max(float(value.double().norm()), 1e-3 * whole)
        found[f"{kind} {name}"] = float((ours[name].double() - value.double()).norm()) / size
    return found


@cache
def _task(name: str, options: tuple[tuple[str, object], ...]) -> Task:
    return TASKS.get(name)(DataOptions(settings=dict(options)))


def _batches(task: Task, training: TrainSettings, shard: tuple[int, int]) -> Iterator[Batch]:
    size = training.batch or 1
    return task.batches("train", seed=0, epoch=0, batch=size, shard=shard, by=training.batch_by or "rows")


def _exact(batch: Batch) -> Batch:
    """Real inputs in the model's own precision."""
    if not batch.inputs.is_floating_point():
        return batch
    source = batch.source
    if source is not None and source.inputs.is_floating_point():
        source = replace(source, inputs=source.inputs.double())
    return replace(batch, inputs=batch.inputs.double(), source=source)


def _first_gradients(update: Update) -> dict[str, Tensor]:
    """Filled, before the optimiser takes its first step, with the gradients, whole."""
    found: dict[str, Tensor] = {}
    taken = update.optimizer.step

    def step() -> None:
        if not found:
            own = {
                name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
                for name, parameter in update.shares.own.items()
            }
            found.update(update.shares.put_together(own))
        taken()

    update.optimizer.step = step  # type: ignore[method-assign,assignment]
    return found
