"""What one run may spend: a number and a unit, and how much of it is gone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from crossover.errors import ConfigError

Kind = Literal["seconds", "steps", "tokens", "epochs", "flops"]

_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_TIMES = {"s": 1, "sec": 1, "seconds": 1, "second": 1, "m": 60, "min": 60, "minutes": 60, "minute": 60}
_TIMES |= {"h": 3600, "hours": 3600, "hour": 3600}
_COUNTS: dict[str, Kind] = {}
for _kind in ("steps", "tokens", "epochs", "flops"):
    _COUNTS[_kind] = _COUNTS[_kind[:-1]] = _kind  # type: ignore[assignment]

_FORM = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*")
_EXAMPLES = "60s, 5m, 1h, 500steps, 2Mtokens, 3epochs or 1e15flops"


@dataclass(frozen=True)
class Spent:
    """What a run has used so far.

    `seconds` are those of training steps with their data loading; validation, checkpoints and the final test are
    reported apart and cost no budget, so that a model is not charged for being looked at. `epochs` counts whole
    epochs plus the share of rows seen in the current one.
    """

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    epochs: float = 0.0
    flops: float = 0.0


@dataclass(frozen=True)
class Budget:
    """`amount` of `kind`: what one run may spend."""

    kind: Kind
    amount: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``60s``, ``5m``, ``1h``, ``500steps``, ``2Mtokens``, ``3epochs`` or ``1e15flops``.

        Counts take the prefixes k, M, G, T and P. Raises ConfigError for an unknown unit or an amount that is not
        above zero.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigError(f"budget {text!r} is no number with a unit: write it like {_EXAMPLES}")
        amount, unit = float(match[1]), match[2]
        if not (0 < amount < math.inf):
            raise ConfigError(f"budget {text!r} is not above zero: a run needs something to spend, like {_EXAMPLES}")
        if unit in _TIMES:
            return cls("seconds", amount * _TIMES[unit])
        for prefix, factor in _PREFIXES.items():
            kind = _COUNTS.get(unit[len(prefix) :].lower()) if unit.startswith(prefix) else None
            if kind is not None:
                return cls._counted(kind, amount * factor, text)
        raise ConfigError(
            f"budget {text!r} has {f'the unknown unit {unit!r}' if unit else 'no unit'}: write it like {_EXAMPLES}"
        )

    @classmethod
    def _counted(cls, kind: Kind, amount: float, text: str) -> Budget:
        if kind in ("steps", "tokens") and amount < 1:
            raise ConfigError(f"budget {text!r} is less than one of its {kind}: write it like {_EXAMPLES}")
        return cls(kind, amount)

    def fraction(self, spent: Spent) -> float:
        """The share of the budget that is gone, between 0 and 1; what the rate's schedule is a function of."""
        return min(getattr(spent, self.kind) / self.amount, 1.0)

    def __str__(self) -> str:
        unit = "s" if self.kind == "seconds" else self.kind
        return f"{self.amount:.12g}{unit}"
