"""A workload: a model, a shape and a pass, as a value, so that time and memory are measured on the same thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.config import build
from crossover.costs import Cost, Execution, Shape
from crossover.errors import ConfigError, unknown
from crossover.measure.numerics import Numerics
from crossover.models.backbones import ModelState
from crossover.models.counting import model_cost
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.mixers.solved import use_solvers
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import (
    Inputs,
    Outputs,
    PerStep,
    SourceTarget,
    Tokens,
    port_from_json,
    port_to_json,
    steps_of,
)
from crossover.models.settings import ModelSettings
from crossover.planning.job import Job
from crossover.recurrence.checks import Solver

Pass = Literal["train", "encode", "decode"]
PASSES: tuple[Pass, ...] = ("train", "encode", "decode")
_PREFILL = 128


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One point of a cost curve.

    ``train`` is a whole training step (forward, loss, backward, AdamW) on `batch` rows of `time` steps; ``encode``
    whole-sequence inference on them; ``decode`` one step of streaming inference after `time` steps, from the carried
    state (a hidden state or a cache of keys and values). Without `fused` every mixer runs its definition: for
    attention that is the matrix of scores written out. An encoder-decoder reads `source` steps (0: as many as
    `time`) of a source besides. `solvers` name the solver of recurrences that leave it open, by mixer; see
    `crossover.measure.solvers`.
    """

    model: ModelSettings
    inputs: Inputs = field(default_factory=lambda: Tokens(vocabulary=256))
    outputs: Outputs = field(default_factory=lambda: PerStep(size=256))
    causal: bool = True
    batch: int = 1
    time: int = 128
    source: int = 0
    kind: Pass = "train"
    fused: bool = True
    numerics: Numerics = field(default_factory=Numerics)
    seed: int = 0
    solvers: Mapping[str, Solver] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in PASSES:
            raise ConfigError(unknown("pass", self.kind, PASSES))
        if self.batch < 1 or self.time < 1:
            raise ConfigError(f"batch={self.batch} and time={self.time} must both be 1 or more")

    @property
    def read(self) -> int:
        """Steps of the source that the model reads; 0 without one."""
        return (self.source or self.time) if isinstance(self.inputs, SourceTarget) else 0

    def to_json(self) -> dict[str, Any]:
        """The JSON form, by which a workload reaches another process."""
        ports = {"inputs": port_to_json(self.inputs), "outputs": port_to_json(self.outputs)}
        return {**asdict(self), **ports}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Workload:
        """The workload that `to_json` wrote; anything else is a ConfigError or KeyError."""
        return cls(
            **{
                **value,
                "model": build(ModelSettings, value["model"], path="model"),
                "inputs": port_from_json(value["inputs"]),
                "outputs": port_from_json(value["outputs"]),
                "numerics": Numerics.from_json(value["numerics"]),
            }
        )

    @classmethod
    def of(cls, job: Job, numerics: Numerics) -> Workload:
        """What is planned, to be measured with these numerics."""
        return cls(
            model=job.model,
            inputs=job.inputs,
            outputs=job.outputs,
            causal=job.causal,
            batch=job.rows,
            time=job.time,
            source=job.source,
            kind=job.kind,
            fused=job.fused,
            numerics=numerics,
        )

    def job(self, precision: str = "fp32") -> Job:
        """What is measured, to be planned in this number format."""
        return Job(
            model=self.model,
            inputs=self.inputs,
            outputs=self.outputs,
            causal=self.causal,
            rows=self.batch,
            time=self.time,
            source=self.source,
            kind=self.kind,
            fused=self.fused,
            precision=precision,
        )

    def cost(self) -> Cost:
        """FLOPs and bytes of one pass, from the settings alone."""
        execution = Execution(element_bytes=self.numerics.element_bytes, fused=self.fused)
        shape = Shape(batch=self.batch, time=self.time, source=self.read)
        if self.kind == "decode":
            shape = replace(shape, time=1, context=self.time)
        return model_cost(self.model, self.inputs, self.outputs, shape, causal=self.causal, execution=execution)

    def prepare(self, model: SequenceModel | None = None) -> Callable[[], Tensor]:
        """Build the model, unless it is given, and return a call that runs the pass once and gives its results.

        For ``train`` that is the loss, for the others the outputs; so a caller can see that they are finite.
        """
        if model is None:
            model = build_model(self.model, self.inputs, self.outputs, causal=self.causal, seed=self.seed)
            model = model.to(self.numerics.device)
        if not self.fused:
            for mixer in model.mixers():
                mixer.forward = mixer.definition  # type: ignore[method-assign]
        use_solvers(model.mixers(), self.solvers)
        if self.kind == "train":
            return self._train(model)
        model.eval()
        return self._encode(model) if self.kind == "encode" else self._decode(model)

    def _train(self, model: SequenceModel) -> Callable[[], Tensor]:
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        inputs, features = random_inputs(self.inputs, self.batch, self.time, self.seed, self.numerics.device)
        source = random_source(self.inputs, self.batch, self.read, self.seed, self.numerics.device)

        def step() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            with self.numerics.autocast():
                outputs, _ = model(inputs, features, span=Span(carry=False), source=source)
            loss = probe_loss(outputs.float())
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    def _encode(self, model: SequenceModel) -> Callable[[], Tensor]:
        inputs, features = random_inputs(self.inputs, self.batch, self.time, self.seed, self.numerics.device)
        source = random_source(self.inputs, self.batch, self.read, self.seed, self.numerics.device)

        def encode() -> Tensor:
            with torch.inference_mode(), self.numerics.autocast():
                return model(inputs, features, span=Span(carry=False), source=source)[0]

        return encode

    def _decode(self, model: SequenceModel) -> Callable[[], Tensor]:
        state = filled_state(model, self.batch, self.time, self.numerics, seed=self.seed, source=self.read)
        inputs, features = random_inputs(self.inputs, self.batch, 1, self.seed, self.numerics.device)

        def decode() -> Tensor:
            with torch.inference_mode(), self.numerics.autocast():
                return model(inputs, features, state)[0]

        return decode


