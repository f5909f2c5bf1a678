"""What goes into a model and what comes out of it: values that a task states and a model is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from crossover.config import build


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Integer inputs [B, T] below `vocabulary`; `features` are further token streams [B, T] of the same length.

    A feature (part-of-speech tags, say) is embedded by itself and added to the token's embedding.
    """

    vocabulary: int
    features: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Continuous:
    """Real inputs [B, T, channels]; `features` are token streams beside them, as those of `Tokens`."""

    channels: int
    features: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Pictures [B, T, height x width x colours], flat in this order; each is read by a small convolution.

    `features` are token streams beside them, as those of `Tokens`.
    """

    height: int
    width: int
    colours: int = 1
    features: Mapping[str, int] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Values of a step."""
        return self.height * self.width * self.colours


Steps = Tokens | Continuous | Frames
"""What the steps of one sequence are."""


@dataclass(frozen=True, kw_only=True)
class SourceTarget:
    """A source that is read whole, and a target that is written step by step: an encoder-decoder's inputs.

    The target's steps are tokens, or real values where a series is forecast. `shared`: both are tokens of one
    vocabulary, and one table embeds them.
    """

    source: Steps
    target: Tokens | Continuous
    shared: bool = False


Inputs = Steps | SourceTarget


def steps_of(inputs: Inputs) -> Steps:
    """What the model's own steps read: the target side where there is a source."""
    return inputs.target if isinstance(inputs, SourceTarget) else inputs


@dataclass(frozen=True, kw_only=True)
class PerRow:
    """One vector [B, size] per row, from the mean over its real steps, or from the last one.

    Classification (size = number of classes), regression (size = 1) and direct forecasts (size = horizon x
    channels) are all of this form.
    """

    size: int
    pool: Literal["mean", "last", "max", "flatten"] = "mean"
    steps: int | None = None
    """Number of steps of every row; needed by ``pool="flatten"`` only."""


@dataclass(frozen=True, kw_only=True)
class PerStep:
    """One vector [B, T, size] per step: language models, token labels, autoregressive forecasts."""

    size: int


Outputs = PerRow | PerStep

_KINDS: dict[str, type] = {
    "tokens": Tokens,
    "continuous": Continuous,
    "frames": Frames,
    "source-target": SourceTarget,
    "per-row": PerRow,
    "per-step": PerStep,
}


def port_to_json(port: Inputs | Outputs) -> dict[str, Any]:
    """The JSON form: the fields and their ``"kind"``."""
    kind = next(name for name, cls in _KINDS.items() if type(port) is cls)
    if isinstance(port, SourceTarget):
        sides = {"source": port_to_json(port.source), "target": port_to_json(port.target)}
        return {"kind": kind, **sides, "shared": port.shared}
    return {"kind": kind, **asdict(port)}


def port_from_json(value: Mapping[str, Any]) -> Any:
    """The port that `port_to_json` wrote; KeyError or ConfigError for anything else."""
    if value["kind"] == "source-target":
        source, target = port_from_json(value["source"]), port_from_json(value["target"])
        return SourceTarget(source=source, target=target, shared=bool(value["shared"]))
    return build(_KINDS[value["kind"]], {k: v for k, v in value.items() if k != "kind"}, path=value["kind"])
