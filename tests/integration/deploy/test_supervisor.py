import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.local.parts import Part, ProcessSpec, StepSpec
from deploy.local.problem import Problem
from deploy.local.process import birth_of
from deploy.local.state import CLONE
from deploy.local.status import PartStatus, Stage, end_leftovers, is_running, read, sole_supervisor
from deploy.local.supervisor import Supervisor
from tests.support.waiting import eventually

T = TypeVar("T")
Supervise = Callable[..., Supervisor]

# Writes down that it lives, and on SIGTERM that it ended.
_PROGRAM = """
import os, signal, sys
name, folder = sys.argv[1:]
def say(what):
    with open(f"{folder}/story", "a") as story:
        story.write(f"{what} {name}\\n")
def end(*_):
    say("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say("began")
open(f"{folder}/{name}.ready", "w").close()
while True:
    signal.pause()
"""


def stand_in(name: str, folder: Path, **changed: Any) -> ProcessSpec:
    return ProcessSpec(
        **{
            "name": name,
            "command": lambda: [sys.executable, "-c", _PROGRAM, name, str(folder)],
            "environment": lambda: dict(os.environ),
            "is_ready": (folder / f"{name}.ready").exists,
            "stop_timeout_seconds": 5,
            **changed,
        }
    )


def begin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen[bytes]([sys.executable, *arguments], cwd=CLONE, **options)


def part_of(state: Path, name: str = "service") -> PartStatus:
    status = read(state)
    assert status is not None
    return status.part(name)


def pid_of(part: PartStatus) -> int:
    assert part.pid is not None
    return part.pid


def all_ready(state: Path) -> bool:
    status = read(state)
    return status is not None and status.ready


def stages(state: Path) -> set[Stage]:
    status = read(state)
    assert status is not None
    return {part.stage for part in status.parts}


def story(folder: Path) -> list[str]:
    return (folder / "story").read_text().splitlines()


@pytest.fixture
async def supervise(state: Path) -> AsyncIterator[Supervise]:
    """Start a supervisor over some parts; it is stopped when the test ends."""
    started: list[Supervisor] = []

    def start(*parts: Part) -> Supervisor:
        supervisor = Supervisor(state, parts)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        await supervisor.stop()


async def test_parts_start_in_order_and_stop_in_reverse(state: Path, supervise: Supervise) -> None:
    done: list[list[str]] = []

    async def step() -> None:
        done.append(story(state))

    supervisor = supervise(
        stand_in("service", state, after=("setup",)),
        StepSpec("setup", step, after=("database",)),
        stand_in("database", state),
    )
    await supervisor.until_ready()
    await supervisor.stop()

    assert done == [["began database"]]
    assert story(state) == ["began database", "began service", "ended service", "ended database"]
    assert stages(state) == {Stage.STOPPED}


async def test_a_killed_process_is_started_again(state: Path, supervise: Supervise) -> None:
    supervisor = supervise(stand_in("service", state))
    await supervisor.until_ready()
    before = pid_of(part_of(state))

    os.kill(before, signal.SIGKILL)

    after = await eventually(lambda: (now := part_of(state)).pid not in (None, before) and now)
    await eventually(lambda: story(state) == ["began service", "began service"])
    assert after.restarts == 1


async def test_a_process_that_ends_at_every_start_is_reported_with_what_it_said(
    state: Path, supervise: Supervise
) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such setting')"]
    supervise(stand_in("service", state, command=lambda: command))

    part = await eventually(lambda: (now := part_of(state)).stage is Stage.FAILING and now)

    assert "no such setting" in part.message


@pytest.mark.parametrize("breaks", ["is_ready", "prepare"])
async def test_whatever_breaks_in_looking_after_a_process_it_is_kept_running_and_alone(
    state: Path, supervise: Supervise, breaks: str
) -> None:
    calls: list[str] = []

    def breaks_once() -> bool:
        calls.append(breaks)
        if len(calls) == 1:
            raise RuntimeError(breaks)
        return (state / "service.ready").exists()

    supervisor = supervise(stand_in("service", state, **{breaks: breaks_once}))

    await supervisor.until_ready()
    await supervisor.stop()
    began = story(state).count("began service")
    assert story(state).count("ended service") == 1
    assert began <= 1 + (breaks == "is_ready")


async def test_a_process_that_is_ready_no_more_is_told_and_left_alone(state: Path, supervise: Supervise) -> None:
    supervise(stand_in("service", state))
    before = await eventually(lambda: (now := part_of(state)).stage is Stage.READY and now)

    (state / "service.ready").unlink()
    told = await eventually(lambda: (now := part_of(state)).stage is Stage.UNREADY and now)

    assert not all_ready(state)
    assert "service runs and is not ready" in told.message
    (state / "service.ready").touch()
    after = await eventually(lambda: (now := part_of(state)).stage is Stage.READY and now)
    assert (after.pid, after.restarts, after.message) == (before.pid, 0, "")


