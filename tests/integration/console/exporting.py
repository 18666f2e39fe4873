"""Something to export, and what an export, a Kafka and a folder then hold; verified as an auditor would."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from chassis.kafka import KafkaAccess
from chassis.kafka_acls import ensure_acls
from chassis.kafka_topics import ensure_topics
from console import store
from console.audit.export_topics import bounds_of, open_topic
from console.environment import Stack
from deploy.local.kafka import LocalKafka
from deploy.local.state import CLONE, free_port
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.contract_number import compose
from schemas.envelope import Cause, message_of
from schemas.event import Event
from services.registry.checking import check, recorded_of
from services.registry.log import store as log_store
from services.registry.log.appending import Arrival, append_registrations
from tests.integration.console.conftest import typed
from tests.support.waiting import eventually
from tests.unit.console import events
from transparency import checkpoints
from transparency.checkpoints import Checkpoint
from transparency.signatures import SignerKey

INSERT = """
INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
                         purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
SERIALS = itertools.count(1)
NAMES = [topic.name for topic in topics.BUSINESS]

#: A record: partition, offset, timestamp, key, value, headers.
Record = tuple[int, int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


@contextlib.contextmanager
def another_kafka(beside: Stack) -> Iterator[Stack]:
    """Another Kafka beside the same databases."""
    folder = Path(tempfile.mkdtemp(prefix="akashi-test-", dir="/var/tmp" if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    try:
        with LocalKafka(folder / "kafka", free_port(), secrets=beside.secrets_dir) as kafka:
            yield replace(beside, kafka_bootstrap=kafka.address)
    finally:
        shutil.rmtree(folder)


async def make_empty(kafka: KafkaAccess) -> None:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:

        async def ours() -> set[str]:
            return {name for name in await admin.list_topics() if not name.startswith("__")}

        async def are_gone() -> bool:
            return not await ours()

        async def are_there() -> bool:
            return set(NAMES) <= await ours()

        if existing := await ours():
            await admin.delete_topics(sorted(existing))
        await eventually(are_gone, 60)
        await ensure_topics(kafka)
        # The controller knows them before the broker does.
        await eventually(are_there, 60)
        await ensure_acls(kafka)
    finally:
        await admin.close()


def happen(stack: Stack, certificates: int) -> None:
    """So many certificates are applied for, issued and registered; the log grows and is signed."""
    asyncio.run(happen_now(stack, certificates))


async def happen_now(stack: Stack, certificates: int) -> None:
    made: list[tuple[CertificateIssued, list[Event]]] = []
    for _ in range(certificates):
        application = uuid.uuid4()
        # A series that no other test draws from.
        issued = events.issued(uuid.uuid4(), application, compose("31099", next(SERIALS)))
        made.append((issued, [events.submitted(application), events.decided(application), issued]))
    async with store.connect(stack, "registry") as registry, registry.transaction():
        await registry.executemany(INSERT, [tuple(events.held(issued).values()) for issued, _ in made])
        checked = [check(issued, recorded_of(issued)) for issued, _ in made]
        arrived = [(*each, Arrival(events.ARRIVED, os.urandom(32))) for each in checked]
        await append_registrations(registry, arrived)
    await _tell(stack, [event for issued, told in made for event in (*told, events.registered(issued))])
    await _sign(stack)


async def _tell(stack: Stack, told: list[Event]) -> None:
    async with AIOKafkaProducer(**stack.kafka_administrator.options(), enable_idempotence=True) as producer:
        sent = []
        for event in told:
            topic = topics.of_event(type(event))
            message = message_of(event, source=topic.writer, topic=topic.name, cause=Cause("test"))
            sent.append(
                await producer.send(message.topic, key=message.key, value=message.value, headers=list(message.headers))
            )
        # Whatever the bytes are: a tombstone, nothing at all, what nobody can read.
        key = uuid.uuid4().bytes
        for value, headers in ((b"wrapped", []), (None, []), (b"\xff\x00", [("a", b"\x00"), ("a", None), ("b", b"")])):
            sent.append(await producer.send(topics.DATA_KEYS.name, key=key, value=value, headers=headers))
        await asyncio.gather(*sent)


async def _sign(stack: Stack) -> None:
    signer = SignerKey.parse(stack.secret("registry/log_key"))
    async with store.connect(stack, "registry") as registry:
        head = await log_store.head(registry)
        note = checkpoints.sign(Checkpoint.of(signer.name, head), signer, at=1_800_000_000)
        await log_store.add_checkpoint(registry, head.size, str(note), events.ARRIVED)


def in_kafka(stack: Stack) -> dict[str, list[Record]]:
    """Everything that the business topics hold, partition by partition."""

    async def read() -> dict[str, list[Record]]:
        held: dict[str, list[Record]] = {}
        for topic, bounds in (await bounds_of(stack.kafka, NAMES)).items():
            held[topic] = []
            begins = {number: bound.begin for number, bound in bounds.items() if bound.begin < bound.end}
            if not begins:
                continue
            async with open_topic(stack.kafka, topic, begins) as reader:
                for number in begins:
                    async for records in reader.records(number, bounds[number].end):
                        held[topic] += [
                            (r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records
                        ]
        return held

    return asyncio.run(read())


def in_folder(folder: Path) -> dict[str, list[Record]]:
    """The same, read from the files by nothing of ours."""
    held: dict[str, list[Record]] = {}
    for topic in NAMES:
        rows = [
            row
            for path in sorted((folder / "topics" / topic).glob("*.parquet"))
            for row in pq.ParquetFile(path).read().to_pylist()
        ]
        rows.sort(key=lambda row: (row["partition"], row["offset"]))
        held[topic] = [
            (
                row["partition"],
                row["offset"],
                row["timestamp_ms"],
                row["key"],
                row["value"],
                tuple((header["name"], header["value"]) for header in row["headers"]),
            )
            for row in rows
        ]
    return held


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def verify(folder: Path, key: str) -> None:
    """As an auditor does."""
    done = subprocess.run(
        [sys.executable, "-m", "transparency", "verify", str(folder), "--key", key],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def export(stack: Stack, folder: Path) -> dict:
    done = typed(stack, "audit", "export", str(folder), "--json")
    assert done.exit_code == 0, done.output
    told: dict = json.loads(done.stdout)
    return told


def import_(stack: Stack, folder: Path, *options: str) -> dict:
    done = typed(stack, "audit", "import", str(folder), "--json", *options)
    assert done.exit_code == 0, done.output
    told: dict = json.loads(done.stdout)
    return told


def refused(stack: Stack, command: str, folder: Path) -> str:
    done = typed(stack, "audit", command, str(folder))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr
