"""What a rank sends in one forward and one backward pass."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from mixer_cases import world
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from training_cases import Training, prepare

from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Mixer, Span
from crossover.parallel.mesh import total
from crossover.parallel.sequence import share_mixer_time
from crossover.parallel.stretch import Stretch
from crossover.parallel.tensor import share_mixer
from crossover.parallel.traffic import Traffic
from crossover.testing.probes import draw_mixer

BATCH, TIME, WIDTH = 3, 6, 16
Table = list[tuple[str, str, int, int]]


def over_tensor(name: str, causal: bool = True) -> tuple[Table, Table]:
    axis, mixer = world("tensor"), draw_mixer(MIXERS.get(name)(width=WIDTH, causal=causal))
    share_mixer(mixer, axis)
    return _tables(mixer, TIME, Traffic(axis), Traffic(axis), Span(carry=False))


def over_sequence(name: str, time: int = TIME) -> tuple[Table, Table]:
    axis, mixer = world("sequence"), draw_mixer(MIXERS.get(name)(width=WIDTH))
    stretch = Stretch(axis)
    share_mixer_time(mixer, stretch)
    span = stretch.enter(time, Span(carry=False))
    return _tables(mixer, stretch.steps, Traffic(axis), Traffic(axis), span)


def over_data() -> Table:
    axis = world("data")
    model = DistributedDataParallel(nn.Linear(WIDTH, WIDTH).double())
    y = model(torch.randn(BATCH, WIDTH, dtype=torch.float64))
    with Traffic(axis) as sent:
        y.sum().backward()
    return _table(sent)


def _tables(mixer: Mixer, time: int, forward: Traffic, backward: Traffic, span: Span) -> tuple[Table, Table]:
    x_BTD = torch.randn(BATCH, time, WIDTH, dtype=torch.float64, requires_grad=True)
    with forward:
        y_BTD, _ = mixer(x_BTD, None, span)
    with backward:
        y_BTD.square().sum().backward()
    return _table(forward), _table(backward)


def _table(traffic: Traffic) -> Table:
    return [(sent.operation, sent.axis, sent.count, sent.bytes) for sent in traffic.sent()]


def in_a_step(case: Training) -> tuple[Table, int, int]:
    """What this rank sends in the third step of a run, and the rows and the steps of its global batch."""
    update, batches, mesh = prepare(case, case.layout)
    sent, shape = Traffic(*mesh.axes), (0, 0)
    for number, slices in zip(range(3), batches, strict=False):
        (counted,) = total([sum(update.task.count(part) for part in slices if part.size)], mesh.data)
        with sent if number == 2 else nullcontext():
            update.step(slices, max(int(counted), 1), 1e-2)
        shape = sum(part.size for part in slices) * mesh.data.size, slices[0].inputs.shape[1]
    return _table(sent), *shape
