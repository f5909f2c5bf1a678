"""The C allocator's policy: whether memory that a training step gives back stays with the process.

By default glibc serves large tensors by `mmap` and returns them to the kernel when they are freed, so every step
faults all its pages in again. ``retain`` keeps them: ``mallopt(M_MMAP_MAX, 0)`` and
``mallopt(M_TRIM_THRESHOLD, -1)``, which does what ``MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1`` in the
environment does, without starting the process anew.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from typing import Literal

Allocator = Literal["default", "retain"]

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_GIVEN_BACK = {_M_MMAP_THRESHOLD: 128 * 1024, _M_MMAP_MAX: 65_536, _M_TRIM_THRESHOLD: 128 * 1024}
"""What glibc begins with, before it adapts; once set it does not."""


def supported() -> bool:
    """Whether this process runs on glibc, the only C library whose policy is set here."""
    return platform.libc_ver()[0] == "glibc"


def requested_by_environment() -> bool:
    """Whether the environment set the same policy before the process started."""
    return os.environ.get("MALLOC_MMAP_MAX_") == "0" and os.environ.get("MALLOC_TRIM_THRESHOLD_", "") == "-1"


def apply(policy: Allocator) -> Allocator:
    """Set `policy` for this process, best before it allocates its tensors; returns the policy in force.

    On a C library other than glibc (musl, macOS) nothing can be set and ``"default"`` is returned. A process that
    retains memory goes on doing so: ``"default"`` leaves everything as it is.
    """
    if policy == "retain" and supported():
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_MAX, 0) == 1 and libc.mallopt(_M_TRIM_THRESHOLD, -1) == 1:
            return "retain"
    return "retain" if supported() and requested_by_environment() else "default"


def give_back() -> None:
    """From now on every block of 128 KB and more goes back to the kernel as soon as it is freed.

    By itself glibc raises that threshold to up to 32 MB as blocks are freed, and holes stay in its heap, which make a
    process grow by up to a third more than its tensors do.
    """
    if supported():
        libc = ctypes.CDLL(None)
        for option, value in _GIVEN_BACK.items():
            libc.mallopt(option, value)


def page_faults() -> int:
    """Minor page faults of this process so far: their number per step is what the policy changes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
