"""The short form of fuzzing: what `make fuzz` does for as long as one likes, here for a moment and the same each time."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Final

import pytest

from deploy.local.state import CLONE
from tests.fuzz.mutating import mutated
from tests.fuzz.targets import TARGETS, Target

FOUND: Final = Path(__file__).parent / "found"
#: Of each target; those that draw a page, or write a letter, take their time.
INPUTS: Final = {"drawn_documents": 40, "mails": 400, "forms": 500}
MOST_INPUTS: Final = 2000

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@every_target
def test_what_was_thought_of_and_what_was_found_before_breaks_no_promise(target: Target) -> None:
    found = [file.read_bytes() for file in sorted((FOUND / target.name).glob("*"))]

    for data in (*target.seeds, *found):
        target.check(data)


@every_target
def test_what_comes_of_them_by_chance_breaks_no_promise(target: Target) -> None:
    random = Random(target.name)
    pool = list(target.seeds)

    for _ in range(INPUTS.get(target.name, MOST_INPUTS)):
        data = mutated(random.choice(pool), random)
        target.check(data)
        # Of changes of changes, too.
        pool[random.randrange(len(pool))] = random.choice((data, *target.seeds))


def test_what_was_found_is_of_a_target_that_there_is() -> None:
    assert {folder.name for folder in FOUND.iterdir()} <= TARGETS.keys()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has a wheel for Linux on x86_64 only")
@pytest.mark.parametrize("name", ["proofs"])
def test_the_long_form_runs_and_says_how_far_it_came(name: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--target",
            name,
            "--runs",
            "2000",
            "--seed",
            "1",
            "--kept",
            str(tmp_path),
        ],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = re.fullmatch(rf"{name}: ([0-9,]+) inputs, coverage (\d+) to (\d+), .*\n", ended.stdout)
    assert said, ended.stdout
    assert int(said[1].replace(",", "")) >= 2000
    assert int(said[3]) >= int(said[2]) > 0
