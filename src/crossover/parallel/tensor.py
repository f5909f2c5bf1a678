"""The tensor axis: every rank holds a share of each module's hidden units, heads or channels.

A mixer says in its `TensorSharding` what is split; nothing in the mixers themselves knows of ranks. Attention and
feed-forward are split as in Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053): two sums per block forward, two
backward. A dense recurrence exchanges its hidden units at every step, and its input product stays outside the steps;
where it reads rows both ways, two ranks have a direction each.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from crossover.models.block import Block, FeedForward
from crossover.models.cross import CrossAttention
from crossover.models.mixers.base import Mixer, Span, State
from crossover.models.mixers.dense import DenseMixer, product, solve_in_pieces
from crossover.models.mixers.recurrent import RecurrentMixer
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis, add, join, join_step, known, piece, read, sum_over
from crossover.recurrence import solve
from crossover.sharding import Split, TensorSharding


class SummedLinear(nn.Module):
    """A linear map of features that are split over the ranks: the sum of their terms, and the bias once."""

    def __init__(self, linear: nn.Linear, axis: Axis) -> None:
        super().__init__()
        self.weight, self.bias, self.axis = linear.weight, linear.bias, axis

    def forward(self, x: Tensor) -> Tensor:
        """[..., features of this rank] -> [..., outputs]."""
        y = add(F.linear(x, self.weight), self.axis)
        return y if self.bias is None else y + self.bias


Splits = dict[str, Split]
"""Which parameters of a module are pieces of whole ones, and how; the others are whole on every rank."""


def share_model(model: SequenceModel, axis: Axis) -> Splits:
    """Keep this rank's share of every block of `model`, in place; what is not split is computed by every rank."""
    backbones = [("backbone", model.backbone)]
    if model.encoder is not None:
        backbones.append(("encoder.backbone", model.encoder.backbone))
    splits: Splits = {}
    for prefix, backbone in backbones:
        for number, block in enumerate(backbone.blocks):
            found = _share_block(cast(Block, block), axis)
            splits |= {f"{prefix}.blocks.{number}.{name}": split for name, split in found.items()}
    return splits


def _share_block(block: Block, axis: Axis) -> Splits:
    found = {f"mixer.{name}": split for name, split in share_mixer(block.mixer, axis).items()}
    if block.feed_forward is not None:
        found |= {f"feed_forward.{n}": s for n, s in share_feed_forward(block.feed_forward, axis).items()}
    if isinstance(block.cross, CrossAttention):
        found |= {f"cross.{name}": split for name, split in _share_cross(block.cross, axis).items()}
    return found


