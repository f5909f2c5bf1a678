"""What an error means to the person who typed the command: an exit code and one sentence."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from crossover.errors import CrossoverError, is_out_of_memory, listing, unknown

if TYPE_CHECKING:
    from cyclopts import CycloptsError

FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130
UNREAD = 141
"""128 and the number of a signal: SIGINT, SIGPIPE."""

INTERRUPTION = "interrupted: what is finished is saved, and the first line above says how to go on"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR)


def explain(error: Exception) -> tuple[int, str | None]:
    """The exit code and the sentence for an error; no sentence where it is the program's own fault."""
    from cyclopts import CycloptsError

    if isinstance(error, CrossoverError):
        return error.exit_code, _one_line(error)
    if isinstance(error, CycloptsError):
        return WRONG_REQUEST, _request(error)
    if is_out_of_memory(error):
        return FAILED, "out of memory: take a smaller --batch or model; what is finished is saved"
    if isinstance(error, OSError) and error.errno in _FULL:
        return FAILED, "the disk is full: make room, then repeat the command to go on, or choose another --out"
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return WRONG_REQUEST, f"{error.filename} cannot be read or written: choose another, or change its permissions"
    return FAILED, None


def _request(error: CycloptsError) -> str:
    """The sentence for a command line that cannot be parsed."""
    from cyclopts import UnknownCommandError, UnknownOptionError, UnusedCliTokensError

    tokens = list(error.unused_tokens or ())
    if isinstance(error, UnknownCommandError) and tokens:
        # Cyclopts' own sentence imports every command to write it: one that cannot be imported would hide the error.
        names = (name for name in (error.app or ()) if not name.startswith("-"))
        return unknown("command", tokens[0], names)
    if isinstance(error, UnusedCliTokensError) and tokens:
        return f"nothing here takes {listing(repr(token) for token in tokens)}: leave it out (--help shows what goes)"
    if isinstance(error, UnknownOptionError):
        given = (error.token.keyword or error.token.value).partition("=")[0]
        places = (name for argument in error.argument_collection for name in argument.names if name[:1] != "-")
        place = next((name for name in places if name.lower() == given.lstrip("-").lower()), None)
        if place is not None:
            return f"{given} is no option here: write {place} without a name, at its place (--help shows the order)"
    return f"{_one_line(error)} (--help shows what is admissible)"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
