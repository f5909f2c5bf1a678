"""How much memory this process holds, as the kernel tells it in ``/proc`` (Linux)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def is_told() -> bool:
    """Whether there is a ``/proc``."""
    return _STATUS.exists()


def resident_bytes() -> int:
    """What is resident now; 0 where nothing is told."""
    return _field("VmRSS")


def peak_resident_bytes() -> int:
    """The most that was resident since `count_anew`, or else since the process began; 0 where nothing is told."""
    return _field("VmHWM")


def data_bytes() -> int:
    """What is allocated, resident or not; 0 where nothing is told."""
    return _field("VmData")


def count_anew() -> None:
    """Let the peak begin at what is resident now, where the kernel lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _field(name: str) -> int:
    if is_told():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0
