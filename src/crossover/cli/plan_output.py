"""What ``crossover plan`` prints: assumptions first, then layouts, reasons, curves, hours and how to start it."""

from __future__ import annotations

from crossover.cli.output import print_columns, print_text
from crossover.cli.plan_launch import Launcher, starting_lines
from crossover.errors import LayoutError
from crossover.planning.explain import explain
from crossover.planning.plan import Plan, Point, missing
from crossover.planning.predict import Prediction
from crossover.report import quantities

_HEADINGS = ("layout", "step", "80 %", "tokens/s", "of peak", "memory", "compute", "messages", "bubble", "update", "")


def print_plan(
    found: Plan,
    *,
    top: int,
    why: bool,
    check: bool,
    tokens: float | None,
    price: float | None,
    launch: Launcher | None,
) -> None:
    """Print everything that was asked for; a LayoutError, behind the rest, where no layout fits."""
    print_text(_assumed(found))
    if ranked := found.found.ranked[:top]:
        print_columns([_HEADINGS, *(_row(each) for each in ranked)])
    for each in found.found.too_large[: max(0, top - len(ranked))]:
        print_text(f"does not fit: {each.layout} {missing(each)}")
    _print_curves(found)
    best = found.found.best
    if best is None:
        smallest = missing(found.found.too_large[0])
        raise LayoutError(
            f"no layout of {found.devices} devices fits: the smallest {smallest}; give more --devices or less --batch"
        )
    if why:
        print_text("")
        print_columns((reason.name, reason.formula, reason.numbers) for reason in explain(found.planner, best))
    if check:
        _print_checked(found, top)
    if tokens is not None:
        _print_budget(best, found.devices, tokens, price)
    if launch is not None:
        for line in starting_lines(found, best, launch):
            print_text(line)


def _assumed(found: Plan) -> str:
    """Everything that the figures hold for, what was not asked for included."""
    job, machine = found.job, found.planner.machine
    links = "".join(
        f", {link.name} {link.bandwidth / 1e9:.3g} GB/s" + (f" ({link.devices})" if link.devices else "")
        for link in machine.links
    )
    source = f" from {job.read:,}" if job.read else ""
    return (
        f"{job.model.name}, {quantities.count(job.parameters)} parameters, {job.kind}, {job.rows:,} rows of "
        f"{job.time:,} steps{source}, {job.precision}, {found.devices} x {machine.title}{links}"
    )


def _row(found: Prediction) -> tuple[str, ...]:
    low, high = found.interval
    parts = (found.compute_seconds, found.communication_seconds, found.bubble_seconds, found.update_seconds)
    return (
        str(found.layout),
        quantities.seconds(found.step_seconds),
        quantities.between(quantities.seconds(low), quantities.seconds(high)),
        f"{found.tokens_per_second:,.0f}",
        f"{found.utilisation:.1%}",
        quantities.size(found.memory.total),
        *(quantities.seconds(part) for part in parts),
        "plan only: " + "; ".join(found.plan_only) if found.plan_only else "",
    )


def _print_curves(found: Plan) -> None:
    if found.points:
        print_text("")
        print_columns([("devices", "model", "layout", "seconds a token"), *(_swept(point) for point in found.points)])
    for crossing in found.crossings:
        print_text(f"{crossing['a']} and {crossing['b']} cross at about {crossing['devices']:.3g} devices")


def _swept(point: Point) -> tuple[str, ...]:
    if point.best is None:
        return str(point.devices), point.model, "none can be used", ""
    seconds = quantities.seconds(1 / point.best.tokens_per_second)
    return str(point.devices), point.model, str(point.best.layout), seconds


def _print_checked(found: Plan, top: int) -> None:
    from crossover.study.plan_check import check_plan

    rows = [
        (
            str(each.found.layout),
            quantities.seconds(each.found.step_seconds),
            quantities.seconds(each.seconds),
            f"{each.error:+.0%}",
        )
        for each in check_plan(found.job, found.found.ranked[:top])
    ]
    print_text("")
    print_columns([("layout", "predicted", "measured here", "error"), *rows])


def _print_budget(best: Prediction, devices: int, tokens: float, price: float | None) -> None:
    seconds = tokens / best.tokens_per_second
    hours = seconds * devices / 3600
    cost = f", {hours * price:,.0f} at {price:g} an hour" if price is not None else ""
    print_text(f"{tokens:.3g} tokens take {quantities.seconds(seconds)}, {hours:,.0f} device-hours{cost}")
