"""``crossover plan``: rank the layouts of a model on devices that need not be here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document

if TYPE_CHECKING:
    from crossover.planning.plan import Plan


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class What:
    """What is planned: sizes of the model where they are not those of its name or file, and of a step.

    Parameters
    ----------
    length
        Steps of a row.
    batch
        Rows of the global batch.
    source
        Steps of the source that an encoder-decoder reads.
    layers
        Blocks.
    width
        Width.
    heads
        Heads of attention.
    feed_forward
        Width of the feed-forward.
    vocabulary
        Tokens of the vocabulary.
    causal
        Each step sees those before it alone.
    precision
        Number format of products (by itself bf16, where a machine has it).
    optimizer
        adamw or sgd.
    passes
        A training step, the encoding of whole rows, or one step of decoding.
    """

    length: int = 1024
    batch: int = 64
    source: int | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    feed_forward: int | None = None
    vocabulary: int | None = None
    causal: bool = True
    precision: str | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    passes: Annotated[Literal["train", "encode", "decode"], Parameter(name="--pass")] = "train"

    def options(self) -> dict[str, Any]:
        """The arguments of `crossover.api.plan`."""
        sizes = {"layers": self.layers, "width": self.width, "heads": self.heads}
        sizes["feed_forward_width"] = self.feed_forward
        return {
            "length": self.length,
            "batch": self.batch,
            "source": self.source,
            "sizes": {name: value for name, value in sizes.items() if value is not None},
            "vocabulary": self.vocabulary,
            "causal": self.causal,
            "precision": self.precision,
            "optimizer": self.optimizer,
            "kind": self.passes,
        }


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """The devices that it is planned for.

    Parameters
    ----------
    devices
        How many devices: 64, or 8x8 for 8 hosts of 8.
    hardware
        A machine by name, or a file of crossover calibrate (h100-sxm; with --check this machine as calibrated).
    memory
        What a device has, such as 70GB (as its file says).
    link
        Other bandwidths of the network: intra=900GB,inter=50GB a second.
    """

    devices: str = "1"
    hardware: str | None = None
    memory: str | None = None
    link: str = ""

    def options(self, *, check: bool) -> dict[str, Any]:
        """The arguments of `crossover.api.plan`; with `check` the machine that is not named is this one."""
        from crossover.cli.plan_request import calibrated, parse_devices, parse_links
        from crossover.cli.units import parse_bytes

        count, hosts = parse_devices(self.devices)
        memory = parse_bytes(self.memory, "--memory")
        links = parse_links(self.link)
        return {
            "devices": count,
            "of_a_host": hosts,
            "hardware": self.hardware or (calibrated(count) if check else "h100-sxm"),
            "memory_bytes": memory,
            "bandwidths": links,
        }


WHAT, WHERE = What(), Where()


def plan(
    model: str,
    /,
    *,
    what: What = WHAT,
    where: Where = WHERE,
    layout: str = "",
    top: int = 5,
    why: bool = False,
    versus: str = "",
    sweep: str = "",
    tokens: str | None = None,
    price: float | None = None,
    launch: Literal["torchrun", "slurm"] | None = None,
    check: bool = False,
    page: Path | None = None,
    common: Common = COMMON,
) -> int:
    """Rank the layouts of a model by predicted step time, with memory, traffic and an interval.

    Parameters
    ----------
    model
        A preset or mixer, settings in brackets allowed, or a config.json of transformers.
    layout
        Fields of the layout that are to stay as given; the rest is searched.
    top
        How many layouts to show.
    why
        Explain every term of the best one.
    versus
        Models of as many parameters to draw beside this one, separated by commas.
    sweep
        Numbers of devices to go through: devices=1..1024 (doubling) or devices=1,3,8.
    tokens
        Tokens to train on: 300B. Says how long that takes.
    price
        What a device costs an hour.
    launch
        Print the lines that start the best layout with torchrun or Slurm.
    check
        Run the layouts that are shown for a moment on this machine, and print what they take beside the prediction.
    page
        Write the plan as an HTML page, with sliders over lengths, batches and networks.
    """
    from crossover import api
    from crossover.cli.plan_output import print_plan
    from crossover.cli.plan_request import check_counts, check_said, parse_amount, parse_sweep
    from crossover.parallel.layout import Layout
    from crossover.plugins import load_plugins

    load_plugins(common.plugin)
    check_counts({"--top": top, "--batch": what.batch, "--length": what.length, "--source": what.source})
    said = {"--why": why, "--check": check, "--tokens": tokens, "--price": price, "--launch": launch}
    check_said(said, document=common.json, kind=what.passes)
    amount = None if tokens is None else parse_amount(tokens)
    others = tuple(name.strip() for name in versus.split(",") if name.strip())
    there = where.options(check=check)
    found = api.plan(
        model,
        **what.options(),
        **there,
        layout=Layout.parse(layout) if layout else None,
        versus=others,
        sweep=parse_sweep(sweep, there["devices"], needed=bool(others)),
        around=page is not None,
    )
    if page is not None:
        _write_page(found, page, top, common.lang)
    if common.json:
        print_document(found.to_json(top))
        return 0
    print_plan(found, top=top, why=why, check=check, tokens=amount, price=price, launch=launch)
    return 0


def _write_page(found: Plan, page: Path, top: int, lang: str | None) -> None:
    from crossover.models.presets import family_of
    from crossover.report.plan import write_plan_page

    families = {job.model.name: family_of(job.model) for job in (found.job, *found.versus)}
    write_plan_page(found.to_json(top), families, page, lang=lang)
