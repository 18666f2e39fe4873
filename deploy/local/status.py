"""Is the stack of this state folder running, and where are its parts?

The supervisor writes `stack.json`; everybody else reads it here.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.local.problem import Problem
from deploy.local.process import end


class Stage(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    #: It was, and runs; but it does not say so any more.
    UNREADY = "not ready"
    #: A step, or a process that is not restarted, came to its end.
    DONE = "done"
    #: It ended or did not get ready, again and again; it is still tried.
    FAILING = "failing"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass
class PartStatus:
    name: str
    stage: Stage = Stage.WAITING
    address: str = ""
    pid: int | None = None
    #: Tells the process from a later one with the same pid.
    birth: str | None = None
    #: Seconds since the epoch.
    since: float = 0.0
    #: From start to ready, the last time.
    took_seconds: float | None = None
    restarts: int = 0
    stop_signal: int = 15
    #: Why it is failing, in a sentence.
    message: str = ""

    @property
    def fine(self) -> bool:
        return self.stage in (Stage.READY, Stage.DONE)


@dataclass
class StackStatus:
    pid: int
    birth: str | None
    #: Why the supervisor itself gave up.
    problem: str = ""
    #: Whether the parts speak TLS with each other.
    tls: bool = False
    parts: list[PartStatus] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return bool(self.parts) and all(part.fine for part in self.parts)

    def part(self, name: str) -> PartStatus:
        return next(part for part in self.parts if part.name == name)


def write(state: Path, status: StackStatus) -> None:
    fresh = state / "stack.json.new"
    fresh.write_text(json.dumps(asdict(status), indent=1) + "\n")
    fresh.replace(state / "stack.json")


def read(state: Path) -> StackStatus | None:
    """What the supervisor wrote last, also when it no longer runs."""
    try:
        found = json.loads((state / "stack.json").read_text())
    except (OSError, ValueError):
        return None
    # Another release may say more, or in other words: this one must be able to end what that one started.
    parts = [PartStatus(**_known(PartStatus, part) | {"stage": _stage(part["stage"])}) for part in found.pop("parts")]
    return StackStatus(**_known(StackStatus, found), parts=parts)


def _known(of: type, found: dict[str, Any]) -> dict[str, Any]:
    return {each.name: found[each.name] for each in fields(of) if each.name in found}


def _stage(said: str) -> Stage:
    return next((stage for stage in Stage if stage == said), Stage.STARTING)


@contextmanager
def sole_supervisor(state: Path) -> Iterator[None]:
    """Hold the folder as its only supervisor; Problem when there is one."""
    with (state / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(f"The stack in {state} is already supervised: use it, or `make down` first.") from None
        yield


def is_running(state: Path) -> bool:
    """Whether a supervisor holds the folder now."""
    try:
        with (state / "supervisor.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def end_leftovers(state: Path) -> None:
    """End what a supervisor that was killed may have left running, in reverse order."""
    if status := read(state):
        for part in reversed(status.parts):
            if part.pid is not None:
                end(part.pid, part.birth, stop_signal=part.stop_signal)
