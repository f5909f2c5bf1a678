"""What a command says at its end: a small table, the verdicts, where the report lies, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from shlex import join, quote, split
from typing import TYPE_CHECKING, Any

from crossover.report import quantities
from crossover.report.claims import VERDICTS
from crossover.report.compare import per_second
from crossover.report.grid import Grid
from crossover.report.messages import Text, Translator, _, stored, translate
from crossover.report.model import crossing_sentences, verdict_callouts, warnings, with_defaults
from crossover.report.recommendation import recommended
from crossover.report.scaling import PASSES, passes, scope_sentence
from crossover.report.verdicts import TaskResult, is_baseline, metric_name, task_verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Line

_COLORS = {"good": "green", "bad": "red", "warning": "yellow", "neutral": "default"}
_MOST_ROWS = 4
_WITHOUT_TERMINAL = 200
"""Columns for a file or a pipe: nobody's window is that wide, and lines that break at 80 are of no use there."""


def print_summary(study: Mapping[str, Any], folder: Path, console: Console, lang: str | None = None) -> None:
    """Print the summary of a study that lies in `folder`."""
    say = translate(lang)
    study = with_defaults(study)
    if not console.is_terminal:
        console.width = max(console.width, _WITHOUT_TERMINAL)
    console.print()
    console.print(_table(study, say))
    console.print()
    for line, color in _sentences(study, say):
        console.print(line, style=color, highlight=False, markup=False)
    console.print()
    console.print(
        say(_("Report: {path}", path=str(folder / "report.html"))), highlight=False, markup=False, soft_wrap=True
    )
    if commands := next_commands(study, folder):
        console.print(say(_("To try next:")), highlight=False, markup=False)
        for command in commands:
            console.print(f"  {command}", style="cyan", highlight=False, markup=False, soft_wrap=True)


def _sentences(study: Mapping[str, Any], say: Translator) -> list[tuple[str, str]]:
    lines = [(f"{say(w.label)}: {say(w.text)}", "yellow") for w in warnings(study)]
    for callout in verdict_callouts(study):
        verdict = _("{task}: {verdict}", task=callout.heading, verdict=callout.text)
        lines += [(say(verdict), "default"), (f"  {say(callout.detail)}", "bright_black")]
        if answer := recommended(study, say(callout.heading)):
            lines.append((f"  {say(answer)}", "default"))
    lines += [(say(sentence), "default") for sentence in crossing_sentences(study)]
    if study["scale"] and study["scale"]["curves"]:
        lines.append((f"  {say(scope_sentence(study))}", "bright_black"))
    told = [_("{claim}: {verdict}", claim=c["id"], verdict=stored(c["sentence"])) for c in study.get("claims") or []]
    return lines + [(say(sentence), "default") for sentence in told]


def _table(study: Mapping[str, Any], say: Translator) -> Grid:
    if study.get("claims"):
        return _claims(study, say)
    if not study["table"]:
        return _exponents(study, say)
    tasks = [task for task in study["tasks"] if any(row["task"] == task for row in study["table"])]
    return _models(study, tasks[0], say) if len(tasks) == 1 else _tasks(study, tasks, say)


def _grid(
    titles: Sequence[Text],
    rows: Iterable[Sequence[str | Line]],
    figures: range,
    say: Translator,
    *,
    prose: bool = False,
) -> Grid:
    from rich.text import Text as Line

    cells = [[cell if isinstance(cell, Line) else Line(cell) for cell in row] for row in rows]
    return Grid([say(title) for title in titles], cells, figures, prose)


def _tasks(study: Mapping[str, Any], tasks: list[str], say: Translator) -> Grid:
    """Per task the score of every model and of the best baseline, and who wins."""
    from rich.text import Text as Line

    models = list(dict.fromkeys(row["model"] for row in study["table"] if not is_baseline(row)))
    lines: list[list[str | Line]] = []
    for task in tasks:
        result = TaskResult(study, task)
        scores = {row["model"]: quantities.score(quantities.value_of(row["score"])) for row in result.rows}
        best = next((scores[row["model"]] for row in result.baselines), quantities.NOT_MEASURED)
        verdict = task_verdict(result)
        badge = Line(say(verdict.badge), style=_COLORS[verdict.tone]) if verdict else ""
        told = [scores.get(model, quantities.NOT_MEASURED) for model in models]
        lines.append([task, result.metric, *told, best, badge])
    titles = [_("task"), _("metric"), *models, _("baseline"), _("verdict")]
    return _grid(titles, lines, range(2, 3 + len(models)), say)


def _models(study: Mapping[str, Any], task: str, say: Translator) -> Grid:
    """A line per row of the only task: the best few, and always the best baseline."""
    result = TaskResult(study, task)
    shown = result.rows[:_MOST_ROWS]
    if result.baselines and result.baselines[0] not in shown:
        shown = [*shown[:-1], result.baselines[0]]
    titles = [
        _("model"),
        metric_name(result.metric),
        _("parameters"),
        _("training time"),
        per_second(result.spec),
        _("latency p50"),
        _("peak memory"),
    ]
    lines = [
        [
            row["model"],
            quantities.with_bounds(row["score"]),
            quantities.count(row.get("parameters")),
            quantities.seconds(row.get("train_seconds")),
            quantities.whole(quantities.value_of(row.get("tokens_per_second"))),
            quantities.seconds(((row.get("latency") or {}).get("sequence") or {}).get("p50")),
            quantities.size(row.get("peak_bytes")),
        ]
        for row in shown
    ]
    return _grid(titles, lines, range(1, len(titles)), say)


