"""Ranks that stay: a pool of processes joined by gloo, in which functions run together.

Importing torch takes seconds, so ranks are forked from a process that has, and one pool serves a whole test run.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Any, cast

from crossover.errors import CrossoverError

_STARTING_SECONDS = 120.0
"""For a process to start, import torch and join: on a busy machine far longer than what it then runs."""
_LOADED = ["torch", "torch.distributed", "crossover.train.loop"]
"""Imported once, by the process that all ranks are forked from; it computes nothing and so has no threads."""


class RankFailedError(CrossoverError):
    """A rank raised, died or did not answer; the message says which, and what it said."""


class RankPool:
    """`size` processes, each a rank of one world over gloo with one thread of its own.

    `run(function, *arguments)` calls ``function(*arguments)`` on every rank, and returns what each returned, by rank.
    A function and its arguments must be picklable: what is defined at the top of a module is. Where a rank fails or
    `seconds` pass (its start not counted), all of them are ended, RankFailedError tells why, and the next run begins
    with new ones.
    """

    def __init__(self, size: int, *, seconds: float = 120.0) -> None:
        self.size, self.seconds = size, seconds
        self._ranks: list[tuple[BaseProcess, Connection]] = []
        self._folder: Path | None = None

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """See the class."""
        if not self._ranks:
            self._start()
        for _, connection in self._ranks:
            connection.send((function, arguments))
        return self._answers(self.seconds)

    def close(self) -> None:
        """End all ranks."""
        for process, connection in self._ranks:
            with suppress(OSError):
                connection.close()
            process.kill()
            process.join()
        self._ranks.clear()
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> RankPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(_LOADED)
        self._folder = Path(tempfile.mkdtemp(prefix="crossover-ranks-"))
        store = self._folder / "store"
        for rank in range(self.size):
            ours, theirs = context.Pipe()
            arguments = (rank, self.size, str(store), self.seconds, theirs)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._ranks.append((process, ours))
        self._answers(_STARTING_SECONDS)

    def _answers(self, seconds: float) -> list[Any]:
        results: list[Any] = [None] * self.size
        waited: dict[Any, int] = {connection: rank for rank, (_, connection) in enumerate(self._ranks)}
        while waited:
            ready = wait(list(waited), timeout=seconds)
            if not ready:
                self._fail(f"ranks {sorted(waited.values())} did not answer within {seconds:g} s")
            for connection in cast(list[Any], ready):
                rank = waited.pop(connection)
                try:
                    done, value = connection.recv()
                except (EOFError, ConnectionResetError):
                    self._fail(f"rank {rank} of {self.size} ended without a word")
                if not done:
                    self._fail(f"rank {rank} of {self.size} raised:\n{value}")
                results[rank] = value
        return results

    def _fail(self, sentence: str) -> None:
        self.close()
        raise RankFailedError(sentence)


def _serve(rank: int, size: int, store: str, seconds: float, connection: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=max(seconds, _STARTING_SECONDS)),
    )
    connection.send((True, None))
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, function(*arguments))
        except BaseException:  # whatever it is, the one who waits is told
            answer = (False, traceback.format_exc())
        connection.send(answer)
