"""Export and import, between real brokers, with a real log; verified as an auditor would."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.kafka import KafkaAccess
from chassis.kafka_acls import ensure_acls
from chassis.kafka_topics import ensure_topics
from console import store
from console.audit import export_files
from console.audit.export_topics import bounds_of, open_topic
from console.environment import Stack
from deploy.local.kafka import LocalKafka
from deploy.local.state import CLONE, free_port
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.contract_number import compose
from schemas.envelope import Cause, message_of
from schemas.event import Event
from services.registry.log import store as log_store
from services.registry.log.appending import Arrival, append_registrations
from services.registry.log.documents import of_issued
from tests.integration.console.conftest import environment_of, typed
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


@pytest.fixture(scope="module")
def elsewhere(ready: Stack) -> Iterator[Stack]:
    """Another Kafka beside the same databases."""
    folder = Path(tempfile.mkdtemp(prefix="akashi-test-", dir="/var/tmp" if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    try:
        with LocalKafka(folder / "kafka", free_port(), secrets=ready.secrets_dir) as kafka:
            yield replace(ready, kafka_bootstrap=kafka.address)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def empty(elsewhere: Stack) -> Stack:
    """The other Kafka, with topics that hold nothing."""
    asyncio.run(_make_empty(elsewhere.kafka_administrator))
    return elsewhere


async def _make_empty(kafka: KafkaAccess) -> None:
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
    asyncio.run(_happen(stack, certificates))


async def _happen(stack: Stack, certificates: int) -> None:
    made: list[tuple[CertificateIssued, list[Event]]] = []
    for _ in range(certificates):
        application = uuid.uuid4()
        # A series that no other test draws from.
        issued = events.issued(uuid.uuid4(), application, compose("31099", next(SERIALS)))
        made.append((issued, [events.submitted(application), events.decided(application), issued]))
    async with store.connect(stack, "registry") as registry, registry.transaction():
        await registry.executemany(INSERT, [tuple(events.held(issued).values()) for issued, _ in made])
        arrived = [(issued, of_issued(issued), Arrival(events.ARRIVED, os.urandom(32))) for issued, _ in made]
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


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "ROW_GROUP_ROWS", 20)
    monkeypatch.setattr(export_files, "FILE_ROWS", 40)


def test_an_export_holds_every_record_and_verifies(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 30)

    done = export(ready, tmp_path / "export")

    verify(tmp_path / "export", done["key"])
    held = in_kafka(ready)
    assert in_folder(tmp_path / "export") == held
    assert done["records"] == done["new_records"] == sum(map(len, held.values()))
    assert {topic["topic"]: topic["records"] for topic in done["topics"]} == {t: len(r) for t, r in held.items()}
    assert done["leaves"] >= 60
    present = files(tmp_path / "export")
    assert {"README.txt", "schemas/asyncapi.yaml", "log/leaves-0.jsonl"} < present.keys()
    assert (tmp_path / "export").stat().st_mode & 0o77 == 0


def test_a_second_export_adds_only_what_is_new(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 5)
    first = export(ready, tmp_path)
    before = files(tmp_path)
    happen(ready, 7)

    second = export(ready, tmp_path)

    verify(tmp_path, second["key"])
    assert in_folder(tmp_path) == in_kafka(ready)
    assert second["new_records"] == 7 * 4 + 3
    assert second["records"] == first["records"] + second["new_records"]
    assert second["new_leaves"] == 14
    after = files(tmp_path)
    assert {path for path in before if after[path] != before[path]} == {"manifest.json", "manifest.note"}
    previous = json.loads(after["manifest.json"])["previous"]
    assert previous["manifest_sha256"] == first["manifest_sha256"]
    assert previous["checkpoint"] == json.loads(before["manifest.json"])["log"]["checkpoint"]


def test_where_nothing_happened_nothing_is_written(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    happen(ready, 2)
    export(ready, tmp_path)
    before = files(tmp_path)

    done = export(ready, tmp_path)

    assert done["unchanged"]
    assert done["new_records"] == 0
    assert files(tmp_path) == before


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


@pytest.mark.parametrize("path", ["topics/certificates.v1/000000000000.parquet", "README.txt", "log/leaves-0.jsonl"])
def test_nothing_is_added_to_an_export_that_was_altered(ready: Stack, tmp_path: Path, path: str) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    content = bytearray((tmp_path / path).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / path).write_bytes(content)

    assert path in refused(ready, "export", tmp_path)


def test_a_folder_of_something_else_is_left_alone(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    (tmp_path / "thesis.part").write_text("ten years of work")

    assert "thesis.part" in refused(ready, "export", tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.part"]


def test_an_export_of_another_kafka_is_not_gone_on_with(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 3)
    export(ready, tmp_path)

    assert "another Kafka" in refused(empty, "export", tmp_path)
    asyncio.run(_tell_noise(empty, 3000))
    assert "another Kafka" in refused(empty, "export", tmp_path)


async def _tell_noise(stack: Stack, records: int) -> None:
    async with AIOKafkaProducer(**stack.kafka_administrator.options()) as producer:
        for topic in NAMES:
            sent = [await producer.send(topic, key=b"%d" % n, value=b"noise", partition=n % 32) for n in range(records)]
            await asyncio.gather(*sent)


async def test_a_leaf_that_the_registry_altered_is_not_exported(ready: Stack, tmp_path: Path) -> None:
    await _happen(ready, 1)
    async with store.connect(ready, "registry") as registry:
        subject = await registry.fetchval("SELECT subject FROM leaf ORDER BY index DESC LIMIT 1")
        change = "UPDATE certificate SET purchaser_id = $2 WHERE certificate_id = $1 RETURNING purchaser_id"
        before = await registry.fetchval("SELECT purchaser_id FROM certificate WHERE certificate_id = $1", subject)
        await registry.execute(change, subject, "someone-else")

        said = await asyncio.to_thread(refused, ready, "export", tmp_path)

        await registry.execute(change, subject, before)
    assert "not what the log committed to" in said


def test_what_was_erased_stays_erased_and_verifies(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 2)

    async def erase() -> None:
        async with store.connect(ready, "registry") as registry:
            await registry.execute("UPDATE leaf SET salt = NULL WHERE index = (SELECT max(index) FROM leaf)")

    asyncio.run(erase())

    done = export(ready, tmp_path)

    verify(tmp_path, done["key"])
    last = json.loads((tmp_path / "log/leaves-0.jsonl").read_text().splitlines()[-1])
    assert (last["salt"], last["document"]) == (None, None)


def test_an_import_brings_every_record_back(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 30)
    done = export(ready, tmp_path)
    happen(ready, 10)
    done = export(ready, tmp_path)

    brought = import_(empty, tmp_path, "--key", done["key"])

    assert in_kafka(empty) == in_kafka(ready) == in_folder(tmp_path)
    assert brought["records"] == done["records"]
    assert (brought["there_before"], brought["other_offsets"], brought["verified"]) == (0, {}, True)
    # And an export of it goes on where the other ended.
    assert export(empty, tmp_path)["unchanged"]
    assert import_(empty, tmp_path)["there_before"] == done["records"]


@pytest.mark.parametrize("count", [1, 30])
def test_an_import_that_was_killed_goes_on(ready: Stack, empty: Stack, tmp_path: Path, count: int) -> None:
    happen(ready, 60)
    done = export(ready, tmp_path)
    run_and_kill(empty, "send", count, "after", "audit", "import", str(tmp_path))
    there = sum(map(len, in_kafka(empty).values()))
    assert 0 < there < done["records"]

    brought = import_(empty, tmp_path)

    assert in_kafka(empty) == in_kafka(ready)
    assert brought["there_before"] == there


def test_a_kafka_that_holds_something_else_is_refused(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    asyncio.run(_tell_noise(empty, 1))
    before = in_kafka(empty)

    assert "is not empty" in refused(empty, "import", tmp_path)
    assert in_kafka(empty) == before


def test_an_export_that_was_altered_is_not_imported(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    (tmp_path / "README.txt").write_text("all is well")

    assert "README.txt" in refused(empty, "import", tmp_path)
    assert not any(in_kafka(empty).values())


def test_an_import_by_another_key_is_refused(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    export(ready, tmp_path)
    other = SignerKey("other.example", bytes(32)).verifier

    done = typed(empty, "audit", "import", str(tmp_path), "--key", str(other))

    assert done.exit_code == 1
    assert "does not verify" in done.stderr
    assert not any(in_kafka(empty).values())


def test_offsets_that_kafka_let_go_of_are_told(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    asyncio.run(_tell_noise(empty, 64))
    asyncio.run(_let_go(empty, topics.VIEWS.name))
    done = export(empty, tmp_path)
    held = in_kafka(empty)
    asyncio.run(_make_empty(empty.kafka_administrator))

    brought = import_(empty, tmp_path)

    verify(tmp_path, done["key"])
    assert brought["other_offsets"] == {topics.VIEWS.name: 1}
    back = in_kafka(empty)
    assert [(p, *rest) for p, _, *rest in back[topics.VIEWS.name]] == [
        (p, *rest) for p, _, *rest in held[topics.VIEWS.name]
    ]


async def _let_go(stack: Stack, topic: str) -> None:
    admin = AIOKafkaAdminClient(**stack.kafka_administrator.options())
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 3): RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()