async def test_what_another_release_wrote_can_be_read(state: Path, supervise: Supervise) -> None:
    supervisor = supervise(stand_in("service", state))
    await supervisor.until_ready()
    found = json.loads((state / "stack.json").read_text())

    found["parts"][0] |= {"health": "good", "stage": "dancing"}
    (state / "stack.json").write_text(json.dumps({**found, "of_later_days": 1}))

    assert (part_of(state).pid, part_of(state).stage) == (found["parts"][0]["pid"], Stage.STARTING)


async def test_a_status_that_cannot_be_written_ends_no_part(
    state: Path, supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = supervise(stand_in("service", state))
    await supervisor.until_ready()
    before = pid_of(part_of(state))

    with monkeypatch.context() as full:
        full.setattr("deploy.local.status.write", _no_space)
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: story(state) == ["began service", "began service"])

    os.kill(supervisor.status.part("service").pid or 0, signal.SIGKILL)
    after = await eventually(lambda: (now := part_of(state)).pid not in (None, before) and now)
    assert after.restarts == 2


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_process_that_failed_often_is_named_while_it_starts_once_more(
    state: Path, supervise: Supervise
) -> None:
    command = stand_in("service", state).command
    may_live = state / "may live"
    supervise(
        stand_in(
            "service", state, command=lambda: command() if may_live.exists() else ["false"], is_ready=lambda: False
        )
    )
    await eventually(lambda: part_of(state).stage is Stage.FAILING)

    may_live.touch()

    await eventually(lambda: part_of(state).pid)
    assert part_of(state).stage is Stage.FAILING


async def test_a_process_that_ignores_the_request_is_ended_by_force(state: Path, supervise: Supervise) -> None:
    deaf = _PROGRAM.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    command = [sys.executable, "-c", deaf, "service", str(state)]
    supervisor = supervise(stand_in("service", state, command=lambda: command, stop_timeout_seconds=0.2))
    await supervisor.until_ready()
    part = part_of(state)
    pid = pid_of(part)

    await supervisor.stop()

    assert birth_of(pid) != part.birth


async def test_what_a_process_says_is_in_its_log(state: Path, supervise: Supervise) -> None:
    command = [sys.executable, "-c", f"print('証', flush=True)\n{_PROGRAM}", "service", str(state)]
    await supervise(stand_in("service", state, command=lambda: command)).until_ready()

    assert "証" in (state / "logs" / "service.log").read_text()


async def test_children_do_not_outlive_a_supervisor_that_is_killed(state: Path) -> None:
    program = f"""
import asyncio, os, sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, TypeVar
from deploy.local.parts import ProcessSpec
from deploy.local.supervisor import supervise
state = Path({str(state)!r})
child = ProcessSpec("service", lambda: [sys.executable, "-c", {_PROGRAM!r}, "service", str(state)],
                    lambda: dict(os.environ), (state / "service.ready").exists)
asyncio.run(supervise(state, [child]))
"""
    supervisor = begin("-c", program)
    await eventually(lambda: all_ready(state))
    child = part_of(state)
    pid = pid_of(child)

    supervisor.kill()
    supervisor.wait()

    await eventually(lambda: birth_of(pid) != child.birth)


async def test_what_was_left_running_is_ended_and_nothing_else(state: Path) -> None:
    left, innocent = (begin("-c", "input()", stdin=subprocess.PIPE) for _ in range(2))
    recorded = [
        {"name": "left", "pid": left.pid, "birth": birth_of(left.pid)},
        {"name": "reused", "pid": innocent.pid, "birth": "another time"},
    ]
    parts = [{"stage": "ready", **part} for part in recorded]
    (state / "stack.json").write_text(json.dumps({"pid": 1, "birth": None, "problem": "", "parts": parts}))

    end_leftovers(state)

    assert left.wait() == -signal.SIGTERM
    assert innocent.poll() is None
    for process in (left, innocent):
        process.communicate()


async def test_a_folder_has_one_supervisor(state: Path) -> None:
    assert not is_running(state)
    with sole_supervisor(state):
        assert is_running(state)
        with pytest.raises(Problem, match="already supervised"), sole_supervisor(state):
            pass
    assert not is_running(state)


async def test_the_command_stops_cleanly_when_it_is_told_to(state: Path) -> None:
    own = state / "own"
    left_out = ["postgres", "kafka", "databases", "topics", "intake", "issuer", "registry", "notifier"]
    options = [part for name in left_out for part in ("--without", name)]
    supervisor = begin("-m", "deploy.local.supervisor", "--state", str(own), *options)
    await eventually(lambda: all_ready(own))
    assert Path(own, "secrets", "issuer", "pepper").exists()

    supervisor.terminate()

    assert supervisor.wait(20) == 0
    assert stages(own) == {Stage.STOPPED}
