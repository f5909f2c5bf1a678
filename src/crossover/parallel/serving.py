"""A trained model spread over ranks: it is called, and carries its state, as on one device.

Every rank makes the same calls with the same inputs and is given the same outputs, so that whatever writes with a
model (greedy, by sampling, by a beam) does not know of ranks. Of a state each rank keeps its own part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from crossover.models.backbones import ModelState
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh
from crossover.parallel.relay import Relay
from crossover.parallel.sequence import share_time
from crossover.parallel.stretch import Stretch
from crossover.parallel.tensor import share_model
from crossover.parallel.vocabulary import share_vocabulary

Outputs = tuple[Tensor, ModelState | None]
"""What a model gives: outputs, and the state after them."""


def spread(model: SequenceModel, layout: Layout, mesh: Mesh) -> SequenceModel:
    """Let this rank keep its part of `model`, in place, for inference; rows over `data` are the caller's to split."""
    if mesh.tensor.size > 1:
        share_model(model, mesh.tensor)
        share_vocabulary(model, mesh.tensor, joined=True)
    if mesh.sequence.size > 1:
        _share_rows(model, layout, mesh)
    if mesh.pipeline.size > 1:
        Relay(model, layout, mesh.pipeline)
    return model


def _share_rows(model: SequenceModel, layout: Layout, mesh: Mesh) -> None:
    """Rows are split in time while they are read; steps fewer than the ranks are taken by every rank."""
    kept = [*model.parameters(), mesh.tensor]
    alone = deepcopy(model, {id(one): one for one in kept})
    stretch = share_time(model, mesh.sequence, whole_outputs=True, method=layout.sequence_method)
    model.forward = partial(  # type: ignore[method-assign]
        _stretched, within=model.forward, alone=alone.forward, stretch=stretch
    )


def _stretched(
    inputs: Tensor,
    features: Mapping[str, Tensor] | None = None,
    state: ModelState | None = None,
    span: Span | None = None,
    source: Source | None = None,
    scored_N: Tensor | None = None,
    *,
    within: Callable[..., Outputs],
    alone: Callable[..., Outputs],
    stretch: Stretch,
) -> Outputs:
    span = span or Span()
    if inputs.shape[1] < stretch.axis.size:
        return alone(inputs, features, state, span, source, scored_N)
    own = stretch.enter(inputs.shape[1], span)
    features = {name: stretch.cut(value_BT) for name, value_BT in (features or {}).items()}
    outputs, after = within(stretch.cut(inputs), features or None, state, own, source)
    if after is not None:
        before_B = state.position_B if state is not None else torch.zeros_like(after.position_B)
        after = replace(after, position_B=stretch.position(before_B))
    if scored_N is not None:
        outputs = outputs.flatten(0, 1).index_select(0, scored_N)
    return outputs, after
