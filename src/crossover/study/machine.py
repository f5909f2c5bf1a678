"""The machine that a study ran on, as its document tells it."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from crossover.measure.numerics import Numerics, processor
from crossover.train.record import commit


def machine(
    numerics: Numerics, *, steady: bool | None = None, pair_difference: float | None = None
) -> dict[str, Any]:
    """The ``"machine"`` object of a study; `steady` and `pair_difference` None where no time was measured."""
    on_cuda = torch.device(numerics.device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(numerics.device) if on_cuda else numerics.device,
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "steady": steady,
        "pair_difference": pair_difference,
        "commit": commit(),
    }


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
