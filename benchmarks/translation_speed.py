"""Training speed of translation: batches of tokens bucketed by length, against `nn.Transformer` on batches of rows.

    CROSSOVER_DATA=… python benchmarks/translation_speed.py

Both train the same sizes on the same sentences (Tatoeba where the data are, else generated phrases), with AdamW, and
what counts is real target tokens a second. Ours runs with precision=auto; the stock model in fp32 with the platform's
allocator, and again with ours. Each is a process of its own and the processes take turns. Before any time counts, our
model gives the stock model's outputs with the stock model's weights. Keeps its table in benchmarks/results.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain, count
from statistics import median
from typing import TYPE_CHECKING, Any

from in_turn import STOCK_TOO, measured_in_turn, serve

if TYPE_CHECKING:
    from torch import Tensor, nn

    from crossover.models.model import SequenceModel
    from crossover.tasks.base import Batch, Task

LAYERS, WIDTH, HEADS = 3, 256, 4
ROWS, TOKENS = 128, 1100
"""A batch of either kind: about 960 real target tokens on Tatoeba."""
ROUNDS, WARM_UP, STEPS = 5, 3, 12


def task() -> Task:
    """The sentences, with their vocabularies."""
    from crossover.data.options import DataOptions
    from crossover.tasks import TASKS

    name = "translation/tatoeba" if "CROSSOVER_DATA" in os.environ else "translation/phrases"
    return TASKS.get(name)(DataOptions())


def batches(of: Task, by: str) -> Iterator[Batch]:
    """Training batches without end."""
    size = TOKENS if by == "tokens" else ROWS
    return chain.from_iterable(of.batches("train", seed=0, epoch=e, batch=size, by=by) for e in count())  # type: ignore[arg-type]


def our_model(of: Task) -> SequenceModel:
    """The Transformer of 2017 in our words."""
    from crossover.models.model import build_model
    from crossover.models.presets import parse_model

    name = f"transformer-original[layers={LAYERS},width={WIDTH},heads={HEADS},cross_heads={HEADS}]"
    return build_model(parse_model(name), of.spec.inputs, of.spec.outputs, causal=True, seed=0)


def stock_model(of: Task) -> nn.Module:
    """The same in PyTorch's: embeddings, `nn.Transformer` without the norms after its stacks, a projection."""
    import torch
    from torch import nn

    from crossover.models.embedding import sinusoids

    class Stock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = nn.Embedding(of.spec.inputs.source.vocabulary, WIDTH)
            self.target = nn.Embedding(of.spec.inputs.target.vocabulary, WIDTH)
            sizes: dict[str, Any] = {"dim_feedforward": 4 * WIDTH, "dropout": 0.1, "batch_first": True}
            encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(WIDTH, HEADS, **sizes), LAYERS, enable_nested_tensor=False
            )
            decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, **sizes), LAYERS)
            self.body = nn.Transformer(WIDTH, HEADS, custom_encoder=encoder, custom_decoder=decoder, batch_first=True)
            self.head = nn.Linear(WIDTH, of.spec.outputs.size)
            self.dropout = nn.Dropout(0.1)

        def embedded(self, table: nn.Embedding, ids: Tensor) -> Tensor:
            return self.dropout(table(ids) + sinusoids(torch.arange(ids.shape[1]), WIDTH))

        def forward(self, batch: Batch) -> Tensor:
            assert batch.source is not None
            time = batch.inputs.shape[1]
            source_pad, target_pad = (
                torch.arange(ids.shape[1]) >= lengths[:, None]
                for ids, lengths in ((batch.source.inputs, batch.source.lengths_B), (batch.inputs, batch.lengths_B))
            )
            y = self.body(
                self.embedded(self.source, batch.source.inputs),
                self.embedded(self.target, batch.inputs),
                tgt_mask=torch.ones(time, time, dtype=torch.bool).triu(1),
                src_key_padding_mask=source_pad,
                tgt_key_padding_mask=target_pad,
                memory_key_padding_mask=source_pad,
                tgt_is_causal=True,
            )
            return self.head(y)

    torch.manual_seed(0)
    return Stock()


