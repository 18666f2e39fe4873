"""What is the stack made of? Processes that are kept running, and steps that are done once before them."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.process import LocalProcess
from deploy.local.state import CLONE


def _nothing() -> None:
    """What most processes need before a start."""


@dataclass(frozen=True)
class ProcessSpec:
    """A process, and all that the supervisor must know to keep it running."""

    name: str
    #: Asked before every start, after `prepare`.
    command: Callable[[], list[str]]
    environment: Callable[[], Mapping[str, str]]
    #: Whether it serves now; answers within about a second. Called in a thread.
    is_ready: Callable[[], bool]
    #: What a person or another program is told.
    address: str = ""
    #: The parts that must be ready, or done, before it starts; it stops before they do.
    after: tuple[str, ...] = ()
    #: Called in a thread before every start.
    prepare: Callable[[], None] = _nothing
    folder: Path = CLONE
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    #: What the kernel sends it when the supervisor dies.
    death_signal: int = signal.SIGKILL
    ready_timeout_seconds: float = 90
    stop_timeout_seconds: float = 30
    #: Whether it is started again when it ends.
    restart: bool = True


@dataclass(frozen=True)
class StepSpec:
    """Something that is done once at every start, and harmless to repeat."""

    name: str
    run: Callable[[], Awaitable[None]]
    after: tuple[str, ...] = ()


Part = ProcessSpec | StepSpec


def server(process: LocalProcess, *, after: tuple[str, ...] = ()) -> ProcessSpec:
    """A broker or a database as a part of the stack."""
    return ProcessSpec(
        name=process.name,
        command=process.command,
        environment=process.environment,
        is_ready=process.is_ready,
        address=process.address,
        after=after,
        prepare=process.prepare,
        folder=process.state,
        user=process.user,
        stop_signal=process.stop_signal,
        death_signal=process.death_signal,
        ready_timeout_seconds=process.ready_timeout_seconds,
        stop_timeout_seconds=process.stop_timeout_seconds,
    )
