"""What is documented rather than measured: when something was published, what code a layout takes here, and how
much of their links messages of others' machines reached."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import crossover.parallel
from crossover.models.backbones import mixer_settings
from crossover.models.mixers import MIXERS
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import AXES, Layout
from crossover.planning.job import Job
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.planning.step_traffic import step_traffic
from crossover.sharding import Sharding
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment
from crossover.study.audit.words import Said, _, listing, number


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Something, the year that it was published in, and where."""

    name: str
    year: int
    source: str


@dataclass(frozen=True, kw_only=True)
class DateSettings:
    """What was published when."""

    publications: tuple[Publication, ...] = ()
    models: tuple[str, ...] = ()


def cite(settings: DateSettings, bench: Bench) -> Evidence:
    """A year for each publication."""
    return Evidence(
        curves=tuple(
            Curve.counted(each.name, "year", (each.year,), (each.year,), baseline=True)
            for each in settings.publications
        ),
        scope=_("literature"),
        how=tuple(_("{name}: {source}.", name=each.name, source=each.source) for each in settings.publications),
    )


@dataclass(frozen=True, kw_only=True)
class Message:
    """An all-reduce that others timed: `bytes` on each of `ranks`, whose link carries `link` bytes/s one way."""

    name: str
    bytes: float
    ranks: int
    seconds: float
    link: float
    source: str

    @property
    def share(self) -> float:
        """Of the link's rate that a ring reaches, which sends 2 (n - 1)/n of the bytes over each of its links."""
        return 2 * (self.ranks - 1) / self.ranks * self.bytes / self.seconds / self.link


@dataclass(frozen=True, kw_only=True)
class MessageSettings:
    """Published all-reduces."""

    messages: tuple[Message, ...] = ()
    models: tuple[str, ...] = ()


def cite_messages(settings: MessageSettings, bench: Bench) -> Evidence:
    """The share of its link's rate that each reached, by the bytes of the message."""
    by_name: dict[str, list[Message]] = {}
    for message in sorted(settings.messages, key=lambda message: message.bytes):
        by_name.setdefault(message.name, []).append(message)
    return Evidence(
        curves=tuple(
            Curve.counted(name, "share of the link", [m.bytes for m in own], [m.share for m in own], baseline=True)
            for name, own in by_name.items()
        ),
        scope=_("published all-reduces of {from} to {to} MB", **_megabytes(settings.messages)),
        how=tuple(
            _("{name}: {source}.", name=name, source=listing(dict.fromkeys(m.source for m in own)))
            for name, own in by_name.items()
        ),
    )


def _megabytes(messages: Sequence[Message]) -> dict[str, Said]:
    sizes = [message.bytes / 1e6 for message in messages] or [0.0]
    return {"from": number(round(min(sizes))), "to": number(round(max(sizes)))}


_OWN = {
    "data": ("shards",),
    "pipeline": ("pipeline", "schedule", "stages"),
    "tensor": ("tensor", "vocabulary"),
    "sequence": ("sequence", "stretch", "relay", "queries", "ring", "handing"),
}
"""The modules of `crossover.parallel` that are there for one axis."""


@dataclass(frozen=True, kw_only=True)
class CodeSettings:
    """What each axis takes in this repository; traffic is that of one block of `models` in a training step."""

    models: tuple[str, ...] = ("lstm", "transformer")
    rows: int = 8
    length: int = 64


def count_code(settings: CodeSettings, bench: Bench) -> Evidence:
    """Lines of code by axis; rules of mixers and messages of a block are told beside."""
    folder = Path(crossover.parallel.__file__).parent
    lines = {axis: sum(code_lines(folder / f"{name}.py") for name in names) for axis, names in _OWN.items()}
    curves = [
        Curve.counted("crossover", "lines of code", (2,), (count,), layout=f"{axis}=2", baseline=True)
        for axis, count in lines.items()
    ]
    rules = {"tensor": sum(_sharding(name).tensor is not None for name in MIXERS.names())}
    rules["sequence"] = sum(_sharding(name).state != "hand-on" for name in MIXERS.names())
    told = [
        _("Mixers of {all} with a rule of their own: {rules}.", all=number(len(MIXERS.names())), rules=_listed(rules))
    ]
    for name in settings.models:
        sent = {axis: _messages(name, axis, settings) for axis in AXES}
        told.append(_("Messages of {model} in a step of two blocks: {sent}.", model=name, sent=_listed(sent)))
    return Evidence(
        curves=tuple(curves),
        scope=_("this repository, crossover.parallel: lines of code without comments and documentation"),
        how=(
            _("Counted are the modules that are there for one axis: {modules}.", modules=_modules()),
            _("Replicas themselves are PyTorch's DistributedDataParallel, some ten lines in apply."),
            *told,
        ),
    )


def code_lines(file: Path) -> int:
    """Lines that hold code: no comment, no docstring, not blank."""
    text = file.read_text(encoding="utf-8")
    held = set[int]()
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        layout = (
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENCODING,
        )
        alone = token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in layout and token.type != tokenize.ENDMARKER and not alone:
            held.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type
    return len(held)


def _sharding(name: str) -> Sharding:
    return mixer_settings(parse_model(name), causal=True)[0].sharding()


def _messages(name: str, axis: str, settings: CodeSettings) -> int:
    """Of a training step of two blocks over two ranks of an axis, in number."""
    job = Job(
        model=parse_model(name),
        inputs=Tokens(vocabulary=256),
        outputs=PerStep(size=256),
        rows=settings.rows,
        time=settings.length,
        precision="fp32",
    )
    layout = Layout(**{axis: 2}, **({"microbatches": 2} if axis == "pipeline" else {}))  # type: ignore[arg-type]
    return sum(line.count for line in step_traffic(Planner(job, load_machine("cpu")), layout))


def _listed(counts: dict[str, int]) -> Said:
    return listing(f"{axis} {number(count)}" for axis, count in counts.items())


def _modules() -> Said:
    def told(names: Iterable[str]) -> str:
        return " + ".join(names)

    return listing(f"{axis}: {told(names)}" for axis, names in _OWN.items())


DATES = Experiment(
    settings=DateSettings,
    run=cite,
    measures={"year": Axes(x=_("year"), y=_("year"), log_x=False, log_y=False)},
    full={},
)
MESSAGES = Experiment(
    settings=MessageSettings,
    run=cite_messages,
    measures={"share of the link": Axes(x=_("bytes"), y=_("share of the link's rate"), log_y=False)},
    full={},
)
CODE = Experiment(
    settings=CodeSettings,
    run=count_code,
    measures={"lines of code": Axes(x=_("devices"), y=_("lines of code"), log_x=False, log_y=False)},
    full={},
)
