"""Where is it measured? On the local stack as `akashi up` starts it, with the hand-written loop beside our services.

Broker and database are real and as durable as they come: fsync is on, and the producers wait for every replica.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.kafka import ADMINISTRATOR, KafkaAccess
from chassis.outbox import pack
from deploy.databases import ensure_databases
from deploy.local.kafka import LocalKafka
from deploy.local.parts import Part, ProcessSpec, StepSpec
from deploy.local.postgres import LocalPostgres
from deploy.local.stack import stack
from deploy.local.state import PREFERRED_PORTS, free_port, open_state
from deploy.local.supervisor import Supervisor
from schemas import topics
from schemas.envelope import message_of
from tests.bench import loop
from tests.support.builders import CAUSE, a_certificate
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.stack import Server, open_folder

OURS: Final = ("intake", "issuer", "registry")
HAND_WRITTEN: Final = ("first", "middle", "last")
DATABASE: Final = "handwritten"
_UP_SECONDS: Final = 120
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stand:
    """The running stack."""

    kafka: KafkaAccess
    databases: Databases
    dsn: str
    supervisor: Supervisor

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Mapping[str, "asyncpg.Connection[asyncpg.Record]"]]:
        """A connection to each database, as its owner."""
        connections = {name: await asyncpg.connect(**self.databases.address(name)) for name in OURS}
        connections[DATABASE] = await asyncpg.connect(self.dsn)
        try:
            yield connections
        finally:
            for connection in connections.values():
                await connection.close()

    def restarts(self) -> int:
        """How often a part ended by itself."""
        return sum(part.restarts for part in self.supervisor.status.parts)

    def cpu_seconds(self, *names: str) -> float | None:
        """What these parts have used so far, with the processes they started; None where nothing tells."""
        pids = {part.pid for part in self.supervisor.status.parts if part.name in names}
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
async def running_stand() -> AsyncIterator[Stand]:
    """Bring it up in a folder and on ports of its own, and down again with everything it stored."""
    with open_folder() as folder:
        state = open_state(folder / "state")
        ports: dict[str, int] = {}
        for name in PREFERRED_PORTS:
            ports[name] = free_port(taken=ports.values())
        ours = stack(state, ports, without=("mailbox", "notifier"))
        password = secrets.token_urlsafe(24)
        postgres = LocalPostgres(
            state / "postgres", ports["postgres"], password_file=state / "secrets" / "postgres" / "superuser_password"
        )
        dsn = postgres.dsn(DATABASE, DATABASE, password)
        kafka = LocalKafka(state / "kafka", ports["kafka"], secrets=state / "secrets")
        supervisor = Supervisor(state, [*ours, *_hand_written(state, postgres, kafka, password, dsn)])
        supervisor.start()
        try:
            async with asyncio.timeout(_UP_SECONDS):
                await supervisor.until_ready()
            server = Server("127.0.0.1", ports["postgres"], postgres.admin_password)
            yield Stand(kafka.access(ADMINISTRATOR), Databases(server, Keyring(state / "secrets")), dsn, supervisor)
        finally:
            await supervisor.stop()


def _hand_written(state: Path, postgres: LocalPostgres, kafka: LocalKafka, password: str, dsn: str) -> Iterable[Part]:
    async def make_topics() -> None:
        async with _admin(kafka.access(ADMINISTRATOR)) as admin:
            # As many partitions as ours have.
            count = topics.APPLICATIONS.partitions
            await admin.create_topics([NewTopic(name, count, 1) for name in (loop.APPLICATIONS, loop.CERTIFICATES)])

    async def make_tables() -> None:
        await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, {DATABASE: password})
        sample = message_of(a_certificate(), source="issuer", topic=topics.CERTIFICATES.name, cause=CAUSE)
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(loop.TABLES)
            await connection.execute(
                "INSERT INTO sample (value, headers) VALUES ($1, $2)", sample.value, pack(sample.headers)
            )
        finally:
            await connection.close()

    yield StepSpec("handwritten-topics", make_topics, after=("topics",))
    yield StepSpec("handwritten-tables", make_tables, after=("databases",))
    for part in HAND_WRITTEN:
        yield _process(part, state / f"{part}-is-ready", kafka, dsn)


def _process(part: str, ready: Path, kafka: LocalKafka, dsn: str) -> ProcessSpec:
    def environment() -> Mapping[str, str]:
        # Asked when it starts: the secrets are there then.
        client = json.dumps(kafka.access(ADMINISTRATOR).options())
        return {**os.environ, "BENCH_KAFKA": client, "BENCH_DSN": dsn, "BENCH_READY": str(ready)}

    return ProcessSpec(
        name=part,
        command=lambda: [sys.executable, "-m", "tests.bench.loop", part],
        environment=environment,
        is_ready=ready.exists,
        after=("handwritten-topics", "handwritten-tables"),
    )


@contextlib.asynccontextmanager
async def _admin(kafka: KafkaAccess) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
