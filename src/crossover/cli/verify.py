"""``crossover verify``: the claim of an audit's card, settled again on this machine."""

from __future__ import annotations

from pathlib import Path

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import command_line, print_document, print_text, tell
from crossover.plugins import load_plugins


def verify(card: Path, /, *, out: Path | None = None, common: Common = COMMON) -> int:
    """Settle the claim of a card again, and say whether its verdict is confirmed, refuted or out of scope here.

    Parameters
    ----------
    card
        A file from the folder cards of an audit, of any machine.
    out
        Folder of what is measured; one that was interrupted is gone on with.
    """
    load_plugins(common.plugin)
    from crossover import api
    from crossover.report.messages import stored, translate

    say = translate(common.lang)
    found = api.verify(card, out=out, tell=tell, command=command_line())
    if common.json:
        print_document(found.to_json())
    else:
        print_text(f"{found.claim}: {found.outcome} ({found.reason})")
        for name, told in (("card", found.held), ("here", found.found)):
            if told is not None:
                print_text(f"{name}: {say(stored(told['sentence']))}")
    return 0 if found.outcome == "confirmed" else 1