def random_inputs(
    inputs: Inputs, batch: int, time: int, seed: int, device: str = "cpu"
) -> tuple[Tensor, dict[str, Tensor] | None]:
    """Inputs [batch, time] or [batch, time, channels] and features [batch, time], drawn from `seed`.

    Of an encoder-decoder they are those of the target side.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = steps_of(inputs)
    if isinstance(inputs, Tokens):
        drawn = torch.randint(inputs.vocabulary, (batch, time), generator=generator)
    else:
        drawn = torch.randn(batch, time, inputs.channels, generator=generator)
    features = {
        name: torch.randint(size, (batch, time), generator=generator).to(device)
        for name, size in inputs.features.items()
    }
    return drawn.to(device), features or None


def random_source(inputs: Inputs, batch: int, time: int, seed: int, device: str = "cpu") -> Source | None:
    """A source of `time` steps for each row where the inputs have one."""
    if not isinstance(inputs, SourceTarget):
        return None
    drawn, _ = random_inputs(inputs.source, batch, time, seed + 1, device)
    return Source(drawn, torch.full((batch,), time, dtype=torch.int64))


def probe_loss(outputs: Tensor, *, row: int = 0, step: int = 0, time: int | None = None) -> Tensor:
    """A loss that needs no data: cross-entropy against fixed classes, or the mean square of single outputs.

    `outputs` [B, T, size] or [B, size] may be part of a larger batch of `time` steps, and begin at its `row` and
    `step`: a class is that of its place in the whole.
    """
    if outputs.shape[-1] == 1:
        return outputs.square().mean()
    places = torch.arange(len(outputs), device=outputs.device) + row
    if outputs.ndim == 3:
        steps_T = torch.arange(outputs.shape[1], device=outputs.device) + step
        places = places[:, None] * (time or outputs.shape[1]) + steps_T
    return F.cross_entropy(outputs.flatten(0, -2), places.flatten() % outputs.shape[-1])


def filled_state(
    model: SequenceModel,
    batch: int,
    time: int,
    numerics: Numerics,
    *,
    seed: int = 0,
    spare: int = 64,
    source: int = 0,
) -> ModelState:
    """The state of a causal model after `time` random steps, with room for `spare` more; filled chunk by chunk.

    An encoder-decoder's remembers a random source of `source` steps (0: as many as `time`).
    """
    with torch.inference_mode(), numerics.autocast():
        read = random_source(model.inputs, batch, source or time, seed, numerics.device)
        state = model.initial_state(batch, source=read, capacity=time + spare, device=numerics.device)
        for start in range(0, time, _PREFILL):
            size = min(_PREFILL, time - start)
            inputs, features = random_inputs(model.inputs, batch, size, seed + start, numerics.device)
            _, after = model(inputs, features, state)
            if after is None:
                raise ConfigError(f"model {model.settings.name!r} carries no state: stream with a causal model")
            state = after
    return state


def with_axis(workload: Workload, axis: str, value: int) -> Workload:
    """`workload` at another value of an axis: length, width, batch or depth."""
    if axis == "length":
        longest = max(workload.model.max_length, value + 1)
        return replace(workload, time=value, model=replace(workload.model, max_length=longest))
    if axis == "batch":
        return replace(workload, batch=value)
    if axis == "width":
        return replace(workload, model=replace(workload.model, width=value))
    if axis == "depth":
        return replace(workload, model=replace(workload.model, layers=value))
    raise ConfigError(unknown("axis", axis, ["length", "width", "batch", "depth"]))
