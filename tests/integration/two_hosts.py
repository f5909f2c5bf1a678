"""Two hosts on one machine: two network namespaces joined by a cable of their own, whose speed can be set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree, which
from types import TracebackType
from typing import Any

TORCHRUN_PORT = 29511
APART = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Else torchrun (2.13) tells a host that comes back no longer where the others meet."""
_ENDING_SECONDS = 20.0
_SETTINGS = Path("/etc/netns")
"""What lies here under a namespace's name stands in /etc there."""


class TwoHosts:
    """A context manager; `run` starts torchrun on one of the hosts, 0 or 1.

    Making namespaces needs the right to: `refusal` says why it may not be done here, None where it may.
    """

    def __init__(self) -> None:
        self.names = [f"crossover-{os.getpid()}-{host}" for host in (0, 1)]
        self.cables = [f"xo{os.getpid() % 100_000}-{host}" for host in (0, 1)]
        self.addresses = ["10.77.91.1", "10.77.91.2"]
        self.started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> TwoHosts:
        _ip("link", "add", self.cables[0], "type", "veth", "peer", "name", self.cables[1])
        for name, cable, address in zip(self.names, self.cables, self.addresses, strict=True):
            _ip("netns", "add", name)
            self._know_each_other(name)
            _ip("link", "set", cable, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            _ip("-n", name, "link", "set", cable, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.started:
            kill(process)
        for name in self.names:
            with suppress(RuntimeError):
                _ip("netns", "del", name)
            rmtree(_SETTINGS / name, ignore_errors=True)

    def _know_each_other(self, name: str) -> None:
        """Names for both addresses on a host, which else would ask, and wait, for a server of names."""
        known = [f"{address} host{host}" for host, address in enumerate(self.addresses)]
        (_SETTINGS / name).mkdir(parents=True, exist_ok=True)
        (_SETTINGS / name / "hosts").write_text("\n".join(["127.0.0.1 localhost", *known, ""]))

    def slow_down(self, megabits: int) -> None:
        """Let at most so many megabits a second through, in each direction."""
        for name, cable in zip(self.names, self.cables, strict=True):
            shaped = ["rate", f"{megabits}mbit", "burst", "256kb", "latency", "50ms"]
            _checked(["tc", "-n", name, "qdisc", "replace", "dev", cable, "root", "tbf", *shaped])

    def run(self, host: int, tokens: Sequence[str], *, log: Path, restarts: int = 0) -> subprocess.Popen[str]:
        """Start torchrun with one rank on `host`; both hosts' are given the same `tokens`, those of ``crossover``."""
        meeting = f"is_host={int(host == 0)},join_timeout=120,last_call_timeout=1"
        torchrun = [
            *("--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", str(restarts)),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{self.addresses[0]}:{TORCHRUN_PORT}"),
            *("--rdzv-id", "crossover", "--rdzv-conf", meeting, "--local-addr", self.addresses[host]),
        ]
        inside = ["ip", "netns", "exec", self.names[host], sys.executable, "-m", "torch.distributed.run", *torchrun]
        environment = {**os.environ, **APART, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": self.cables[host]}
        with log.open("a") as written:
            process = subprocess.Popen(
                [*inside, "-m", "crossover", *tokens],
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                env=environment,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def document(self, tokens: Sequence[str], folder: Path, *, seconds: float) -> dict[str, Any]:
        """The JSON document that a command prints on one of both hosts; their logs go to `folder`.

        A RuntimeError with the first host's log where neither prints one; each is waited for `seconds`.
        """
        logs = [folder / f"host{host}.log" for host in (0, 1)]
        processes = [self.run(host, tokens, log=logs[host]) for host in (0, 1)]
        printed = [process.communicate(timeout=seconds)[0] for process in processes]
        for text in printed:
            if text.strip():
                found: dict[str, Any] = json.loads(text)
                return found
        raise RuntimeError(f"no host told a result: {logs[0].read_text()[-2000:]}")


def refusal() -> str | None:
    """Why two hosts may not be made here; None where they may. Whatever else goes wrong is raised."""
    if which("ip") is None:
        return "there is no ip command here"
    probe = f"crossover-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
    except RuntimeError as error:
        if not any(reason in str(error) for reason in ("not permitted", "ermission denied")):
            raise
        return f"network namespaces may not be made here ({error})"
    _ip("netns", "del", probe)
    return None


def kill(process: subprocess.Popen[str]) -> None:
    """End a host at once: torchrun and whatever it started."""
    for child in _descendants(process.pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ENDING_SECONDS)


def _descendants(pid: int) -> list[int]:
    """A process and all below it; torchrun's workers have sessions of their own."""
    found = [pid]
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _descendants(int(child))
    return found


def _ip(*arguments: str) -> None:
    _checked(["ip", *arguments])


def _checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()) or f"{command[0]} failed")
