"""The audit: an overview of all claims, then a section per claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from crossover.report.blocks import (
    Axis,
    Block,
    Bullets,
    Callout,
    Cell,
    Chart,
    Column,
    Command,
    Paragraph,
    Row,
    Section,
    Series,
    Table,
    Tone,
)
from crossover.report.messages import Listing, Message, Text, _, ngettext, stored
from crossover.report.palette import styles
from crossover.report.verdicts import device_name

_FALSE = 0.05
"""The share of 95 % intervals that miss what they are of."""
VERDICTS: dict[str, tuple[Message, Tone]] = {
    "holds": (_("holds"), "good"),
    "holds where": (_("holds where"), "warning"),
    "does not hold": (_("does not hold"), "bad"),
    "not decided": (_("not decided"), "neutral"),
}


def overview(claims: list[Mapping[str, Any]]) -> Table:
    """One row per claim: its id, statement, verdict and scope."""
    columns = (
        Column(_("claim"), figure=False),
        Column(_("statement"), figure=False),
        Column(_("verdict"), figure=False),
        Column(_("scope"), figure=False),
    )
    rows = []
    for claim in claims:
        word, tone = _verdict(claim)
        where = stored(claim["where"]) if claim.get("where") else ""
        verdict = Cell(word, minor=where, tone=tone)
        named = Cell(claim["id"], section=_section(claim))
        rows.append(Row((named, Cell(stored(claim["statement"])), verdict, Cell(stored(claim.get("scope") or "")))))
    return Table(_("The claims and what the measurements say"), columns, tuple(rows))


def tally(claims: list[Mapping[str, Any]]) -> Paragraph:
    """How many claims got which verdict."""
    counts = Counter(claim["verdict"] for claim in claims)
    said = [
        _("{verdict} {count}", verdict=word, count=str(counts[v]))
        for v, (word, _tone) in VERDICTS.items()
        if counts[v]
    ]
    of = ngettext(
        "Of {count} claim: {verdicts}.", "Of {count} claims: {verdicts}.", len(claims), verdicts=Listing(tuple(said))
    )
    return Paragraph(of)


def chance(claims: list[Mapping[str, Any]]) -> Paragraph | None:
    """How many of the verdicts that rest on intervals may be false by chance; None where none does."""
    decided = [claim for claim in claims if claim["verdict"] != "not decided"]
    measured = sum(bool(claim.get("measured")) for claim in decided)
    if not measured:
        return None
    expected = f"{measured * _FALSE:.1f}".removesuffix(".0")
    return Paragraph(
        _(
            "{measured} of {decided} verdicts rest on 95 % intervals: as many as {expected} of them may be false by "
            "chance alone. The others are counted.",
            measured=str(measured),
            decided=str(len(decided)),
            expected=expected,
        )
    )


def claim_section(claim: Mapping[str, Any]) -> Section:
    """The answer in one sentence, the chart, the figures, how it was measured and the command."""
    word, tone = _verdict(claim)
    blocks: list[Block] = [Callout(stored(claim["sentence"]), tone, word)]
    if chart := _chart(claim):
        blocks.append(chart)
    for heading, lines in ((_("In figures:"), "figures"), (_("How it was measured:"), "how")):
        if claim.get(lines):
            blocks += [Paragraph(heading), Bullets(tuple(stored(line) for line in claim[lines]))]
    if machine := claim.get("machine"):
        blocks.append(
            Paragraph(
                _(
                    "Settled at level {level} on {processor} ({device}).",
                    level=claim["level"],
                    processor=machine["processor"],
                    device=device_name(machine),
                )
            )
        )
    if claim.get("command"):
        blocks.append(Command(claim["command"]))
    title = _("{claim}: {statement}", claim=claim["id"], statement=stored(claim["statement"]))
    return Section(_section(claim), title, tuple(blocks))


def _section(claim: Mapping[str, Any]) -> str:
    return f"claim-{claim['id']}"


def _verdict(claim: Mapping[str, Any]) -> tuple[Text, Tone]:
    return VERDICTS.get(claim["verdict"], (claim["verdict"], "neutral"))


def _chart(claim: Mapping[str, Any]) -> Chart | None:
    figure = claim.get("figure")
    if not figure or not figure.get("series"):
        return None
    looks = styles(
        (series["name"], series.get("family") or family_by_name(series["name"])) for series in figure["series"]
    )
    series = tuple(
        Series(
            s["name"], looks[s["name"]], figure["x"], s["y"], low=s.get("low") or (), high=s.get("high") or (),
            kind="bars" if any(isinstance(x, str) for x in figure["x"]) else "line",
        )
        for s in figure["series"]
    )  # fmt: skip
    ticks = figure["x"] if figure.get("log_x") and len(figure["x"]) <= 10 else ()
    return Chart(
        _section(claim),
        stored(figure.get("title") or claim["statement"]),
        _("What was measured for this claim, per series; bands are 95 % intervals."),
        Axis(stored(figure["x_title"]), log=bool(figure.get("log_x")), ticks=tuple(ticks)),
        Axis(stored(figure["y_title"]), log=bool(figure.get("log_y"))),
        series,
    )


def family_by_name(name: str) -> str:
    """The family that a series is drawn as when it does not say: by the mixer or preset in its name."""
    lowered = name.lower()
    if "linear-attention" in lowered or any(word in lowered for word in ("lstm", "gru", "elman", "rnn")):
        return "hybrid" if "+" in lowered else "recurrent"
    attention = ("attention", "transformer", "gpt", "llama")
    return "attention" if any(word in lowered for word in attention) else "other"
