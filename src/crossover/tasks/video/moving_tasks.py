"""The task of telling which of two moving digits is faster, and the settings of all tasks on moving digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.tasks.base import Split
from crossover.tasks.options import Setting, Whole, read_settings, refuse_unread
from crossover.tasks.video.clips import ClipClassification
from crossover.tasks.video.moving_digits import (
    CLIPS,
    DIGITS_PER_CLIP,
    SETTINGS,
    DigitImages,
    bounce,
    clip_generator,
    digits_by_split,
    distinct,
    draw,
)

DIGITS = tuple("0123456789")
DEFAULTS = {"width": 64}
RECIPES = {"transformer": {"lr": 2e-3}}
_SLOW, _FAST = (0.2, 0.5), (1.4, 2.0)
"""Bounds of the speeds of the slower and the faster digit, in pixels a frame where a digit has 8 x 8."""


def moving_digits(options: DataOptions) -> ClipClassification:
    """Two digits bounce over a frame: which one is faster?"""
    name = "video/moving-digits"
    settings = known(name, options, frames=Whole(12, minimum=3))
    drawn = {split: bouncing(part, split, settings) for split, part in digits_by_split(settings["source"]).items()}
    return ClipClassification(
        name,
        {split: list(clips) for split, (clips, _) in drawn.items()},
        {split: targets for split, (_, targets) in drawn.items()},
        DIGITS,
        description="which of two moving digits is faster",
        embedded=settings["source"] == "embedded",
        defaults=DEFAULTS,
        recipes=RECIPES,
    )


def known(name: str, options: DataOptions, **more: Setting) -> dict[str, Any]:
    """The settings that moving digits share, with `more`; a frame too small to move in is a ConfigError."""
    refuse_unread(name, options, reads=("split_seed",))
    settings = read_settings(name, options.settings, {**SETTINGS, **more})
    side = 28 if settings["source"] == "mnist" else 8
    settings["size"] = settings["size"] or 2 * side
    if settings["size"] < side + 4:
        raise ConfigError(
            f"task {name!r}: task.size={settings['size']} leaves digits of {side} x {side} no room to move: give "
            f"{side + 4} or more"
        )
    return {**settings, "seed": options.split_seed}


def bouncing(digits: DigitImages, split: Split, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Clips [N, T, H, W] of one split and the label of each: the faster digit."""
    count = min(settings["clips"], CLIPS.get(split, settings["clips"]))
    size, span = settings["size"], settings["size"] - digits.side
    chosen_ND = np.empty((count, DIGITS_PER_CLIP), dtype=np.int64)
    start_ND2, step_ND2 = np.empty((2, count, DIGITS_PER_CLIP, 2))
    for row in range(count):
        generator = clip_generator(settings["seed"], split, row)
        chosen_ND[row] = distinct(digits, generator)
        speeds_D = np.array([generator.uniform(*_FAST), generator.uniform(*_SLOW)]) * digits.side / 8
        angles_D = generator.uniform(0, 2 * np.pi, DIGITS_PER_CLIP)
        start_ND2[row] = generator.uniform(0, span, (DIGITS_PER_CLIP, 2))
        step_ND2[row] = speeds_D[:, None] * np.stack([np.sin(angles_D), np.cos(angles_D)], axis=1)
    corners_NDT2 = bounce(start_ND2, step_ND2, settings["frames"], span)
    return draw(digits.pixels_NHW[chosen_ND], corners_NDT2, size), digits.labels_N[chosen_ND[:, 0]]
