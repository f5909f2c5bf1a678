"""What a rank does in the tests of trained models over ranks: the whole model and its part, on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossover.inference.decode import Beam, Sampling, beam_search, sample
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Inputs, Outputs, PerRow, PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import make_mesh
from crossover.parallel.serving import spread

ROWS, TIME, VOCABULARY = 3, 11, 23
LENGTHS = (11, 4, 7)


@dataclass(frozen=True)
class Serving:
    """A small model and the layout that it is used under; `causal` False: rows to one vector each."""

    model: str
    layout: str
    causal: bool = True

    def __str__(self) -> str:
        return f"{self.model}-{self.layout}" + ("" if self.causal else "-whole-rows")

    def build(self, inputs: Inputs, outputs: Outputs) -> SequenceModel:
        settings = replace(parse_model(self.model), width=16, layers=3, dropout=0.0, encoder_layers=2)
        model = build_model(settings, inputs, outputs, causal=self.causal, seed=0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
        return model.eval()

    def spread(self, model: SequenceModel) -> SequenceModel:
        layout = Layout.parse(self.layout)
        return spread(model, layout, make_mesh(layout))


@torch.inference_mode()
def read_and_go_on(case: Serving) -> dict[str, float]:
    """How far ragged rows, whole rows, and steps one at a time after them are from those of one device."""
    inputs = Tokens(vocabulary=VOCABULARY)
    outputs = PerStep(size=VOCABULARY) if case.causal else PerRow(size=5)
    ids_BT = torch.randint(VOCABULARY, (ROWS, TIME), generator=torch.Generator().manual_seed(1))
    found = []
    for model in (case.build(inputs, outputs).double(), case.spread(case.build(inputs, outputs).double())):
        ragged = Span(torch.tensor(LENGTHS), carry=False)
        parts = {"whole rows": model(ids_BT, span=Span(carry=False))[0], "ragged": model(ids_BT, span=ragged)[0]}
        if case.causal:
            parts |= _steps(model, ids_BT)
        found.append(parts)
    return {name: _distance(ours, found[0][name]) for name, ours in found[1].items()}


def _steps(model: SequenceModel, ids_BT: Tensor) -> dict[str, Tensor]:
    state = model.initial_state(ROWS, capacity=TIME + 4, dtype=torch.float64)
    read, state = model(ids_BT, state=state, span=Span(torch.tensor(LENGTHS)))
    one, state = model(ids_BT[:, :1], state=state)
    state = state.select(torch.tensor([2, 0, 0]))
    two, state = model(ids_BT[:, 1:2], state=state)
    return {"read": read, "a step": one, "a step of other rows": two, "position": state.position_B}


@torch.inference_mode()
def written(case: Serving) -> tuple[list[object], list[object]]:
    """What an encoder-decoder writes by a beam and by sampling: on one device, and under the layout."""
    side = Tokens(vocabulary=VOCABULARY)
    inputs, outputs = SourceTarget(source=side, target=side), PerStep(size=VOCABULARY)
    ids_BS = torch.randint(4, VOCABULARY, (ROWS, TIME), generator=torch.Generator().manual_seed(1))
    source, numerics = Source(ids_BS, torch.tensor(LENGTHS)), Numerics.default()
    found: list[list[object]] = []
    for model in (case.build(inputs, outputs), case.spread(case.build(inputs, outputs))):
        beams = beam_search(model, source, numerics, Beam(size=3, best=2), limit=8)
        told: list[object] = [[tuple(one.ids) for one in row] for row in beams]
        told.append(sample(model, source, numerics, Sampling(temperature=1.0, seed=3), limit=8))
        found.append(told)
    return found[0], found[1]


def _distance(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.double(), theirs.double()
    return float((ours - theirs).norm() / theirs.norm())
