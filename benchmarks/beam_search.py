"""Beam search from the carried state against a decoder that computes the prefix again for every token.

    CROSSOVER_DATA=… python benchmarks/beam_search.py

Both are the same search with the same beam of 4 over test sentences of each task, by models that were trained on it
for a minute; the source is encoded once in both. Generated phrases are short, captions as long as sentences; without
CROSSOVER_DATA only the phrases are read. The two run in turn, twice; a time counts only where their texts are the
same, and those of the batch the same as one by one. Keeps its table in benchmarks/results.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

import torch
from table import keep
from torch import Tensor, nn

from crossover.data.options import DataOptions
from crossover.inference.decode import Beam, beam_search
from crossover.measure.numerics import choose
from crossover.models.backbones import ModelState
from crossover.models.encoder import Source
from crossover.models.model import SequenceModel
from crossover.study.contest import prepare_model
from crossover.tasks import TASKS
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

NAMES = ("phrases", *(("captions",) if "CROSSOVER_DATA" in os.environ else ()))
SENTENCES = 1000
MODELS = ("lstm", "transformer")
BEAM = Beam(size=4)
BATCH = 64
ALONE = 100
ROUNDS = 2


class Recomputing(nn.Module):
    """A decoder without a carried state: its "state" is the prefix, which runs through the whole model each time."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model, self.settings = model, model.settings

    def initial_state(self, batch: int, *, source: Source, capacity: int | None, device: torch.device) -> ModelState:
        """The source as the model remembers it, and an empty prefix."""
        state = self.model.initial_state(batch, source=source, device=device)
        return replace(state, mixers=((torch.zeros(batch, 0, dtype=torch.int64),),))

    def forward(self, last_B1: Tensor, state: ModelState) -> tuple[Tensor, ModelState]:
        """The outputs of the last token, after all tokens so far."""
        ((prefix_BT,),) = state.mixers
        prefix_BT = torch.cat([prefix_BT, last_B1], dim=1)
        fresh = self.model.backbone.initial_state(len(prefix_BT))
        outputs, _ = self.model(prefix_BT, state=replace(fresh, memory=state.memory))
        return outputs[:, -1:], replace(state, mixers=((prefix_BT,),))


def sources(task: object, batch: int, count: int | None = None) -> Iterator[Source]:
    """The test sources in batches, the first `count` of them."""
    seen = 0
    for rows in task.batches("test", seed=0, epoch=0, batch=batch):  # type: ignore[attr-defined]
        if count is not None and seen >= count:
            return
        seen += rows.size
        yield rows.source


def search(model: nn.Module, given: list[Source], numerics: object) -> tuple[list[tuple[int, ...]], float]:
    """The best text of every source, and the seconds it took."""
    started = time.perf_counter()
    found = [best.ids for source in given for (best,) in beam_search(model, source, numerics, BEAM)]  # type: ignore[arg-type]
    return found, time.perf_counter() - started


def row(data: str, name: str) -> str:
    """Train, verify, time; a row of the table."""
    task, numerics = TASKS.get(f"translation/{data}")(DataOptions()), choose("auto", "cpu")
    settings = TrainSettings(budget="60s", evaluations=1)
    trained = train(task, prepare_model(name, task.spec), settings, numerics=numerics, test=False)
    model = trained.model.eval()
    again = Recomputing(model)
    given = list(sources(task, BATCH, SENTENCES))
    pairs = [(search(model, given, numerics), search(again, given, numerics)) for _ in range(ROUNDS)]
    (texts, _), (recomputed, _) = pairs[-1]
    alone, _ = search(model, list(sources(task, 1, ALONE)), numerics)
    differing = sum(a != b for a, b in zip(texts, recomputed, strict=True))
    moved = sum(a != b for a, b in zip(texts[:ALONE], alone, strict=True))
    if differing > len(texts) // 100 or moved > ALONE // 100:
        raise SystemExit(f"{name}: {differing} texts differ from the recomputed, {moved} from one by one")
    ratio = median(slow / fast for (_, fast), (_, slow) in pairs)
    fast, slow = (median(seconds for _, seconds in ways) for ways in zip(*pairs, strict=True))
    tokens = sum(map(len, texts)) / len(texts)
    return (
        f"| {data} | {name} | {len(texts):,} | {tokens:.1f} | {fast:.1f} | {slow:.1f} | {ratio:.2f} | {differing} of "
        f"{len(texts):,} | {moved} of {ALONE} |"
    )


def main() -> None:
    """Print and keep the table."""
    lines = [
        "| task | model | sentences | tokens each | state s | prefix again s | ratio | other texts | one by one |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(data, name) for data in NAMES for name in MODELS),
        "",
        "Other texts: those that differ from the ones of the recomputed prefix, and from those of sentences",
        "decoded one by one; two hypotheses may be equal but for the rounding of other products. The longer the",
        "texts, the more is won.",
    ]
    keep("beam_search", "Beam search from the carried state", lines)


if __name__ == "__main__":
    main()
