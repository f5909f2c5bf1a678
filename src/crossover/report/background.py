"""What stands behind the figures: the scope, the machine, the numerics, the commands, the runs that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Block, Cell, Column, Command, Paragraph, Row, Section, Table
from crossover.report.messages import Listing, Sentences, Text, _, ngettext
from crossover.report.verdicts import device_name, is_baseline

MATCHES = {
    "params": _(
        "Widths are chosen so that all models have the same number of parameters, without embedding and output layer."
    ),
    "flops": _("Widths are chosen so that all models need the same number of operations per token."),
    "step": _("Widths are chosen so that all models take the same time per training step."),
}


def scope_paragraph(study: Mapping[str, Any]) -> Paragraph:
    """What was compared, on what, under which budget: one paragraph."""
    settings = study.get("settings") or {}
    models = list(dict.fromkeys(row["model"] for row in study["table"] if not is_baseline(row)))
    sentences: list[Text] = []
    if models:
        sentences.append(
            _(
                "{models} were trained on {tasks} and compared with simple baselines on the same data.",
                models=Listing(tuple(models)), tasks=Listing(tuple(study["tasks"])),
            )
        )  # fmt: skip
        if settings.get("seeds"):
            sentences.append(
                ngettext(
                    "Each was trained from {count} seed.",
                    "Each was trained from {count} seeds.",
                    int(settings["seeds"]),
                )
            )
        if settings.get("budget"):
            sentences.append(_("One run may spend {budget}.", budget=quantities.budget(str(settings["budget"]))))
        if (settings.get("trials") or 1) > 1:
            trials = int(settings["trials"])
            sentences.append(
                ngettext(
                    "Every model got the same search of {count} trial.",
                    "Every model got the same search of {count} trials.",
                    trials,
                )
            )
        if settings.get("match") in MATCHES:
            sentences.append(MATCHES[settings["match"]])
        sentences.append(_("Choices were made on the validation split; the test split was read once."))
    sentences.append(_machine_sentence(study))
    if study.get("seconds") is not None:
        sentences.append(_("Everything together took {seconds}.", seconds=quantities.seconds(study["seconds"])))
    return Paragraph(Sentences(tuple(sentences)))


def _machine_sentence(study: Mapping[str, Any]) -> Text:
    machine, numerics = study["machine"], study.get("numerics") or {}
    if numerics.get("precision"):
        return _(
            "It ran on {device} in {precision}.", device=device_name(machine), precision=str(numerics["precision"])
        )
    return _("It ran on {device}.", device=device_name(machine))


def failures_section(study: Mapping[str, Any]) -> Section | None:
    """The runs that failed, each with its reason."""
    failed = [run for run in study["runs"] if run["status"] == "failed"]
    if not failed:
        return None
    columns = (
        Column(_("task"), figure=False),
        Column(_("model"), figure=False),
        Column(_("seed")),
        Column(_("reason"), figure=False),
    )
    rows = tuple(
        Row((Cell(run["task"]), Cell(run["model"]), Cell(str(run["seed"])), Cell(str(run["error"]))))
        for run in failed
    )
    caption = _("Their seeds are missing from the figures above.")
    return Section("failures", _("Failed runs"), (Table(caption, columns, rows),))


def commands_section(study: Mapping[str, Any]) -> Section | None:
    """The command that made the study, if it was one, and the one behind each row; None without any."""
    blocks: list[Block] = [Command(study["command"])] if study.get("command") else []
    rows = tuple(
        Row((Cell(row["task"]), Cell(row["model"]), Cell(row["command"], code=True)))
        for row in study["table"]
        if row.get("command") and not is_baseline(row)
    )
    if rows:
        columns = (
            Column(_("task"), figure=False),
            Column(_("model"), figure=False),
            Column(_("command"), figure=False),
        )
        blocks.append(Table(_("The command behind each row of the tables"), columns, rows))
    return Section("commands", _("Commands"), tuple(blocks)) if blocks else None


def machine_section(study: Mapping[str, Any]) -> Section:
    """The machine, the numerics that were chosen, and what they were chosen from."""
    blocks: list[Block] = [_facts(study)]
    numerics = study.get("numerics") or {}
    if numerics.get("candidates"):
        blocks.append(_candidates(numerics))
    return Section("machine", _("Machine and numerics"), tuple(blocks))


def _facts(study: Mapping[str, Any]) -> Table:
    machine, numerics = study["machine"], study.get("numerics") or {}
    steady = {
        True: _("yes: two equal measurements agreed within 10 %"),
        False: _("no: two equal measurements differed by more than 10 %, so there is no verdict on time"),
    }
    memory = machine.get("memory_bytes")
    facts: list[tuple[Text, Text | None]] = [
        (_("device"), device_name(machine)),
        (_("processor"), _processor(machine)),
        (_("memory"), quantities.size(memory) if memory else None),
        (_("platform"), machine.get("platform")),
        (_("steady"), steady.get(machine.get("steady"), _("not measured"))),
        (_("PyTorch"), machine.get("torch")),
        (_("Python"), machine.get("python")),
        (_("commit"), machine.get("commit")),
        (_("number format"), numerics.get("precision")),
        (_("matrix products"), numerics.get("matmul")),
        (_("allocator"), numerics.get("allocator")),
        (_("threads"), str(numerics["threads"]) if numerics.get("threads") else None),
        (_("tolerance"), _tolerance(numerics.get("tolerance"))),
    ]
    columns = (Column(_("fact"), figure=False), Column(_("value"), figure=False))
    rows = tuple(Row((Cell(name), Cell(value))) for name, value in facts if value)
    return Table(_("Where the figures were taken"), columns, rows)


def _processor(machine: Mapping[str, Any]) -> str | None:
    """Its name and its vector instructions, which decide what number format is fast."""
    return " · ".join(part for part in (machine.get("processor"), machine.get("instructions")) if part) or None


def _tolerance(value: Mapping[str, float] | float | None) -> str | None:
    """What a candidate's loss and gradients may differ by; one number stands for both."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {limit:g}" for name, limit in value.items())
    return None if value is None else f"{value:g}"


def _candidates(numerics: Mapping[str, Any]) -> Table:
    columns = (
        Column(_("number format"), figure=False),
        Column(_("matrix products"), figure=False),
        Column(_("step time")),
        Column(_("error of the loss")),
        Column(_("error of the gradients")),
    )
    chosen = (numerics.get("precision"), numerics.get("matmul"))
    rows = tuple(
        Row(
            (
                Cell(str(c["precision"])), Cell(str(c["matmul"])), Cell(quantities.seconds(c["step_seconds"])),
                Cell(_error(c["loss_error"])), Cell(_error(c["gradient_error"])),
            ),
            strong=(c["precision"], c["matmul"]) == chosen,
        )
        for c in numerics["candidates"]
    )  # fmt: skip
    caption = _("Candidates for the numerics, measured on this machine; errors are relative to fp32")
    return Table(caption, columns, rows)


def _error(value: float | None) -> str:
    return quantities.NOT_MEASURED if value is None else "0" if value == 0 else f"{value:.1e}"
