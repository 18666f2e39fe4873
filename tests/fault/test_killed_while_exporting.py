"""An export, or an import, that is killed: it goes on where it was, and ends as one that was not."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.audit import export_files
from console.environment import Stack
from deploy.local.state import CLONE
from tests.integration.console.conftest import environment_of
from tests.integration.console.exporting import (
    another_kafka,
    export,
    files,
    happen,
    import_,
    in_folder,
    in_kafka,
    make_empty,
    verify,
)
from tests.integration.console.world import stack_of_its_own

#: Runs a command and kills itself without a word, just before or just after its n-th call of something.
KILLED = """
import os, signal, sys
from pathlib import Path
from aiokafka import AIOKafkaProducer
from console.audit import export_files
from console.main import app

what, count, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
export_files.ROW_GROUP_ROWS, export_files.FILE_ROWS = 20, 40

def die():
    global count
    count -= 1
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)

rename, send_batch = Path.rename, AIOKafkaProducer.send_batch

def dying_rename(self, target):
    if when == "before":
        die()
    rename(self, target)
    if when == "after":
        die()

async def dying_send(self, *arguments, **named):
    future = await send_batch(self, *arguments, **named)
    await future
    die()
    return future

if what == "rename":
    Path.rename = dying_rename
else:
    AIOKafkaProducer.send_batch = dying_send
app(sys.argv[4:])
"""


def run_and_kill(stack: Stack, what: str, count: int, when: str, *command: str) -> None:
    environment = {**os.environ, **environment_of(stack)}
    arguments = [sys.executable, "-c", KILLED, what, str(count), when, *command]
    done = subprocess.run(arguments, cwd=CLONE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


@pytest.fixture(scope="module")
def ready() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "ROW_GROUP_ROWS", 20)
    monkeypatch.setattr(export_files, "FILE_ROWS", 40)


@pytest.mark.parametrize(
    ("count", "when"),
    [(1, "before"), (4, "after"), (-8, "before"), ("log", "after"), (-2, "before"), (-2, "after"), (-1, "before")],
)
@pytest.mark.usefixtures("small_files")
def test_an_export_that_was_killed_ends_as_one_that_was_not(ready: Stack, tmp_path: Path, count, when: str) -> None:
    happen(ready, 40)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = export(ready, whole)
    # A file is renamed when it is whole; the manifest and its note come last.
    parquet = sum(1 for path in files(whole) if path.endswith(".parquet"))
    last = len(files(whole))
    at = parquet + 1 if count == "log" else count if count > 0 else last + 1 + count

    run_and_kill(ready, "rename", at, when, "audit", "export", str(cut))
    assert files(cut) != files(whole)
    export(ready, cut)

    verify(cut, done["key"])
    assert files(cut) == files(whole)


def test_an_export_that_grows_while_killed_verifies(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 60)
    run_and_kill(ready, "rename", 4, "after", "audit", "export", str(tmp_path))
    happen(ready, 20)

    done = export(ready, tmp_path)

    verify(tmp_path, done["key"])
    assert in_folder(tmp_path) == in_kafka(ready)


def test_an_import_that_was_killed_goes_on(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 60)
    done = export(ready, tmp_path)

    with another_kafka(ready) as empty:
        for count in (1, 30):
            asyncio.run(make_empty(empty.kafka_administrator))
            run_and_kill(empty, "send", count, "after", "audit", "import", str(tmp_path))
            there = sum(map(len, in_kafka(empty).values()))
            assert 0 < there < done["records"]

            brought = import_(empty, tmp_path)

            assert in_kafka(empty) == in_kafka(ready)
            assert brought["there_before"] == there
