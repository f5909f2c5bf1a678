"""Ctrl-C comes to one rank; all of them stop after the same step."""

from __future__ import annotations

import os
import signal

import pytest

from crossover.train.interrupts import interrupts_deferred


def test_alone_a_run_stops_at_the_next_look():
    with interrupts_deferred() as interrupts:
        interrupts.check(ranks=1)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check(ranks=1)


def test_of_several_ranks_none_stops_before_all_know_of_it():
    with interrupts_deferred() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.check(ranks=2)
        interrupts.agreed = True
        with pytest.raises(KeyboardInterrupt):
            interrupts.check(ranks=2)
