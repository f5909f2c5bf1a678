"""The time of a dense recurrence's steps on one device, and the law's constants from measured kernels.

A step multiplies b rows by the recurrent weights, and steps follow one another. For b rows the product of a step is
affine in the weights, which are read from memory, and in the depth of each inner product, along which a tile computes
one term after the other where there are too few rows to share it out. What a machine needs for either depends on b,
and not linearly: kernels are chosen by it. With g gates, h hidden units and T steps

    forward:   T (t0 + u g h b + d_b h   + w_b g h^2)
    backward:  T (t0 + u g h b + d_b g h + w_b g h^2), to the inputs
    weights:   f g h^2 b T + e (1 + g) h b T + a g h^2, one product over all steps

and c for each call. All constants are zero or more, and are found from kernels timed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from crossover.errors import ConfigError

Pass = Literal["forward", "backward", "weights"]
PASSES: tuple[Pass, ...] = ("forward", "backward", "weights")

BATCHES = (16, 32, 64, 128)
"""The numbers of rows at which a law has constants of its own."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One pass of one layer in one direction, without the product of its inputs; `seconds` is what was measured.

    A rank that has a share of the hidden units has that share of the `gates`.
    """

    gates: float
    hidden: int
    batch: int
    time: int
    kind: Pass
    seconds: float = 0.0

    @property
    def weights(self) -> float:
        """Numbers in the recurrent matrix."""
        return self.gates * self.hidden**2

    @property
    def depth(self) -> float:
        """Terms of an inner product of one step."""
        return self.hidden if self.kind == "forward" else self.gates * self.hidden


@dataclass(frozen=True, kw_only=True)
class StepLaw:
    """Constants in seconds of a pass that goes step by step: see the module. `depth`, `weight` are by `batches`."""

    step: float
    unit: float
    batches: tuple[int, ...]
    depth: tuple[float, ...]
    weight: tuple[float, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.batches), len(self.depth), len(self.weight)}
        if len(sizes) != 1 or not self.batches or list(self.batches) != sorted(set(self.batches)):
            raise ConfigError(
                f"a law of steps for batches {self.batches} has {len(self.depth)} depths and {len(self.weight)} "
                "weights: give one of each for every batch, in ascending order"
            )
        if min(self.step, self.unit, *self.depth, *self.weight) < 0:
            raise ConfigError("a law of steps has a negative constant: seconds are zero or more")

    def seconds(self, kernel: Kernel) -> float:
        """Seconds of the kernel's steps, those of the call not included."""
        of_depth, of_weight = self.at(kernel.batch, self.depth), self.at(kernel.batch, self.weight)
        rows = self.unit * kernel.gates * kernel.hidden * kernel.batch
        return kernel.time * (self.step + rows + of_depth * kernel.depth + of_weight * kernel.weights)

    def at(self, batch: int, constants: Sequence[float]) -> float:
        """A constant at `batch` rows: between two known ones on the line through them, above the last in proportion.

        Below the first it stays what it is there: a device that has few rows waits for its memory.
        """
        if batch > self.batches[-1]:
            return constants[-1] * batch / self.batches[-1]
        return float(np.interp(batch, self.batches, constants))


@dataclass(frozen=True, kw_only=True)
class WeightsLaw:
    """Constants of the gradient of the recurrent weights, in seconds: see the module."""

    product: float
    element: float
    weight: float

    def seconds(self, kernel: Kernel) -> float:
        """Seconds of the product over all steps."""
        rows = kernel.batch * kernel.time
        elements = (1 + kernel.gates) * kernel.hidden * rows
        return self.product * kernel.weights * rows + self.element * elements + self.weight * kernel.weights


