"""``crossover check``: the conformance suite on a mixer or task of one's own."""

from __future__ import annotations

from pathlib import Path

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_text
from crossover.plugins import load_plugin


def check(file: Path, /, *, common: Common = COMMON) -> int:
    """Run the conformance suite on the mixers and tasks that a Python file registers.

    Parameters
    ----------
    file
        The file; it registers with crossover.MIXERS.add or crossover.TASKS.add.
    """
    from crossover.errors import ConfigError
    from crossover.models.mixers import MIXERS
    from crossover.tasks import TASKS
    from crossover.testing.conformance import check_mixer
    from crossover.testing.task_conformance import check_task

    before = {*MIXERS.names()}, {*TASKS.names()}
    load_plugin(file)
    mixers = [name for name in MIXERS.names() if name not in before[0]]
    tasks = [name for name in TASKS.names() if name not in before[1]]
    if not mixers and not tasks:
        raise ConfigError(f"{file} registers nothing: call crossover.MIXERS.add or crossover.TASKS.add in it")
    results = [(name, result) for name in mixers for result in check_mixer(name)]
    results += [(name, result) for name in tasks for result in check_task(name)]
    failed = [result for _, result in results if not result.passed]
    if common.json:
        rows = [{"name": n, "check": r.name, "passed": r.passed, "detail": r.detail} for n, r in results]
        print_document({"checks": rows, "failed": len(failed)})
    else:
        for name, result in results:
            detail = f": {result.detail}" if result.detail and not result.passed else ""
            print_text(f"{'ok  ' if result.passed else 'FAIL'} {name} {result.name}{detail}")
        print_text(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
