"""Sphinx configuration; what the registries know is written into the pages by `generated`."""

import json
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from generated import AUDIT, fill

project = "Crossover"
author = "The Crossover authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["verdicts.css"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3


def _fill_source(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def _write_audit(app: Sphinx, error: Exception | None) -> None:
    """The report of the audit that is kept, in each language, beside the pages."""
    if error is None and app.builder.format == "html":
        from crossover.report.html import write_report

        for lang in ("en", "zh"):
            write_report(json.loads(AUDIT.read_text(encoding="utf-8")), Path(app.outdir) / "audit" / lang, lang)


def setup(app: Sphinx) -> None:
    """Fill every page's marks as it is read, and read every page at each build."""
    app.connect("source-read", _fill_source)
    app.connect("build-finished", _write_audit)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: env.found_docs)
