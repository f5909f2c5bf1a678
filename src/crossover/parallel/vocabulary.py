"""The vocabulary over the tensor axis: every rank has some tokens' rows of the embedding and of the output layer.

As in Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053, section 3): a token's vector comes from the rank that has
it, and the loss is found from each rank's logits without putting them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.models.heads import StepHead
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis, add, join, piece, read
from crossover.parallel.tensor import Splits
from crossover.parallel.timeline import recorded
from crossover.sharding import Split
from crossover.tasks.objectives import IGNORE


@dataclass(frozen=True)
class Tokens:
    """The tokens of this rank: `count` of `vocabulary`, from `start` on."""

    axis: Axis
    vocabulary: int

    @property
    def count(self) -> int:
        """Tokens of a rank."""
        return self.vocabulary // self.axis.size

    def own(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Places of `ids` among this rank's tokens, and whether they are there; elsewhere the place is some other."""
        places = ids - self.axis.rank * self.count
        here = (places >= 0) & (places < self.count)
        return places.masked_fill(~here, 0), here

    def loss(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float) -> Tensor:
        """`crossover.tasks.objectives.TokenPrediction.loss` of this rank's logits, the same on every rank."""
        logits_NV, targets_N = outputs.reshape(-1, self.count), targets.flatten()
        most_N = logits_NV.detach().amax(-1)
        with recorded("all-reduce", self.axis):
            dist.all_reduce(most_N, dist.ReduceOp.MAX, group=self.axis.group)
        places_N, here_N = self.own(targets_N)
        right_N = logits_NV.gather(1, places_N[:, None])[:, 0].masked_fill(~here_N, 0.0)
        terms = torch.stack([(logits_NV - most_N[:, None]).exp().sum(-1), right_N, logits_NV.sum(-1)])
        total_N, right_N, sum_N = add(terms, self.axis)
        losses_N = most_N + total_N.log() - (1 - label_smoothing) * right_N
        losses_N = losses_N - label_smoothing / self.vocabulary * sum_N
        return losses_N.masked_fill(targets_N == IGNORE, 0.0).sum()


class TokenEmbedding(nn.Module):
    """Ids to vectors, of which each rank has some."""

    def __init__(self, weight: nn.Parameter, tokens: Tokens) -> None:
        super().__init__()
        self.weight, self.tokens = weight, tokens

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., D], whole on every rank."""
        places, here = self.tokens.own(ids)
        return add(F.embedding(places, self.weight).masked_fill(~here[..., None], 0.0), self.tokens.axis)


class TokenLogits(nn.Module):
    """The output layer's logits of this rank's tokens; with `joined` those of all."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, tokens: Tokens, *, joined: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.tokens, self.joined = weight, bias, tokens, joined

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., tokens]."""
        y = F.linear(read(x, self.tokens.axis), self.weight, self.bias)
        return join(y, Split(-1, (self.tokens.vocabulary,)), self.tokens.axis) if self.joined else y


def share_vocabulary(model: SequenceModel, axis: Axis, *, joined: bool) -> tuple[Splits, Tokens | None]:
    """Keep this rank's tokens of embeddings and output layer, in place; a size that does not divide stays whole.

    The second is what finds the loss of the outputs, where they are not `joined`. Tied weights stay tied.
    """
    splits: Splits = {}
    kept: dict[int, nn.Parameter] = {}

    def keep(name: str) -> nn.Parameter:
        parameter = model.get_parameter(name)
        split = splits[name] = Split(0, (len(parameter),))
        if id(parameter) not in kept:
            own = piece(parameter.detach(), split, axis).clone()
            kept[id(parameter)] = nn.Parameter(own, requires_grad=parameter.requires_grad)
        return kept[id(parameter)]

    embeddings = {"embedding": model.embedding}
    if model.encoder is not None:
        embeddings["encoder.embedding"] = model.encoder.embedding
    for name, embedding in embeddings.items():
        table = embedding.tokens
        if isinstance(table, nn.Embedding) and table.num_embeddings % axis.size == 0:
            tokens = Tokens(axis, table.num_embeddings)
            kept_rows = TokenEmbedding(keep(f"{name}.tokens.weight"), tokens)
            embedding.tokens = kept_rows  # type: ignore[assignment]
    head = model.head
    if not isinstance(head, StepHead) or head.project.out_features % axis.size:
        return splits, None
    project, tokens = head.project, Tokens(axis, head.project.out_features)
    weight = keep("head.project.weight")
    bias = None if project.bias is None else keep("head.project.bias")
    head.project = TokenLogits(weight, bias, tokens, joined=joined)  # type: ignore[assignment]
    return splits, None if joined else tokens