def copy_weights(stock: Any, ours: SequenceModel) -> None:
    """Our model with the stock model's weights."""
    import torch

    assert ours.encoder is not None
    pairs = [
        (ours.encoder.embedding.tokens, stock.source),
        (ours.embedding.tokens, stock.target),
        (ours.head.project, stock.head),
    ]
    encoder = zip(ours.encoder.backbone.blocks, stock.body.encoder.layers, strict=True)
    decoder = zip(ours.backbone.blocks, stock.body.decoder.layers, strict=True)
    with torch.no_grad():
        for block, layer in chain(encoder, decoder):
            pairs += [(block.feed_forward.enter, layer.linear1), (block.feed_forward.leave, layer.linear2)]
            pairs += [(block.mixer.out, layer.self_attn.out_proj), (block.mixer_norm, layer.norm1)]
            block.mixer.qkv.weight.copy_(layer.self_attn.in_proj_weight)
            block.mixer.qkv.bias.copy_(layer.self_attn.in_proj_bias)
            pairs.append((block.feed_forward_norm, layer.norm2 if block.cross is None else layer.norm3))
            if block.cross is not None:
                pairs += [(block.cross.out, layer.multihead_attn.out_proj), (block.cross_norm, layer.norm2)]
                weight, bias = layer.multihead_attn.in_proj_weight, layer.multihead_attn.in_proj_bias
                for part, rows in ((block.cross.query, slice(WIDTH)), (block.cross.key_value, slice(WIDTH, None))):
                    part.weight.copy_(weight[rows])
                    part.bias.copy_(bias[rows])
        for own, other in pairs:
            own.load_state_dict(other.state_dict())


def difference(of: Task) -> float:
    """Largest difference of our outputs from the stock model's at real steps, in fp32, with its weights."""
    import torch

    from crossover.inference.forward import batch_outputs
    from crossover.measure.numerics import Numerics

    stock, ours, batch = stock_model(of).eval(), our_model(of).eval(), next(batches(of, "rows"))
    copy_weights(stock, ours)
    with torch.no_grad():
        found, _ = batch_outputs(ours, batch, Numerics.default())
        expected = stock(batch)
    real_BT = torch.arange(expected.shape[1]) < batch.lengths_B[:, None]
    return float((found - expected)[real_BT].abs().max())


def stepper(kind: str) -> Callable[[], int]:
    """Takes one training step; returns the real target tokens in it."""
    import torch

    from crossover.inference.forward import batch_outputs
    from crossover.measure.numerics import Numerics, choose

    of = task()
    model: nn.Module = our_model(of) if kind == "ours" else stock_model(of)
    numerics = choose("auto", "cpu") if kind == "ours" else Numerics.default()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    given = batches(of, "tokens" if kind == "ours" else "rows")

    def step() -> int:
        batch = next(given)
        outputs = batch_outputs(model, batch, numerics)[0] if kind == "ours" else model(batch)
        loss = of.loss(outputs, batch) / of.count(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not torch.isfinite(loss):
            raise SystemExit(f"{kind}: the loss is {float(loss)}")
        return batch.tokens

    return step


def speed(kind: str) -> Callable[[], float]:
    """Takes `STEPS` training steps; returns real target tokens a second."""
    step = stepper(kind)
    for _ in range(WARM_UP):
        step()

    def measure() -> float:
        started = time.perf_counter()
        tokens = sum(step() for _ in range(STEPS))
        return tokens / (time.perf_counter() - started)

    return measure


def main() -> None:
    """Verify, measure, print and keep the table."""
    from table import keep

    from crossover.measure.numerics import choose

    of = task()
    error = difference(of)
    if error > 1e-4:
        raise SystemExit(f"outputs differ by {error} from the stock model's; no time is taken")
    taken = measured_in_turn(__file__, STOCK_TOO, rounds=ROUNDS)
    lines = [
        f"`{of.spec.name}`, {LAYERS} + {LAYERS} layers of {WIDTH}; ours in batches of {TOKENS} tokens bucketed by "
        f"length, stock in batches of {ROWS} rows. Real target tokens/s, medians of {ROUNDS} rounds.",
        "",
        "| | tokens/s | ours over it | bar |",
        "|---|---|---|---|",
    ]
    for label, found in taken.items():
        ratio = median(a / b for a, b in zip(taken["ours"], found, strict=True))
        cells = (
            label,
            f"{median(found):,.0f}",
            "" if label == "ours" else f"{ratio:.2f}",
            "2" if label == "stock" else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Ours: {choose('auto', 'cpu').describe()}. Largest difference of outputs: {error:.0e}."]
    keep("translation_speed", "Training speed of translation against nn.Transformer", lines)


if __name__ == "__main__":
    serve(speed(sys.argv[1])) if len(sys.argv) > 1 else main()