@dataclass(frozen=True, kw_only=True)
class RecurrentLaw:
    """What a machine takes for dense recurrences in one number format; `call` are seconds of each pass besides."""

    call: float
    forward: StepLaw
    backward: StepLaw
    weights: WeightsLaw

    def seconds(self, kernel: Kernel) -> float:
        """Seconds of one pass of one layer in one direction."""
        law: StepLaw | WeightsLaw = getattr(self, kernel.kind)
        return self.call + law.seconds(kernel)

    def scaled(self, *, memory: float, product: float) -> RecurrentLaw:
        """The law of a device that takes `memory` times as long to move a number, `product` times for a FLOP.

        What a step waits for besides, and an inner product's terms one after the other, are taken to last as long.
        """
        slower = max(memory, product)

        def steps(law: StepLaw) -> StepLaw:
            return replace(law, unit=law.unit * memory, weight=tuple(weight * slower for weight in law.weight))

        own = self.weights
        weights = WeightsLaw(product=own.product * product, element=own.element * memory, weight=own.weight * memory)
        return RecurrentLaw(
            call=self.call, forward=steps(self.forward), backward=steps(self.backward), weights=weights
        )


def fit_law(kernels: Sequence[Kernel], batches: tuple[int, ...] = BATCHES) -> RecurrentLaw:
    """The law that `kernels` were measured to follow: least relative errors, absolute ones beyond 2 % of each.

    All constants at once, since the passes share the seconds of a call. Raises ConfigError where a pass is missing.
    """
    from scipy.optimize import nnls

    missing = [name for name in PASSES if not any(kernel.kind == name for kernel in kernels)]
    if missing:
        raise ConfigError(f"no kernel was measured for the pass {missing[0]!r}: a law needs all of {PASSES}")
    parts = np.array([_parts(kernel, batches) for kernel in kernels])
    parts /= np.array([kernel.seconds for kernel in kernels])[:, None]
    scale = parts.max(axis=0)
    scale[scale == 0] = 1.0
    weights = np.ones(len(kernels))
    for _ in range(_ROUNDS):
        found, _ = nnls(parts / scale * weights[:, None], weights)
        errors = np.abs(parts / scale @ found - 1)
        weights = 1 / np.sqrt(np.maximum(errors, _TOLERATED))
    return _law([float(value) for value in found / scale], batches)


_ROUNDS = 25
_TOLERATED = 0.02


def _parts(kernel: Kernel, batches: tuple[int, ...]) -> list[float]:
    """What each constant of a law is multiplied by in the time of this kernel."""
    found = [1.0]
    for name in ("forward", "backward"):
        steps = kernel.time if kernel.kind == name else 0
        found += [steps, steps * kernel.gates * kernel.hidden * kernel.batch]
        shares = _shares(kernel.batch, batches)
        found += [steps * kernel.depth * share for share in shares]
        found += [steps * kernel.weights * share for share in shares]
    rows = kernel.batch * kernel.time if kernel.kind == "weights" else 0
    found += [rows * kernel.weights, rows * (1 + kernel.gates) * kernel.hidden]
    return [*found, kernel.weights if kernel.kind == "weights" else 0]


def _shares(batch: int, batches: tuple[int, ...]) -> list[float]:
    """How much of each of a law's batches a number of rows takes: the weights of `StepLaw.at`."""
    single = StepLaw(step=0, unit=0, batches=batches, depth=(0.0,) * len(batches), weight=(0.0,) * len(batches))
    return [single.at(batch, [float(other == each) for other in batches]) for each in batches]


def _law(constants: Sequence[float], batches: tuple[int, ...]) -> RecurrentLaw:
    call, *rest = constants
    size, laws = 2 + 2 * len(batches), []
    for start in (0, size):
        step, unit, *by_batch = rest[start : start + size]
        depth, weight = by_batch[: len(batches)], by_batch[len(batches) :]
        laws.append(StepLaw(step=step, unit=unit, batches=batches, depth=tuple(depth), weight=tuple(weight)))
    product, element, weight_once = rest[2 * size :]
    return RecurrentLaw(
        call=call,
        forward=laws[0],
        backward=laws[1],
        weights=WeightsLaw(product=product, element=element, weight=weight_once),
    )
