"""What a program does that the same model and layout leave open: by itself, what this one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crossover.planning.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Practice:
    """How a step is carried out.

    With `overlapped` messages along tensor, sequence and pipeline go while a rank computes, as far as it has anything
    to compute; of those along tensor and sequence on the way back the share `behind_weights` goes while gradients of
    weights are computed. With `scattered` each of the tensor ranks of a stage sends the next one its part of the
    activations (Narayanan et al. 2021, arXiv 2104.04473, section 4.1). `attention` is what its kernel of attention
    reaches of the peak, forward and backward (None: as the machine's file says), and `streamed` the share of other
    kernels' bytes that are left of a term (by its name) where they are fused, or more than 1 where they are split up.

    Of a block the terms named `again` keep nothing for the way back and are computed twice (attention's ``"scores"``:
    selective recomputation, Korthikanti et al. 2022, arXiv 2205.05198); a whole block that is computed again is so to
    its last product with `whole_again`, and else only as far as its way back asks for. With `spread` tensor ranks
    share out what each would do and keep of whole rows between the divided layers (their sequence parallelism); with
    `standing` gradients stay from step to step.

    Bytes that are read and written for each parameter: `updated` by an update (None: by an optimiser in one kernel
    and the bound on the gradient's norm), `accumulated` where a gradient is added to that of an earlier micro-batch
    (None: by a kernel of its own; 0: by the product that gives it), `copied` by replicas besides what they send: into
    messages, and back. With `summed_each` they add up their gradients after every micro-batch. `uneven` is the
    standard deviation of what replicas' batches take over its mean, where rows differ in length: a step waits for the
    longest.
    """

    overlapped: bool = False
    behind_weights: float = 0.0
    scattered: bool = False
    attention: tuple[float, float] | None = None
    streamed: Mapping[str, float] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    whole_again: bool = False
    spread: bool = False
    standing: bool = False
    updated: float | None = None
    accumulated: float | None = None
    copied: float = 0.0
    summed_each: bool = False
    uneven: float = 0.0

    def on(self, machine: Machine) -> Machine:
        """The machine with this program's kernel of attention."""
        if self.attention is None:
            return machine
        forward, backward = self.attention
        # What is scored in 8 bits elsewhere is scored in 16.
        peaks = {
            name: machine.rates.get("bf16" if name == "fp8" else name, rate).peak
            for name, rate in machine.rates.items()
        }
        rates = {
            name: replace(rate, attention=forward * peaks[name], attention_backward=backward * peaks[name])
            for name, rate in machine.rates.items()
        }
        return replace(machine, rates=rates)


OURS = Practice()
"""What this program does."""
