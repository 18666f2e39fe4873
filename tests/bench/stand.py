"""Where is it measured? On the local stack as `akashi up` starts it, with the references beside our services.

Broker and database are real and as durable as they come: fsync is on, and the producers wait for every replica.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.kafka import ADMINISTRATOR, KafkaAccess
from chassis.outbox import pack
from console.environment import Stack
from deploy.databases import ensure_databases
from deploy.local import java, kafka_jars
from deploy.local.kafka import LocalKafka
from deploy.local.parts import Part, ProcessSpec, StepSpec
from deploy.local.postgres import LocalPostgres
from deploy.local.problem import Problem
from deploy.local.stack import SERVICES, stack
from deploy.local.state import PREFERRED_PORTS, cache_folder, free_port, open_state
from deploy.local.supervisor import Supervisor
from schemas import publish, topics
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided
from schemas.registrations import CertificateRegistered
from tests.bench.pipes import tables
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.running import RunningStack
from tests.support.stack import Server, open_folder

BARE: Final = "bare"
TEXTBOOK: Final = "textbook"
JAVA: Final = "java"
#: The processes of each reference.
REFERENCE_PARTS: Final = ("first", "middle", "last")
_PIPES: Final = Path(__file__).with_name("pipes")
_UP_SECONDS: Final = 120
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


def has_java_compiler() -> bool:
    """Whether the Java reference can run: it is compiled when it starts."""
    return shutil.which("javac", path=str(java.find().resolve().parent)) is not None


@dataclass(frozen=True)
class Stand:
    """The running stack."""

    state: Path
    kafka: KafkaAccess
    databases: Databases
    postgres: LocalPostgres
    #: Of each reference.
    dsns: Mapping[str, str]
    parts: Sequence[Part]
    supervisor: Supervisor

    @property
    def running(self) -> RunningStack:
        """The same as tests know it, with people to act in it."""
        secrets_dir = self.state / "secrets"
        console = Stack(self.kafka.bootstrap, "127.0.0.1", self.postgres.port, secrets_dir)
        return RunningStack(self.state, {}, console)

    def port(self, part: str) -> int:
        """Where a part listens on 127.0.0.1."""
        return int(self.running.url(part).rpartition(":")[2])

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Mapping[str, "asyncpg.Connection[asyncpg.Record]"]]:
        """A connection to each database, as its owner."""
        async with contextlib.AsyncExitStack() as opened:
            connections = {name: await asyncpg.connect(**self.databases.address(name)) for name in SERVICES}
            connections |= {name: await asyncpg.connect(dsn) for name, dsn in self.dsns.items()}
            for connection in connections.values():
                opened.push_async_callback(connection.close)
            yield connections

    def process(self, name: str) -> ProcessSpec:
        """How the supervisor starts a part."""
        [spec] = [part for part in self.parts if part.name == name and isinstance(part, ProcessSpec)]
        return spec

    def pid(self, name: str) -> int:
        pid = self.supervisor.status.part(name).pid
        assert pid is not None, f"{name} does not run"
        return pid

    @contextlib.contextmanager
    def alone(self, *names: str) -> Iterator[None]:
        """Freeze the services and references but these: what the others do while they wait is taken from nobody."""
        sides = {*SERVICES, *(f"{reference}-{part}" for reference in self.dsns for part in REFERENCE_PARTS)}
        running = {part.name for part in self.supervisor.status.parts}
        frozen = [self.pid(name) for name in sides & running - {*names}]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)

    def restarts(self) -> int:
        """How often a part ended by itself."""
        return sum(part.restarts for part in self.supervisor.status.parts)

    def cpu_seconds(self, *names: str) -> float | None:
        """What these parts have used so far, with the processes they started; None where nothing tells."""
        return self.cpu_seconds_of({part.pid for part in self.supervisor.status.parts if part.name in names})

    def cpu_seconds_of(self, pids: Container[int | None]) -> float | None:
        """The same of any processes."""
        if sys.platform != "linux":
            return None
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(stat.parent.name) in pids:
                    # Its own, and of its children that ended: utime, stime, cutime, cstime.
                    ticks += sum(map(int, fields[11:15]))
                elif int(fields[1]) in pids:
                    ticks += sum(map(int, fields[11:13]))
        return ticks / _TICKS_PER_SECOND

    async def ends(self, *names: str, partitions: int = topics.CERTIFICATES.partitions) -> Mapping[Any, int]:
        """The next offset of each partition of these topics."""
        async with AIOKafkaConsumer(**self.kafka.options()) as consumer:
            asked = [TopicPartition(name, number) for name in names for number in range(partitions)]
            ends: Mapping[Any, int] = await consumer.end_offsets(asked)
            return ends

    async def written_since(self, begins: Mapping[Any, int]) -> list[ConsumerRecord]:
        """Every record from these offsets to where the partitions end now."""
        async with AIOKafkaConsumer(**self.kafka.options(), enable_auto_commit=False) as consumer:
            ends = await consumer.end_offsets(list(begins))
            consumer.assign(list(begins))
            for partition, offset in begins.items():
                consumer.seek(partition, offset)
            records: list[ConsumerRecord] = []
            while len(records) < sum(ends.values()) - sum(begins.values()):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records.extend(batch)
            return records

    async def dead_letters(self) -> int:
        """How many records were parked."""
        names = [topics.dead_letters(group) for group in topics.GROUPS]
        return sum((await self.ends(*names, partitions=topics.OWN_TOPIC_PARTITIONS)).values())


@contextlib.asynccontextmanager
async def running_stand(
    *, references: Sequence[str] = (), without: Sequence[str] = ("mailbox", "notifier"), tls: bool = False
) -> AsyncIterator[Stand]:
    """Bring it up in a folder and on ports of its own, and down again with everything it stored."""
    with open_folder() as folder:
        state = open_state(folder / "state")
        ports: dict[str, int] = {}
        for name in PREFERRED_PORTS:
            ports[name] = free_port(taken=ports.values())
        password = secrets.token_urlsafe(24)
        postgres = LocalPostgres(
            state / "postgres", ports["postgres"], password_file=state / "secrets" / "postgres" / "superuser_password"
        )
        kafka = LocalKafka(state / "kafka", ports["kafka"], secrets=state / "secrets", tls=tls)
        dsns = {name: postgres.dsn(name, name, password) for name in references}
        parts = [*stack(state, ports, without=without, tls=tls), *_references(state, postgres, kafka, password, dsns)]
        supervisor = Supervisor(state, parts)
        supervisor.start()
        try:
            try:
                async with asyncio.timeout(_UP_SECONDS):
                    await supervisor.until_ready()
            except TimeoutError:
                raise Problem(_why_not_up(state, supervisor)) from None
            server = Server("127.0.0.1", ports["postgres"], postgres.admin_password)
            databases = Databases(server, Keyring(state / "secrets"))
            yield Stand(state, kafka.access(ADMINISTRATOR), databases, postgres, dsns, parts, supervisor)
        finally:
            await supervisor.stop()


def _why_not_up(state: Path, supervisor: Supervisor) -> str:
    waiting = [part.name for part in supervisor.status.parts if part.took_seconds is None]
    logs = [log for name in waiting if (log := state / "logs" / f"{name}.log").exists()]
    said = "\n".join(f"{log.name}: {log.read_text()[-4000:]}" for log in logs)
    return f"Not up after {_UP_SECONDS} s: {', '.join(waiting)}\n{said}"


def _references(
    state: Path, postgres: LocalPostgres, kafka: LocalKafka, password: str, dsns: Mapping[str, str]
) -> Iterable[Part]:
    async def make_topics() -> None:
        async with _admin(kafka.access(ADMINISTRATOR)) as admin:
            # As many partitions as ours have.
            names = [f"{name}-{kind}" for name in dsns for kind in tables.KINDS]
            await admin.create_topics([NewTopic(name, topics.APPLICATIONS.partitions, 1) for name in names])

    async def make_tables() -> None:
        await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, dict.fromkeys(dsns, password))
        for name, dsn in dsns.items():
            connection = await asyncpg.connect(dsn)
            try:
                await connection.execute(tables.CREATE)
                # As our relay's sessions: who looks at an outbox reads no rows that are long gone.
                await connection.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")
                await connection.executemany(
                    "INSERT INTO sample (kind, value, headers) VALUES ($1, $2, $3)", _samples()
                )
            finally:
                await connection.close()

    if not dsns:
        return
    yield StepSpec("reference-topics", make_topics, after=("topics",))
    yield StepSpec("reference-tables", make_tables, after=("databases",))
    for name, dsn in dsns.items():
        for part in REFERENCE_PARTS:
            yield _process(name, part, state / f"{name}-{part}-is-ready", kafka, dsn)


def _samples() -> list[tuple[str, bytes, str]]:
    """A message of each kind, as our published examples are."""
    kinds = {
        ApplicationSubmitted.type_name(): "applications",
        ApplicationDecided.type_name(): "decisions",
        CertificateIssued.type_name(): "certificates",
        CertificateRegistered.type_name(): "registrations",
    }
    found: dict[str, tuple[bytes, str]] = {}
    for _, example in publish.examples():
        if kind := kinds.get(example.headers["ce_type"]):
            headers = tuple((name, value.encode()) for name, value in example.headers.items())
            value = json.dumps(example.value, ensure_ascii=False, separators=(",", ":")).encode()
            found.setdefault(kind, (value, pack(headers)))
    return [(kind, *found[kind]) for kind in tables.KINDS]


def _process(name: str, part: str, ready: Path, kafka: LocalKafka, dsn: str) -> ProcessSpec:
    def environment() -> Mapping[str, str]:
        # Asked when it starts: the secrets are there then.
        client = json.dumps(kafka.access(ADMINISTRATOR).options())
        ready.unlink(missing_ok=True)
        told = {"BENCH_KAFKA": client, "BENCH_DSN": dsn, "BENCH_READY": str(ready)}
        if name == JAVA:
            address = urlsplit(dsn)
            told["BENCH_JDBC"] = f"jdbc:postgresql://{address.hostname}:{address.port}{address.path}"
            told |= {"BENCH_USER": unquote(address.username or ""), "BENCH_PASSWORD": unquote(address.password or "")}
        return {**os.environ, **told}

    return ProcessSpec(
        name=f"{name}-{part}",
        command=lambda: _java(part) if name == JAVA else [sys.executable, "-m", f"tests.bench.pipes.{name}", part],
        environment=environment,
        is_ready=ready.exists,
        after=("reference-topics", "reference-tables"),
    )


def _java(part: str) -> list[str]:
    lock = (_PIPES / "jars.lock").read_text()
    own = kafka_jars.kept(kafka_jars.parse_lock(lock), cache_folder() / "bench")
    classpath = os.pathsep.join(map(str, [*kafka_jars.ensure_jars(), *own]))
    return [str(java.find()), "-Xmx256m", "-cp", classpath, str(_PIPES / "Pipe.java"), part]


@contextlib.asynccontextmanager
async def _admin(kafka: KafkaAccess) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
