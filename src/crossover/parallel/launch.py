"""Several processes that work as one: our own on this machine, or those that torchrun or Slurm started.

Rank 0 is the process of the user: it reads the command, and calls functions that all ranks then run together. The
others do nothing but wait for such calls. On one machine rank 0 starts them; under ``torchrun`` or Slurm every rank
is started with the same command, and those that are not rank 0 follow instead of reading it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from crossover.errors import ConfigError, CrossoverError, LayoutError, TrainingError
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import leave_world

_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others: as long as one of them may score a split."""
_GO_ON = "what is saved is kept, go on with --resume"
_REPORT = "CROSSOVER_RANK_REPORT"
"""Where a rank that we started writes why it ended."""
_ENDING_SECONDS = 5.0
_ROLL_CALL = timedelta(seconds=5)
"""How long the first rank waits for a word of each of the others, once one of them has waited too long."""
_SILENT = ("timed out", "timeout", "connection", "gloo", "nccl")
"""Words of an error by which a backend tells that another rank is not there."""


def place_in(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The rank and the number of ranks that torchrun or Slurm gave this process; None where it is the only one.

    Slurm says nothing of where rank 0 listens: a ConfigError tells what to export.
    """
    found = {name: environment.get(name, environment.get(slurm, "")) for name, slurm in _SLURM.items()}
    if "MASTER_ADDR" not in environment:
        if "RANK" in environment or int(found["WORLD_SIZE"] or 1) < 2 or "SLURM_STEP_ID" not in environment:
            return None
        raise ConfigError(
            f"Slurm started {found['WORLD_SIZE']} tasks, but MASTER_ADDR is not set: export MASTER_ADDR (the first "
            "host) and MASTER_PORT before srun, as README shows"
        )
    if not found["RANK"] or int(found["WORLD_SIZE"] or 1) < 2:
        return None
    return int(found["RANK"]), int(found["WORLD_SIZE"])


def local_place(environment: Mapping[str, str]) -> int:
    """The number of this rank among those on its machine."""
    return int(environment.get("LOCAL_RANK", environment.get(_SLURM["LOCAL_RANK"], "0")))


def local_ranks(environment: Mapping[str, str], size: int) -> int:
    """How many of `size` ranks run on this machine."""
    told = environment.get("LOCAL_WORLD_SIZE") or environment.get("SLURM_NTASKS_PER_NODE", "").split("(")[0]
    return int(told) if told.isdigit() else size


def starts_again(environment: Mapping[str, str]) -> bool:
    """Whether torchrun starts a command anew that failed: the same command then goes on with its own folder."""
    return int(environment.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def devices_for(layout: Layout, device: str) -> int:
    """How many devices a run under `layout` has: the ranks that were started, or what this machine can start.

    A CPU runs as many ranks as are asked for, each with its share of the cores.
    """
    given, kind = place_in(os.environ), torch.device(device).type
    if given is not None:
        return given[1]
    if kind == "cpu":
        return layout.devices
    return min(layout.devices, torch.cuda.device_count() if kind == "cuda" else 1)


class Team:
    """All ranks of a layout, as rank 0 has them.

    Joins those that torchrun or Slurm started, whose number must be `size` (else a LayoutError), or starts `size` - 1
    processes here. A context manager; on leaving it the others end.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._present: dist.ProcessGroup | None = None
        self._reports = Path(tempfile.mkdtemp(prefix="crossover-ranks-"))
        given = place_in(os.environ)
        self.here = size if given is None else local_ranks(os.environ, size)
        """How many of the ranks share this machine."""
        if given is not None and given[1] != size:
            raise LayoutError(
                f"the layout needs {size} devices and {given[1]} ranks were started: start as many ranks, or give "
                "another layout"
            )
        if given is None:
            self._start()
        else:
            self._present = _join(*given)

    def run(self, function: Callable[..., Any], *arguments: Any, alone: Mapping[str, Any] | None = None) -> Any:
        """Call ``function(*arguments)`` on every rank; returns what rank 0's returned.

        `function` is defined at the top of a module, the arguments are picklable; `alone` are keywords that rank 0's
        call is given besides. Raises TrainingError where a rank ended before its time, which names it. After a call
        that failed the ranks that were started here are ended, and the next call starts others.
        """
        if not dist.is_initialized():
            self._start()
        _send((function.__module__, function.__qualname__, arguments))
        try:
            return function(*arguments, **(alone or {}))
        except RuntimeError as error:
            told = self._ended(_noted(error)) or self._silent(error)
            self._abandon()
            if told is None:
                raise
            raise TrainingError(told) from error
        except Exception:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """End the ranks that were started here: in the midst of a call they wait for one that will not come."""
        if self._processes:
            for process in self._processes:
                process.terminate()
            self.close()

    def close(self) -> None:
        """Leave the group, and see the ranks that were started here to their end."""
        self._present = None
        leave_world()
        deadline = time.monotonic() + _ENDING_SECONDS
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0.1))
            process.kill()
            process.wait()
        self._processes.clear()

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and dist.is_initialized():
            _send(None)
        elif error is not None:
            self._abandon()
        self.close()
        rmtree(self._reports, ignore_errors=True)

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(self.size)}
        for rank in range(1, self.size):
            (self._reports / str(rank)).unlink(missing_ok=True)
            own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), _REPORT: str(self._reports / str(rank))}
            command = [sys.executable, "-m", "crossover.parallel.launch"]
            self._processes.append(subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL))
        store = _store("127.0.0.1", port, leads=True)
        while not store.check([_present(rank) for rank in range(1, self.size)]):
            if (told := self._ended(wait=0.05)) is not None:
                raise TrainingError(told)
        self._present = _enter(rank=0, size=self.size, store=store)

    def _ended(self, when: str = "", *, wait: float = 0.5) -> str | None:
        """Which rank ended before its time, and why as far as it said; None where all still run after `wait` s."""
        time.sleep(wait)
        for rank, process in enumerate(self._processes, start=1):
            if (code := process.poll()) is not None:
                report = self._reports / str(rank)
                said = report.read_text() if report.exists() else _end(code)
                return f"rank {rank} of {self.size} is gone{when} ({said}): {_GO_ON}"
        return None

    def _silent(self, error: RuntimeError) -> str | None:
        """Which ranks do not answer, where `error` says that one was waited for in vain; None where it does not."""
        if not _is_silence(error):
            return None
        absent = [rank for rank in range(1, self.size) if not _answers(rank, self._present)]
        if not absent:
            return f"ranks lost one another{_noted(error)} ({_one_line(error)}): {_GO_ON}"
        named = f"rank {absent[0]}" if len(absent) == 1 else f"ranks {', '.join(map(str, absent))}"
        verb = "does" if len(absent) == 1 else "do"
        return f"{named} of {self.size} {verb} not answer{_noted(error)}: {_GO_ON}"


