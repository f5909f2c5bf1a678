"""An axis as people write it: a name and rising values."""

from __future__ import annotations

from collections.abc import Sequence

from crossover.errors import ConfigError, unknown

AXES = ("length", "width", "batch", "depth")
"""Those that `crossover scale` measures along."""


def parse_axis(text: str, axes: Sequence[str] = AXES) -> tuple[str, tuple[int, ...]]:
    """``length=64..2048`` (doubling, the end included) or ``width=64,128,256`` to the axis and its rising values.

    Raises ConfigError for an axis that is not one of `axes`, and for values that are not whole, positive and at
    least two.
    """
    axis, _, values = (part.strip() for part in text.partition("="))
    if axis not in axes:
        raise ConfigError(unknown("axis", axis, axes))
    example = f"write {axis}=64..2048 (doubling) or {axis}=64,128,256"
    try:
        if ".." in values:
            low, high = (int(part) for part in values.split(".."))
            numbers = {high}
            while 0 < low < high:
                numbers.add(low)
                low *= 2
        else:
            numbers = {int(part) for part in values.split(",")}
    except ValueError:
        raise ConfigError(f"axis '{axis}={values}' has values that are no whole numbers: {example}") from None
    if len(numbers) < 2 or min(numbers) < 1:
        raise ConfigError(f"axis '{axis}={values}' does not give two positive values or more, rising: {example}")
    return axis, tuple(sorted(numbers))
