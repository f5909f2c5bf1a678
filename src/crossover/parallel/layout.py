"""Layout: how a run is spread over devices, as a value. No torch here: the planner and the command line read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import TYPE_CHECKING, Any

from crossover.config import build, parse_scalar
from crossover.errors import ConfigError, LayoutError, unknown

if TYPE_CHECKING:
    from crossover.models.mixers.base import MixerSettings
    from crossover.models.settings import ModelSettings
    from crossover.tasks.base import TaskSpec

AXES = ("data", "pipeline", "tensor", "sequence")
ORDER = ("data", "pipeline", "sequence", "tensor")
"""The axes from the outermost to the innermost, whose ranks are neighbours: it says most."""
SINGLE = "single"

_WORDS = {
    "schedule": ("auto", "gpipe", "1f1b", "interleaved", "wavefront"),
    "sequence_method": ("auto", "hand-on", "scan", "gather", "ring"),
    "recompute": ("none", "blocks", "chunks"),
    "gradients": ("fp32", "bf16", "powersgd"),
    "shards": ("random", "sorted"),
}
_OF_DATA = ("shard_parameters", "synchronise", "gradients", "shards")
"""What says how `data` ranks work together."""
_TRAINING = ("chunks", "accumulate", "schedule", "recompute", *_OF_DATA)
"""What has no meaning where a model is used and not trained."""
_COUNTS = (*AXES, "microbatches", "chunks", "accumulate", "interleave")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Degrees of the four axes, and how they are run.

    `microbatches` cut the batch and `chunks` cut time for the pipeline; `accumulate` cuts every batch into that many
    row slices, computed one after the other. With `recompute` blocks, or `chunks` in time of all of them, keep what
    entered them, and compute the rest again on the way back. `stages` is the number of blocks of each pipeline stage
    (None: as even as can be), `interleave` the stages per rank. With `synchronise` above 1, or ``"end"``, replicas
    train by themselves, and their weights are averaged every that many steps, or never before the end. Under
    ``shards="sorted"`` batches are handed out by class, so that each replica sees few of them, as where data stay
    where they arose. A value that is not admissible is a LayoutError; what a layout asks of a model and a task is for
    `check`.
    """

    data: int = 1
    pipeline: int = 1
    tensor: int = 1
    sequence: int = 1
    microbatches: int = 1
    chunks: int = 1
    accumulate: int = 1
    schedule: str = "auto"
    interleave: int = 1
    stages: tuple[int, ...] | None = None
    sequence_method: str = "auto"
    shard_parameters: bool = False
    recompute: str = "none"
    synchronise: int | str = 1
    gradients: str = "fp32"
    shards: str = "random"

    def __post_init__(self) -> None:
        reasons = [f"{name}={getattr(self, name)} must be 1 or more" for name in _COUNTS if getattr(self, name) < 1]
        for name, admissible in _WORDS.items():
            if getattr(self, name) not in admissible:
                reasons.append(unknown(name, getattr(self, name), admissible))
        if self.synchronise != "end" and not (isinstance(self.synchronise, int) and self.synchronise >= 1):
            reasons.append(f"synchronise={self.synchronise!r} must be a number of steps, 1 or more, or 'end'")
        if self.stages is not None and min(self.stages, default=0) < 1:
            reasons.append(f"stages={_plus(self.stages)} must give every stage 1 block or more")
        _raise(self, reasons)

    @property
    def devices(self) -> int:
        """Number of devices that the layout takes."""
        return prod(getattr(self, axis) for axis in AXES)

    @property
    def independent(self) -> bool:
        """Whether replicas train by themselves, between the steps at which their weights are averaged."""
        return self.synchronise != 1

    @classmethod
    def parse(cls, text: str) -> Layout:
        """The layout in a string: ``data=2,tensor=2``, ``stages=2+3``, ``single`` or nothing, or its JSON object.

        Anything unknown or malformed is a LayoutError.
        """
        text = text.strip()
        if text in ("", SINGLE):
            return cls()
        if text.startswith("{"):
            try:
                return cls.from_json(json.loads(text))
            except ValueError as error:
                raise LayoutError(f"layout {text!r} is no JSON object ({error}): write AXIS=DEGREE,…") from None
        values: dict[str, Any] = {}
        for part in text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                raise LayoutError(
                    f"layout {text!r} has {part.strip()!r}: write AXIS=DEGREE,… such as data=2,tensor=2"
                )
            if name in values:
                raise LayoutError(f"layout {text!r} gives {name} twice: give it once")
            values[name] = value.split("+") if name == "stages" else parse_scalar(value)
        return cls.from_json(values)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Layout:
        """The layout in a JSON object; fields left out take their defaults."""
        try:
            return build(cls, value)
        except ConfigError as error:
            raise LayoutError(f"layout: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """Every field, as a JSON object."""
        return {**asdict(self), "stages": list(self.stages) if self.stages is not None else None}

    def __str__(self) -> str:
        """The shortest string that `parse` reads back."""
        given = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                text = _plus(value) if field.name == "stages" else json.dumps(value).strip('"')
                given.append(f"{field.name}={text}")
        return ",".join(given) or SINGLE

    def reasons(
        self, devices: int, model: ModelSettings | str, task: TaskSpec | None = None, *, rows: bool = True
    ) -> list[str]:
        """Everything that keeps this layout from `devices` devices, the model and the task; empty if nothing does.

        Without `rows` the task's batches are not asked for: those in use are as large as they are.
        """
        settings, mixers = _resolve(model, task)
        reasons = []
        if self.devices != devices:
            degrees = " x ".join(f"{axis}={getattr(self, axis)}" for axis in AXES if getattr(self, axis) > 1)
            reasons.append(f"{degrees or SINGLE} needs {self.devices} devices, given {devices}")
        reasons += self._pipeline_reasons(settings, task)
        reasons += self._tensor_reasons(settings, mixers, task)
        reasons += self._sequence_reasons(mixers, task)
        for name in _OF_DATA:
            if self.data == 1 and getattr(self, name) != getattr(Layout, name):
                reasons.append(f"{name}={getattr(self, name)} says how `data` ranks work together: it needs data>1")
        if self.shards == "sorted" and task is not None and not _classifies_rows(task):
            reasons.append(f"shards=sorted hands rows out by class, and those of {task.name} have none")
        needed = self.data * self.microbatches
        if rows and task is not None and task.batch_tokens is None and needed > task.batch_rows:
            reasons.append(
                f"data={self.data} x microbatches={self.microbatches} needs {needed} rows, "
                f"a batch of {task.name} has {task.batch_rows}"
            )
        return reasons

    def check(self, devices: int, model: ModelSettings | str, task: TaskSpec | None = None) -> None:
        """Raise a LayoutError with every reason at once; see `reasons`.

        Those of this version, which does not carry out every field, are among them.
        """
        _raise(self, [*self.reasons(devices, model, task), *self.unwritten_reasons()])

    def check_inference(self, devices: int, model: ModelSettings | str, task: TaskSpec | None = None) -> None:
        """The same for a trained model in use, where what says how a run is trained is one reason more."""
        reasons = [
            f"{name}={getattr(self, name)} is for a run in training: leave it out"
            for name in _TRAINING
            if getattr(self, name) != getattr(Layout, name)
        ]
        _raise(self, [*self.reasons(devices, model, task, rows=False), *self.unwritten_reasons(), *reasons])

    def unwritten_reasons(self) -> list[str]:
        """What of it this version does not carry out."""
        reasons = []
        if self.independent and self.devices > self.data:
            reasons.append(f"synchronise={self.synchronise} beside another axis than data is not carried out")
        if self.independent and self.gradients != "fp32":
            reasons.append(f"gradients={self.gradients} are not sent where replicas synchronise={self.synchronise}")
        if self.pipeline > 1 and self.gradients != "fp32":
            reasons.append(f"gradients={self.gradients} under a pipeline are not carried out by this version")
        if self.pipeline > 1 and self.sequence > 1:
            reasons.append(
                "pipeline with sequence is not carried out by this version: give the pipeline chunks in time"
            )
        if self.recompute == "chunks":
            beside = [f"{axis}={getattr(self, axis)}" for axis in ("pipeline", "sequence") if getattr(self, axis) > 1]
            beside += ["shard_parameters"] if self.shard_parameters else []
            reasons += [f"recompute=chunks beside {other} is not carried out by this version" for other in beside]
        if self.shard_parameters:
            beside = [f"{axis}={getattr(self, axis)}" for axis in ("pipeline", "tensor") if getattr(self, axis) > 1]
            beside += [f"synchronise={self.synchronise}"] if self.independent else []
            beside += ["gradients=powersgd"] if self.gradients == "powersgd" else []
            reasons += [f"shard_parameters beside {other} is not carried out by this version" for other in beside]
        return reasons

    def _pipeline_reasons(self, settings: ModelSettings, task: TaskSpec | None) -> list[str]:
        reasons, stages, layers = [], self.pipeline * self.interleave, settings.layers
        if _reads_source(task):
            layers += settings.layers if settings.encoder_layers is None else settings.encoder_layers
        if stages > layers:
            reasons.append(
                f"pipeline={self.pipeline} x interleave={self.interleave} needs {stages} blocks of {layers}"
            )
        if self.stages is not None:
            if len(self.stages) != stages:
                reasons.append(f"stages={_plus(self.stages)} are {len(self.stages)}, the pipeline has {stages}")
            if sum(self.stages) != layers:
                reasons.append(f"stages={_plus(self.stages)} hold {sum(self.stages)} blocks, the model has {layers}")
        for name in ("microbatches", "chunks", "interleave", "schedule"):
            if self.pipeline == 1 and getattr(self, name) != getattr(Layout, name) and not self._cuts_a_row(name):
                reasons.append(f"{name}={getattr(self, name)} says how a pipeline is filled: it needs pipeline>1")
        return reasons

    def _cuts_a_row(self, name: str) -> bool:
        """A row split over `sequence` is filled by micro-batches too, and one computed again is cut into chunks."""
        return (name == "microbatches" and self.sequence > 1) or (name == "chunks" and self.recompute == "chunks")

    def _tensor_reasons(
        self, settings: ModelSettings, mixers: dict[str, MixerSettings], task: TaskSpec | None
    ) -> list[str]:
        from crossover.models.block import feed_forward_width

        sizes = {f"{size} of {name}": n for name, m in mixers.items() for size, n in m.sharding().divisible.items()}
        sizes["feed-forward width"] = feed_forward_width(settings)
        if _reads_source(task):
            sizes |= self._encoder_sizes(settings)
        return [
            f"tensor={self.tensor} does not divide the {what}, {size}"
            for what, size in sizes.items()
            if size % self.tensor
        ]

    @staticmethod
    def _encoder_sizes(settings: ModelSettings) -> dict[str, int]:
        """What a degree must divide in an encoder and where the decoder looks at it."""
        from crossover.models.encoder import encoder_mixers

        found = {
            f"{size} of the encoder's {mixer.name}": n
            for mixer in encoder_mixers(settings)
            for size, n in mixer.sharding().divisible.items()
        }
        return found | ({"cross_heads": settings.cross_heads} if settings.cross == "attention" else {})

    def _sequence_reasons(self, mixers: dict[str, MixerSettings], task: TaskSpec | None) -> list[str]:
        shardings = {name: mixer.sharding() for name, mixer in mixers.items()}
        reasons = []
        for name in ("sequence", "chunks"):
            if getattr(self, name) > 1 and _reads_source(task):
                reasons.append(f"{name}={getattr(self, name)} splits rows in time, and a source is read whole")
        if self.chunks > 1 and self.pipeline > 1 and task is not None and hasattr(task.outputs, "pool"):
            reasons.append(
                f"chunks={self.chunks} in time need an output at every step, {task.name} has one for each row"
            )
        if self.sequence > 1:
            reasons += [f"sequence={self.sequence}: {s.refusal}" for s in shardings.values() if s.refusal]
            reasons += [
                f"recompute={self.recompute} would ask for the state of {name} twice, and it is handed on once"
                for name, s in shardings.items()
                if self.recompute != "none" and not s.refusal and s.state == "hand-on"
            ]
            travels = {name: s.state for name, s in shardings.items() if not s.refusal}
            reasons += [
                f"sequence_method={self.sequence_method} is not how the state of {name} travels ({state})"
                for name, state in travels.items()
                if self.sequence_method not in ("auto", state) and (self.sequence_method, state) != ("ring", "gather")
            ]
        if self.chunks > 1:
            reasons += [
                f"chunks={self.chunks} in time need a causal model, {name} is bidirectional here"
                for name, mixer in mixers.items()
                if not mixer.causal
            ]
        if self.recompute == "chunks":
            reasons += ["recompute=chunks needs chunks>1, into which it cuts time"] if self.chunks == 1 else []
            reasons += [
                f"recompute=chunks keeps the state between chunks, and that of {name} grows with the row"
                for name, mixer in mixers.items()
                if mixer.state_grows
            ]
        if self.sequence == 1 and self.sequence_method != "auto":
            reasons.append(f"sequence_method={self.sequence_method} needs sequence>1")
        return reasons


def _resolve(model: ModelSettings | str, task: TaskSpec | None) -> tuple[ModelSettings, dict[str, MixerSettings]]:
    """A model's settings and those of its mixers by name."""
    from crossover.models.backbones import mixer_settings
    from crossover.models.presets import parse_model

    settings = parse_model(model) if isinstance(model, str) else model
    causal = settings.causal if settings.causal is not None else task is None or task.causal
    return settings, {mixer.name: mixer for mixer in mixer_settings(settings, causal=causal)}


def _classifies_rows(task: TaskSpec) -> bool:
    return hasattr(task.outputs, "pool") and task.objective == "classification"


def _reads_source(task: TaskSpec | None) -> bool:
    return task is not None and hasattr(task.inputs, "source")


def _plus(stages: tuple[int, ...]) -> str:
    return "+".join(str(blocks) for blocks in stages)


def _raise(layout: Layout, reasons: list[str]) -> None:
    if reasons:
        raise LayoutError(f"layout {layout} cannot be used: " + "; ".join(reasons))
