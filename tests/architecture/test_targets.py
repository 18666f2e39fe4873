"""No test is forgotten: `make test` runs all folders but one, which `make fault` runs."""

import re
import tomllib

from deploy.local.state import CLONE


def test_every_folder_of_tests_is_run_by_a_target() -> None:
    settings = tomllib.loads((CLONE / "pyproject.toml").read_text())
    run = set(settings["tool"]["pytest"]["ini_options"]["testpaths"])
    there = {str(folder.relative_to(CLONE)) for folder in (CLONE / "tests").iterdir() if any(folder.rglob("test_*.py"))}
    targets = (CLONE / "Makefile").read_text()
    ci = (CLONE / ".ci" / "run").read_text()

    assert there - run == {"tests/fault"}
    assert run - there == set()
    assert re.search(r"^ifdef QUICK\n\t\$\(BIN\)/pytest .*\$\(or \$\(ARGS\),tests/fault\)$", targets, re.MULTILINE)
    assert re.search(r"^make test$", ci, re.MULTILINE)
    assert re.search(r"^make fault QUICK=1$", ci, re.MULTILINE)
