"""``crossover data``: data sets by name."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_columns, print_document, print_text, tell

app = App(name="data", help="List the data sets that can be had by name, or get one.")


@app.command(name="list")
def list_data(*, common: Common = COMMON) -> int:
    """List the data sets, where they lie and what may be done with them."""
    from crossover.data.catalogue import CATALOGUE, locate
    from crossover.errors import DataError

    entries: list[dict[str, Any]] = []
    for name, dataset in CATALOGUE.items():
        try:
            place = str(locate(name))
        except DataError:
            place = None
        entries.append({"name": name, "path": place, "licence": dataset.licence, "restricted": dataset.restricted})
    if common.json:
        print_document({"data": entries})
    else:
        print_columns((e["name"], e["path"] or f"crossover data get {e['name']}", e["licence"]) for e in entries)
    return 0


@app.command
def get(
    name: str,
    /,
    *,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    accept_licence: bool = False,
    common: Common = COMMON,
) -> int:
    """Fetch a data set from its owner, check it, and keep it in the user's cache folder.

    Parameters
    ----------
    name
        A data set (crossover data list).
    source
        A path or an address to take it from instead.
    accept_licence
        Accept a licence that restricts the use.
    """
    from crossover.data.catalogue import dataset
    from crossover.data.fetch import get as fetch

    path = fetch(name, source=source, accept_licence=accept_licence, progress=_told)
    if common.json:
        print_document({"name": name, "path": str(path), "licence": dataset(name).licence})
    else:
        tell(dataset(name).notice())
        print_text(str(path))
    return 0


def _told(file: str, done: int, total: int | None) -> None:
    """Say when a file is complete: a line for every block would be noise."""
    if total is not None and done >= total:
        tell(f"{file}: {done:,} bytes")
