"""What the documentation says can be typed, opened and imported."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import crossover
from crossover.cli import build_app
from crossover.models.presets import parse_model, split_models
from crossover.report.claims import VERDICTS
from crossover.report.messages import translate
from crossover.study.audit.card import load_card
from crossover.study.audit.claim import built_in_claims
from crossover.tasks import TASKS

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [
    *READMES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(set((ROOT / "docs").rglob("*.md")) - set((ROOT / "docs" / "_build").rglob("*"))),
]
SOURCE = Path(crossover.__file__).parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
OWN = {"leaky-integrator", "sorting"}
"""Names that the examples register."""

CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TABLE = re.compile(r"<!-- demo-table -->.*?<!-- /demo-table -->", re.DOTALL)
VERDICT = re.compile(r"^\| (C\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
AUDIT = ROOT / "benchmarks" / "results" / "audit" / "study.json"
CARDS = sorted((AUDIT.parent / "cards").glob("*.json"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(page: Path, *languages: str) -> list[str]:
    return [body for language, body in CODE.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands() -> Iterator[tuple[Path, str]]:
    """Every line of a page's shell blocks and table cell, and of the examples' docstrings, that calls crossover."""
    for page in PAGES:
        for block in code(page, "bash"):
            yield from ((page, line) for line in block.splitlines() if line.startswith("crossover "))
        if page.parent.name == "concepts" or page.name.startswith("coverage"):
            yield from ((page, span) for span in spans(page) if span.startswith("crossover "))
    for file in EXAMPLES:
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        yield from ((file, line) for line in map(str.strip, docstring.splitlines()) if line.startswith("crossover "))


def spans(page: Path) -> list[str]:
    """What stands between single backquotes."""
    return SPAN.findall(CODE.sub("", page.read_text(encoding="utf-8")))


COMMANDS = list(commands())


def outline(page: Path) -> list[int]:
    """The levels of a page's headings, in order."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return [len(mark) for mark in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_both_readmes_have_the_same_outline():
    assert outline(READMES[0]) == outline(READMES[1])


def test_both_readmes_have_the_same_code():
    english, chinese = (CODE.findall(page.read_text(encoding="utf-8")) for page in READMES)
    assert english == chinese


def test_both_readmes_have_the_same_links_and_figures():
    english, chinese = (page.read_text(encoding="utf-8") for page in READMES)
    assert LINK.findall(english) == LINK.findall(chinese)
    tables = [TABLE.findall(text) for text in (english, chinese)]
    assert [len(found) for found in tables] == [1, 1]
    bodies = [found[0].splitlines()[3:] for found in tables]
    assert bodies[0] == bodies[1]


def test_readme_opens_with_the_two_commands_and_a_picture():
    text = READMES[0].read_text(encoding="utf-8")
    first = code(READMES[0], "bash")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]
    assert text.index("make demo") < text.index("![") < text.index("<!-- demo-table -->") < text.index("\n## ")


@pytest.mark.parametrize(("page", "lang"), [(READMES[0], "en"), (READMES[1], "zh")])
def test_a_readme_shows_the_verdicts_of_the_audit_that_is_kept(page, lang):
    claims, say = json.loads(AUDIT.read_text(encoding="utf-8"))["claims"], translate(lang)
    shown = dict(VERDICT.findall(page.read_text(encoding="utf-8")))
    assert list(shown) == [claim["id"] for claim in claims] == list(built_in_claims())
    for claim in claims:
        assert shown[claim["id"]].startswith(say(VERDICTS[claim["verdict"]][0]))


@pytest.mark.parametrize("path", CARDS, ids=relative)
def test_a_card_that_is_kept_can_be_verified_by_this_version(path):
    card, claim = load_card(path)
    assert (card["id"], path.stem) == (claim.id, claim.id)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{relative(page)}: {line}" for page, line in COMMANDS])
def test_commands_can_be_typed(page, line):
    tokens = shlex.split(line)[1:]
    _, bound, ignored = build_app().parse_args(tokens, exit_on_error=False, print_error=False)
    assert not ignored
    given = bound.arguments
    names = [*given.get("tasks", ()), *([given["task"]] if tokens[0] == "train" else [])]
    for task in names:
        assert task in TASKS or task in OWN
    for claim in given.get("claims", ()):
        assert claim.endswith(".toml") or claim in built_in_claims()
    for model in split_models(given["models"]) if "models" in given else ():
        if model not in OWN:
            parse_model(model)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_source_files_that_a_page_names_are_there(page):
    named = [span for span in spans(page) if re.fullmatch(r"[a-z_]+(/[a-z_]+)+\.py", span)]
    named += [span for span in spans(page) if re.fullmatch(r"benchmarks/results/[\w.-]+", span)]
    assert not [file for file in named if not (SOURCE / file).exists() and not (ROOT / file).exists()]


def test_coverage_is_the_same_in_both_languages():
    english, chinese = (ROOT / "docs" / name for name in ("coverage.md", "coverage.zh-CN.md"))
    assert outline(english) == outline(chinese)
    assert spans(english) == spans(chinese)


def test_a_command_that_cannot_be_typed_is_found():
    from cyclopts import CycloptsError

    with pytest.raises(CycloptsError):
        build_app().parse_args(["compare", "--modles", "lstm"], exit_on_error=False, print_error=False)


def test_there_are_commands_of_every_kind():
    shown = {line.split()[1] for _, line in COMMANDS}
    assert {"compare", "scale", "train", "predict", "export", "report", "data", "audit", "check"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_blocks_use_what_there_is(page):
    for block in code(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)
            elif (
                isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "crossover"
            ):
                assert node.attr in crossover.__all__


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_toml_blocks_can_be_read(page):
    for block in code(page, "toml"):
        tomllib.loads(block)


def test_the_claims_of_the_documentation_can_be_audited(tmp_path):
    from crossover.study.audit.claim import find_claims

    blocks = [block for block in code(ROOT / "docs" / "extending.md", "toml") if block.startswith("id =")]
    files = [tmp_path / f"{number}.toml" for number in range(len(blocks))]
    for file, block in zip(files, blocks, strict=True):
        file.write_text(block, encoding="utf-8")
    for level in ("quick", "full"):
        claims = find_claims([str(file) for file in files], level)
        assert [claim.id for claim in claims] == ["my-claim", "vowels", "book"]


def test_pages_are_filled_from_the_registries(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    generated = import_module("generated")
    monkeypatch.setitem(sys.modules, "generated", generated)
    marks = {page.name: re.findall(r"<!-- generated: ([a-z-]+) -->", page.read_text("utf-8")) for page in PAGES}
    used = [name for names in marks.values() for name in names]
    assert sorted(used) == sorted(generated.PARTS)
    for name in TASKS.names():
        assert f"| `{name}` |" in generated.tasks()
    filled = generated.fill("before\n<!-- generated: mixers -->\nafter")
    assert "### linear-attention" in filled
    assert "generated:" not in filled
    assert "## crossover compare" in generated.commands()
    assert "Table of Contents" not in generated.commands()
    for lang in ("en", "zh"):
        for claim in json.loads(AUDIT.read_text(encoding="utf-8"))["claims"]:
            link = f'<a href="audit/{lang}/report.html#claim-{claim["id"].lower()}">{claim["id"]}</a>'
            assert link in generated.verdicts(lang)


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [item for items in project["optional-dependencies"].values() for item in items]
    wanted = {re.split(r"[<>=!\[ ]", item)[0].lower() for item in [*project["dependencies"], *extras]}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    assert wanted <= pinned
    assert not [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)]


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == crossover.__version__
    assert f"\nversion: {crossover.__version__}\n" in citation