def _exponents(study: Mapping[str, Any], say: Translator) -> Grid:
    """A line per curve; which pass it is of only where there are several."""
    curves = (study["scale"] or {}).get("curves", [])
    several = bool(curves) and len(passes(study)) > 1
    lines = []
    for curve in curves:
        exponents = curve.get("exponents") or {}
        names = [curve["model"], say(PASSES.get(curve["pass"], curve["pass"]))]
        figures = [quantities.with_bounds(exponents.get(measure)) for measure in ("time", "memory", "flops")]
        lines.append([*(names if several else names[:1]), *figures])
    names = [_("model"), _("pass")]
    titles = [
        *(names if several else names[:1]), _("time exponent"), _("memory exponent"), _("FLOPs exponent"),
    ]  # fmt: skip
    return _grid(titles, lines, range(len(titles) - 3, len(titles)), say)


def _claims(study: Mapping[str, Any], say: Translator) -> Grid:
    from rich.text import Text as Line

    lines = []
    for claim in study["claims"]:
        word, tone = VERDICTS.get(claim["verdict"], (claim["verdict"], "neutral"))
        lines.append([claim["id"], Line(say(word), style=_COLORS[tone]), say(stored(claim["statement"]))])
    return _grid([_("claim"), _("verdict"), _("statement")], lines, range(0), say, prose=True)


_ASKED: Mapping[str, tuple[str, ...]] = {
    "text-classification": ('"…"',),
    "translation": ('"…"',),
    "language-modeling": ('"…"',),
    "masked-language-modeling": ('"… [MASK] …"',),
    "qa": ('"… …?"',),
    "forecasting": (),
    "classification": ("--file series.ts",),
    "speech": ("--file recording.wav",),
    "video": ("--file clips.npz",),
}
"""What `crossover predict` is given for a task of each family; a forecast goes on from what training saw."""


def next_commands(study: Mapping[str, Any], folder: Path) -> list[str]:
    """Three commands that go on from this study."""
    where = quote(str(folder))
    if claims := study.get("claims"):
        return [*_settled_further(claims), f"crossover report {where}"]
    if not study["table"]:
        models = list(dict.fromkeys(curve["model"] for curve in (study.get("scale") or {}).get("curves", [])))
        scale = (
            f"crossover scale --models {quote(','.join(models))} --axis width=64..512"
            if models
            else "crossover scale"
        )
        return [scale, "crossover compare", f"crossover report {where}"]
    commands = []
    needed = [
        v["seeds_needed"]
        for task in study["tasks"]
        for v in TaskResult(study, task).verdicts
        if v["verdict"] == "undecided" and v.get("seeds_needed")
    ]
    if needed:
        commands.append(_again(study, folder, "--seeds", min(needed)))
    # A baseline that is recommended is no saved model: only a task whose answer is a run can be used further.
    usable = [entry["task"] for entry in study.get("recommendation") or () if entry.get("run") is not None]
    if usable:
        chosen = usable[0]
        suffix = f" --task {quote(chosen)}" if len(study["tasks"]) > 1 else ""
        suffix += "".join(f" --plugin {quote(file)}" for file in study["settings"].get("plugins") or ())
        family = study["tasks"][chosen].get("family")
        if family in _ASKED:
            commands.append(" ".join(["crossover predict", where, *_ASKED[family]]) + suffix)
        form = "--to onnx --out model.onnx" if find_spec("onnxruntime") else "--to safetensors --out model"
        commands.append(f"crossover export {where}{suffix} {form}")
    commands += [_again(study, folder, "--trials", 8), "crossover scale --axis length=64..4096"]
    return commands[:3]


def _settled_further(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not decided at level quick, measured in full; and a verdict, settled again on another machine."""
    open_ones = [c for c in claims if c["verdict"] == "not decided" and c["level"] == "quick"]
    asked = [quote(split(claim["command"])[2]) for claim in open_ones]
    commands = [f"crossover audit {' '.join(asked)} --level full"] if asked else []
    decided = next((claim["card"] for claim in claims if claim["verdict"] != "not decided"), None)
    return commands + ([f"crossover verify {quote(decided)}"] if decided else [])


def _again(study: Mapping[str, Any], folder: Path, flag: str, value: int) -> str:
    """The command of `study` with another `value` of `flag`, in the same folder: what is finished there stays."""
    words = split(study.get("command") or f"crossover compare {join(study['tasks'])}")
    kept, replaced = [], (flag, "--out")
    for word, before in zip(words, ["", *words], strict=False):
        if before not in replaced and word.partition("=")[0] not in replaced:
            kept.append(word)
    return join([*kept, flag, str(value), "--out", str(folder)])