def share_mixer(mixer: Mixer, axis: Axis) -> Splits:
    """Keep this rank's share of `mixer`, in place; its inputs and outputs stay what they were."""
    sharding = mixer.settings.sharding().tensor
    if sharding is None:
        return {}
    sharding = sharding.over(axis.size)
    _keep_pieces(mixer, sharding.parameters, axis)
    for name in sharding.partial:
        mixer.get_parameter(name).register_hook(partial(sum_over, axis=axis))
    for name in sharding.summed:
        setattr(mixer, name, SummedLinear(cast(nn.Linear, mixer.get_submodule(name)), axis))
    if isinstance(mixer, RecurrentMixer):
        sizes = zip(mixer.state_sizes, sharding.state, strict=True)
        mixer.state_sizes = tuple(size if split is None else size // axis.size for size, split in sizes)
    if sharding.stepwise:
        mixer.solve = partial(_solve_stepwise, mixer=cast(DenseMixer, mixer), axis=axis)  # type: ignore[assignment]
    if sharding.by_direction:
        mixer.solve = partial(_solve_own_direction, mixer=cast(DenseMixer, mixer), axis=axis)  # type: ignore[assignment]
    mixer.register_forward_pre_hook(partial(_enter, sharding=sharding, axis=axis))
    if sharding.joined is not None:
        mixer.register_forward_hook(partial(_leave, split=sharding.joined, axis=axis))
    return dict(sharding.parameters)


def share_feed_forward(module: FeedForward, axis: Axis) -> Splits:
    """Hidden units over the ranks, in place: one sum forward, one backward."""
    hidden = module.leave.in_features
    rows = Split(0, (hidden, hidden) if module.kind == "swiglu" else (hidden,))
    splits = {"enter.weight": rows, "leave.weight": Split(-1, (hidden,))}
    if module.enter.bias is not None:
        splits["enter.bias"] = rows
    _keep_pieces(module, splits, axis)
    module.leave = SummedLinear(module.leave, axis)  # type: ignore[assignment]
    module.register_forward_pre_hook(lambda module, given: (read(given[0], axis),))
    return splits


def _share_cross(module: CrossAttention, axis: Axis) -> Splits:
    """Heads over the ranks, in place. Target and source are both read by every rank."""
    width = module.query.in_features
    queries, keys = Split(0, (width,)), Split(0, (width, width))
    splits = {
        "query.weight": queries,
        "query.bias": queries,
        "key_value.weight": keys,
        "key_value.bias": keys,
        "out.weight": Split(-1, (width,)),
    }
    _keep_pieces(module, splits, axis)
    module.heads //= axis.size
    module.out = SummedLinear(module.out, axis)  # type: ignore[assignment]
    for linear in (module.query, module.key_value):
        linear.register_forward_pre_hook(lambda module, given: (read(given[0], axis),))
    return splits


def _keep_pieces(module: nn.Module, splits: Mapping[str, Split], axis: Axis) -> None:
    for name, split in splits.items():
        owner_name, _, own = name.rpartition(".")
        owner = module.get_submodule(owner_name)
        whole = owner.get_parameter(own)
        kept = piece(whole.detach(), split, axis).clone()
        # What a rank has nothing of never gets a gradient, which DDP would wait for.
        setattr(owner, own, nn.Parameter(kept, requires_grad=whole.requires_grad and kept.numel() > 0))


def _enter(
    module: nn.Module, given: tuple[Tensor, ...], *, sharding: TensorSharding, axis: Axis
) -> tuple[Tensor, ...]:
    x = read(given[0], axis)
    if sharding.takes is not None:
        x = piece(x, sharding.takes, axis)
    return (x, *given[1:])


def _leave(
    module: nn.Module, given: tuple[Tensor, ...], found: tuple[Tensor, State | None], *, split: Split, axis: Axis
) -> tuple[Tensor, State | None]:
    return join(found[0], split, axis), found[1]


def _solve_stepwise(
    x_BTD: Tensor, state: State, span: Span, *, mixer: DenseMixer, axis: Axis
) -> tuple[Tensor, State | None]:
    return mixer.each_way(x_BTD, state, span, partial(_one_way, mixer=mixer, axis=axis))


def _solve_own_direction(
    x_BTD: Tensor, state: State, span: Span, *, mixer: DenseMixer, axis: Axis
) -> tuple[Tensor, State | None]:
    return mixer.in_direction(axis.rank, x_BTD, state, span, solve_in_pieces), None


def _one_way(
    rnn: nn.RNNBase, x_BTD: Tensor, state: State, span: Span, *, mixer: DenseMixer, axis: Axis
) -> tuple[Tensor, State]:
    """The steps of one direction: h is whole on every rank, each computes its own units of the next.

    The state within is (h whole, h of this rank's units, what else it has of them).
    """
    recurrent, units = product(rnn, "hh"), mixer.settings.stacked(-1)

    def cell(entering_BG: Tensor, state: State) -> tuple[Tensor, State]:
        own = mixer.step(entering_BG, recurrent(state[0]), state[1:])
        read_BH, shown_BH = join_step(own[0], units, axis)
        return shown_BH, (read_BH, *own)

    whole_BH = read(state[0], axis)
    start = (whole_BH, piece(whole_BH, units, axis), *state[1:])
    entering_BTG = product(rnn, "ih")(x_BTD)
    h_BTH, (last_BH, *own) = solve(cell, entering_BTG, start, lengths_B=span.lengths_B, resets_BT=span.resets_BT)
    return h_BTH, (known(last_BH.detach(), own[0], units, axis), *own[1:])
