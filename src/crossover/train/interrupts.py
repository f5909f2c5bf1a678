"""Ctrl-C between steps, not within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether somebody pressed Ctrl-C: `noted` says so here; `agreed`, what all ranks of a run know of it."""

    def __init__(self) -> None:
        self.noted = False
        self.agreed = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """A handler of signals: the first takes note, a second one interrupts at once."""
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def check(self, *, ranks: int) -> None:
        """Raise KeyboardInterrupt; of several ranks all do after the same step, though the signal comes to one."""
        if self.agreed or (ranks == 1 and self.noted):
            raise KeyboardInterrupt


@contextmanager
def interrupts_deferred() -> Iterator[Interrupts]:
    """Within, the first Ctrl-C only takes note, until the yielded `Interrupts` is asked.

    Asked between steps, it stops a run where its state is whole. A second Ctrl-C interrupts at once. Outside the
    main thread, which receives no signals, nothing is deferred.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
