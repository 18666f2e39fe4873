"""The whole stack, each service with a line of its own to each of its neighbours: `stack.line("issuer", "kafka")`; and
whoever calls, with one to each service: `stack.line("callers", "issuer")`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from aiokafka.structs import RecordMetadata

from console.environment import find_stack
from deploy.local import status
from deploy.local.postgres import SUPERUSER
from deploy.local.stack import SERVICES
from deploy.local.state import CLONE, free_port, open_state
from tests.support.lines import Line
from tests.support.running import UP_SECONDS, RunningStack, own_environment
from tests.support.stack import in_containers, open_folder
from tests.support.waiting import eventually
from tests.support.wall_clocks import WallClock, library
from tests.support.wired_supervisor import RELEASES, Wiring
from tests.support.wires import HttpWire, KafkaWire, PostgresWire, SmtpWire, Wire

#: Room for what WAL may take, and some.
DISK_BYTES: Final = 800 * 1024 * 1024
#: Room for the topics of half an hour.
BROKER_DISK_BYTES: Final = 512 * 1024 * 1024
REPLACED_SECONDS: Final = 90
#: Of a process beside another, and of one that is frozen for a while meanwhile.
DRAINED_SECONDS: Final = 90
#: Kafka 4.3.1 that gets no room for the page of an index, where it still had some for the record, repeats offsets, and
#: throws the segment away when it is started next. Without index entries, it notices at the record itself.
NO_INDEX: Final = {"log.index.interval.bytes": 1 << 30}
#: Everybody outside who calls a service, and whoever looks how it is.
CALLERS: Final = "callers"
#: Who speaks to whom, and how.
LINES: Final[tuple[tuple[str, str, type[Wire]], ...]] = (
    *((service, "kafka", KafkaWire) for service in SERVICES),
    *((service, "postgres", PostgresWire) for service in SERVICES),
    ("notifier", "smtp", SmtpWire),
    ("registry", "witness", HttpWire),
    *((CALLERS, service, HttpWire) for service in ("intake", "issuer", "registry")),
)


@dataclass
class WiredStack(RunningStack):
    """A stack whose services can be cut off from their neighbours."""

    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    #: Service → what it takes for the time, where that can be set.
    clocks: dict[str, WallClock] = field(default_factory=dict)
    #: The database's disk, where it has a small one of its own.
    disk: Path | None = None
    #: The broker's, likewise.
    broker_disk: Path | None = None
    #: What a fault put onto topics that nobody can take, where it was acknowledged.
    garbage: list[RecordMetadata] = field(default_factory=list)
    #: A release that a deploy may bring.
    newer: Path | None = None
    #: Service → its processes beside the one that the supervisor runs.
    beside: dict[str, list[Process]] = field(default_factory=dict)
    #: Processes that a fault struck: how they end proves nothing.
    struck: set[int] = field(default_factory=set)

    def line(self, service: str, neighbour: str) -> Line:
        return self.lines[service, neighbour]

    def lines_to(self, neighbour: str) -> list[Line]:
        return [line for line in self.lines.values() if line.neighbour == neighbour]

    def url(self, name: str) -> str:
        line = self.lines.get((CALLERS, name))
        return super().url(name) if line is None else f"http://127.0.0.1:{line.port}"

    def has_another(self, service: str, pid: int | None) -> bool:
        """Whether a process of the service runs, and not that one."""
        return self.part(service).pid not in (None, pid)

    def processes(self, name: str) -> list[int]:
        """The pids of all that run of a part: the supervisor's, if it has one now, and those beside it."""
        beside = [process.pid for process in self.beside.get(name, []) if process.returncode is None]
        supervised = self.part(name).pid
        return beside if supervised is None else [supervised, *beside]

    def strike(self, pid: int, with_signal: signal.Signals) -> None:
        """Send a process a signal, unless it has ended meanwhile."""
        self.struck.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, with_signal)

    def _settings(self, service: str) -> dict[str, str]:
        """What the supervisor told the process of a service that runs now; nothing if none does."""
        try:
            environment = Path(f"/proc/{self.part(service).pid}/environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return {}
        return dict(os.fsdecode(each).split("=", 1) for each in environment.split(b"\0") if each)

    @asynccontextmanager
    async def second(self, service: str, *, release: Path = CLONE) -> AsyncIterator[None]:
        """Another process of a service, over the same lines, until the block ends; then it drains."""
        settings = await eventually(partial(self._settings, service), REPLACED_SECONDS)
        port = str(free_port())
        with (self.state / "logs" / f"{service}-second.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"services.{service}"),
                cwd=release,
                env={**settings, "AKASHI_HTTP_PORT": port},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.beside.setdefault(service, []).append(process)
        try:
            yield
        finally:
            self.beside[service].remove(process)
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(DRAINED_SECONDS):
                ended = await process.wait()
        assert ended == 0 or process.pid in self.struck, f"the second {service} did not drain, but ended with {ended}"

    async def replace(self, service: str, release: Path) -> None:
        """Let the supervisor run a service from another release from now on; returns when that is ready."""
        pid = self.part(service).pid
        assert pid is not None, f"{service} does not run"
        self.point(service, release)
        self.kill(service, signal.SIGTERM)
        await eventually(partial(self.has_another, service, pid), REPLACED_SECONDS)
        await eventually(self.is_whole, REPLACED_SECONDS)

    def point(self, service: str, release: Path) -> None:
        """Let the supervisor start the next process of a service from that release."""
        new = self.releases / f"{service}.new"
        new.symlink_to(release)
        new.replace(self.releases / service)

    def release_of(self, service: str) -> Path:
        """From which release its next process starts."""
        return (self.releases / service).readlink()

    @property
    def releases(self) -> Path:
        return self.state / RELEASES

    async def connect_superuser(self) -> "asyncpg.Connection[asyncpg.Record]":
        """To the database server, past every line."""
        return await asyncpg.connect(
            host=self.console.postgres_host,
            port=self.console.postgres_port,
            user=SUPERUSER,
            password=self.console.secret("postgres/superuser_password"),
            database=SUPERUSER,
        )

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await self.connect_superuser()
        try:
            yield connection
        finally:
            await connection.close()

    async def database_answers(self) -> bool:
        try:
            async with self.superuser():
                return True
        except (OSError, asyncpg.PostgresError):
            return False

    def mend(self) -> None:
        for line in self.lines.values():
            line.mend()
        for clock in self.clocks.values():
            clock.set_off()


@asynccontextmanager
async def wired_stack(*, frail: bool = False) -> AsyncIterator[WiredStack]:
    """Bring it up, and down again with everything it stored. Skips where tests run in containers.

    A `frail` one lets its services' clocks be set, and its broker has a small disk of its own, where the machine has
    what these need.
    """
    if in_containers():
        pytest.skip("The lines, disks, clocks and releases are of processes of this machine")
    async with AsyncExitStack() as opened:
        state = open_state(opened.enter_context(open_folder()) / "state")
        environment = own_environment(state)
        lines = {
            (service, neighbour): await opened.enter_async_context(Line(service, neighbour, wire).listening())
            for service, neighbour, wire in LINES
        }
        wiring = _wire(lines, environment)
        clocks = {}
        if frail and library() is not None:
            clocks = {service: WallClock(state / f"{service}.clock") for service in SERVICES}
        for service, clock in clocks.items():
            clock.set_off()
            wiring.settings[service] |= clock.settings()
        (state / RELEASES).mkdir()
        for service in SERVICES:
            (state / RELEASES / service).symlink_to(CLONE)
        disk = opened.enter_context(_small_disk(state / "postgres" / "server"))
        broker_disk = None
        if frail:
            wiring.broker.update(NO_INDEX)
            broker_disk = opened.enter_context(_small_disk(state / "kafka", BROKER_DISK_BYTES))
        supervisor = _start(state, wiring, environment)
        try:

            def is_ready() -> bool:
                assert supervisor.poll() is None, _log(state).read_text()
                found = status.read(state)
                return found is not None and found.ready

            await eventually(is_ready, UP_SECONDS)
            console = find_stack(environment)
            yield WiredStack(
                state, environment, console, lines=lines, clocks=clocks, disk=disk, broker_disk=broker_disk
            )
        finally:
            supervisor.terminate()
            await asyncio.to_thread(supervisor.wait, 120)


@contextmanager
def _small_disk(folder: Path, size_bytes: int = DISK_BYTES) -> Iterator[Path | None]:
    """The folder on a disk of its own, so that filling it hurts nobody else. None where that is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        # Lazily: a server that was killed may not be quite gone.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _wire(lines: dict[tuple[str, str], Line], environment: dict[str, str]) -> Wiring:
    """Tell every line where it leads; and services and broker of the lines."""
    taken = [int(port) for name, port in environment.items() if name.startswith("AKASHI_PORT_")]
    wiring = Wiring({service: {} for service in SERVICES}, {})
    for (service, neighbour), line in lines.items():
        if neighbour == "kafka":
            line.upstream = free_port(taken=taken)
            taken.append(line.upstream)
            wiring.listeners[service] = (line.upstream, line.port)
        else:
            line.upstream = int(environment[f"AKASHI_PORT_{neighbour.upper()}"])
        if service != CALLERS:
            wiring.settings[service] |= _leading_to(neighbour, line.port)
    return wiring


def _leading_to(neighbour: str, port: int) -> dict[str, str]:
    """What a service is told of its line."""
    match neighbour:
        case "kafka":
            return {"AKASHI_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}"}
        case "witness":
            return {
                "AKASHI_WITNESSES": json.dumps([{"url": f"http://127.0.0.1:{port}", "key": "witness_verifier_key"}])
            }
        case _:
            return {f"AKASHI_{neighbour.upper()}_PORT": str(port)}


def _log(state: Path) -> Path:
    return state / "logs" / "supervisor.log"


def _start(state: Path, wiring: Wiring, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    _log(state).parent.mkdir()
    with _log(state).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.wired_supervisor", str(state), json.dumps(asdict(wiring))],
            cwd=CLONE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