def _end(code: int) -> str:
    """How a process ended that said nothing."""
    if code == -signal.SIGKILL:
        return "it was killed, as a system does that runs out of memory"
    return f"it ended with code {code}"


def follow() -> int:
    """What a rank that is not the first does: run what rank 0 calls, until it says that there is no more."""
    place = place_in(os.environ)
    if place is None:
        raise ConfigError("this process was started as one of several ranks, but RANK and WORLD_SIZE are not set")
    present = _join(*place)
    try:
        while (call := _receive()) is not None:
            module, name, arguments = call
            function: Any = import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            function(*arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if _is_silence(error):
            with suppress(RuntimeError):
                dist.send(torch.zeros(1), 0, group=present)
        _report(error)
        return 1
    leave_world()
    return 0


def _join(rank: int, size: int) -> dist.ProcessGroup:
    if torch.cuda.is_available():
        torch.cuda.set_device(local_place(os.environ) % torch.cuda.device_count())
    store = None
    if _REPORT in os.environ:
        store = _store(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), leads=False)
        store.set(_present(rank), "")
    return _enter(rank=rank, size=size, store=store)


def _enter(*, rank: int, size: int, store: dist.Store | None) -> dist.ProcessGroup:
    """Make the world, and beside it the group in which a rank says that it is still there."""
    dist.init_process_group(_backend(), store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=_ROLL_CALL)
    return group


def _answers(rank: int, present: dist.ProcessGroup | None) -> bool:
    try:
        dist.recv(torch.zeros(1), rank, group=present)
    except RuntimeError:
        return False
    return True


def _is_silence(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _SILENT)


def _noted(error: RuntimeError) -> str:
    """Where it happened, as far as it was noted."""
    return "".join(f" {note}" for note in getattr(error, "__notes__", []))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _store(host: str, port: int, *, leads: bool) -> dist.TCPStore:
    return dist.TCPStore(host, port, is_master=leads, timeout=_PATIENCE, wait_for_workers=False)


def _present(rank: int) -> str:
    return f"present/{rank}"


def _backend() -> str:
    """One for each kind of device: small numbers and objects are said on the CPU anyway."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _send(call: Any) -> None:
    dist.broadcast_object_list([call], src=0, device=torch.device("cpu"))


def _receive() -> Any:
    given: list[Any] = [None]
    dist.broadcast_object_list(given, src=0, device=torch.device("cpu"))
    return given[0]


def _report(error: Exception) -> None:
    said = str(error) if isinstance(error, CrossoverError) else f"{type(error).__name__}: {_one_line(error)}"
    if isinstance(error, RuntimeError) and _is_silence(error):
        said = f"another rank is gone or does not answer{_noted(error)}, {said}"
    if _REPORT in os.environ:
        Path(os.environ[_REPORT]).write_text(said)
    else:
        sys.stderr.write(f"crossover: rank {os.environ.get('RANK')}: {said}\n")


if __name__ == "__main__":
    raise SystemExit(follow())
