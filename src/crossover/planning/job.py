"""What is planned, as a value: a model, its ends, the global batch, and the number formats that it is computed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from crossover.costs import Cost, Execution, Shape
from crossover.errors import ConfigError, unknown
from crossover.models.backbones import mixer_settings
from crossover.models.counting import block_costs, count_parameters, end_costs
from crossover.models.encoder import encoder_mixers
from crossover.models.mixers.base import MixerSettings
from crossover.models.ports import Inputs, Outputs, PerRow, SourceTarget
from crossover.models.settings import ModelSettings
from crossover.planning.machine import ELEMENT_BYTES
from crossover.tasks.base import TaskSpec

Kind = Literal["train", "encode", "decode"]
KINDS: tuple[Kind, ...] = ("train", "encode", "decode")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Bytes of a parameter.

    Those of its weight as it is kept, of its gradient, of what the optimiser has of it, of a copy of the weight in
    the format of products, of a weight in shards that is put together, and of a gradient that is sent.
    """

    weight: float = 4
    gradient: float = 4
    optimizer: float = 8
    copy: float = 0
    gathered: float = 4
    sent: float = 4


def stored(precision: str, optimizer: str) -> Stored:
    """As this program trains: weights, gradients and moments in fp32, products under autocast."""
    moments = {"adamw": 8, "sgd": 4}[optimizer]
    return Stored(optimizer=moments, copy=0 if ELEMENT_BYTES[precision] == 4 else ELEMENT_BYTES[precision])


@dataclass(frozen=True, kw_only=True)
class Job:
    """`rows` rows of `time` steps are the global batch of a training step, or what is encoded at once.

    ``decode`` is one step of each row after `time` others. `scored` is the share of the steps that outputs are
    computed at (None: every one). An encoder-decoder reads `source` steps (0: as many as `time`) besides. `stored` is
    what a parameter takes (None: as this program trains); `noise_bytes` and `dropped_scores` are those of
    `crossover.costs.Execution`. Raises ConfigError for sizes that nothing can have.
    """

    model: ModelSettings
    inputs: Inputs
    outputs: Outputs
    rows: int
    time: int
    source: int = 0
    scored: float | None = None
    causal: bool = True
    kind: Kind = "train"
    precision: str = "bf16"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    fused: bool = True
    dropped_scores: bool = False
    noise_bytes: int = 0
    stored: Stored | None = None
    name: str = field(default="")

    def __post_init__(self) -> None:
        for name in ("rows", "time"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more")
        if self.source < 0:
            raise ConfigError(f"source={self.source} must be 1 or more steps, or 0 for as many as the target has")
        if self.kind not in KINDS:
            raise ConfigError(unknown("pass", self.kind, KINDS))
        if self.precision not in ELEMENT_BYTES:
            raise ConfigError(unknown("precision", self.precision, ELEMENT_BYTES))

    @property
    def element_bytes(self) -> int:
        """Of what layers read and write."""
        return ELEMENT_BYTES[self.precision]

    @property
    def precision_of_ends(self) -> str:
        """That of the table and the outputs: recipes for 8 bits leave these in 16."""
        return "bf16" if self.precision == "fp8" else self.precision

    @property
    def between_blocks(self) -> int:
        """Bytes of an element that goes from block to block."""
        return self.execution.between_blocks

    @property
    def per_parameter(self) -> Stored:
        """What a parameter takes."""
        return self.stored or stored(self.precision, self.optimizer)

    @property
    def read(self) -> int:
        """Steps of the source; 0 without one."""
        return (self.source or self.time) if isinstance(self.inputs, SourceTarget) else 0

    @property
    def steps(self) -> int:
        """Steps that each row computes."""
        return 1 if self.kind == "decode" else self.time

    @property
    def decides_causal(self) -> bool:
        """Whether a step sees only those before it: as the model says, or the task."""
        return self.causal if self.model.causal is None else self.model.causal

    @cached_property
    def mixers(self) -> list[MixerSettings]:
        """Those of every block, of an encoder first."""
        own = list(mixer_settings(self.model, causal=self.decides_causal))
        return [*encoder_mixers(self.model), *own] if self.read else own

    @property
    def encoder_blocks(self) -> int:
        """How many of the blocks read a source."""
        return len(self.mixers) - self.model.layers if self.read else 0

    def looks(self, number: int) -> bool:
        """Whether a block looks at a source."""
        behind = number - self.encoder_blocks
        return bool(self.read) and behind >= 0 and self.model.looks(behind)

    @cached_property
    def parameters(self) -> int:
        """Of the whole model."""
        return count_parameters(self.model, self.inputs, self.outputs, causal=self.causal).total

    def shape(self, rows: int) -> Shape:
        """That of `rows` whole rows."""
        context = self.time if self.kind == "decode" else 0
        return Shape(batch=rows, time=self.steps, context=context, source=self.read, scored=self.outputs_of(rows))

    def outputs_of(self, rows: int) -> int | None:
        """How many steps of so many rows have outputs; None for all."""
        return None if self.scored is None else round(self.scored * rows * self.steps)

    @property
    def execution(self) -> Execution:
        """How costs are counted: as this program computes in 16 bits, blocks hand fp32 on."""
        residual = 4 if self.stored is None and self.element_bytes < 4 else 0
        return Execution(
            element_bytes=self.element_bytes,
            residual_bytes=residual,
            noise_bytes=self.noise_bytes,
            dropped_scores=self.dropped_scores,
            fused=self.fused,
        )

    def blocks(self, rows: int) -> list[Cost]:
        """The costs of every block for so many rows."""
        shape, own = self.shape(rows), self.execution
        return block_costs(self.model, self.inputs, shape, causal=self.causal, execution=own)

    def ends(self, rows: int) -> tuple[Cost, Cost]:
        """Those of what stands before the first block and behind the last."""
        return end_costs(self.model, self.inputs, self.outputs, self.shape(rows), execution=self.execution)

    @property
    def spec(self) -> TaskSpec:
        """What a layout asks of the task."""
        per_row = isinstance(self.outputs, PerRow)
        return TaskSpec(
            name=self.name or self.model.name,
            family="plan",
            description="",
            inputs=self.inputs,
            outputs=self.outputs,
            objective="classification" if per_row else "language-modeling",
            metric="loss",
            higher_is_better=False,
            causal=self.causal,
            margin=0.0,
            batch_rows=self.rows,
        )
