"""What a process tells of its own memory."""

from __future__ import annotations

import sys
from mmap import mmap

import pytest

from crossover.measure import resident
from crossover.measure.resident import count_anew, data_bytes, is_told, peak_resident_bytes, resident_bytes

MEGABYTE = 1 << 20


def test_the_peak_is_what_was_held_since_it_was_counted_anew() -> None:
    assert is_told() == sys.platform.startswith("linux")
    if not is_told():
        return
    count_anew()
    before = peak_resident_bytes()
    with mmap(-1, 64 * MEGABYTE) as held:  # unlike a tensor's, these pages go back to the system
        held.write(bytes(64 * MEGABYTE))
        assert resident_bytes() > 32 * MEGABYTE
    assert peak_resident_bytes() - before > 48 * MEGABYTE
    assert 0 < resident_bytes() <= peak_resident_bytes() and data_bytes() > 0
    count_anew()
    assert peak_resident_bytes() - resident_bytes() < 32 * MEGABYTE


def test_nothing_is_told_without_a_proc(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(resident, "_STATUS", tmp_path / "status")
    assert not is_told() and resident_bytes() == peak_resident_bytes() == data_bytes() == 0
