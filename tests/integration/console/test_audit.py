"""The auditor's comparison, over a real log and a real registry. Each test leaves the two equal."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from console import store
from console.audit.check import compare
from console.environment import Stack
from deploy.local.problem import Problem
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.contract_number import compose
from schemas.envelope import Cause, message_of
from schemas.event import Event
from tests.unit.console import events

INSERT = """
INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
                         purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""


class World:
    """Stands in for the services: tells events, and keeps the registry."""

    def __init__(self, stack: Stack, producer: AIOKafkaProducer, registry: store.Connection) -> None:
        self.stack = stack
        self._producer = producer
        self.registry = registry
        self._serial = int(uuid.uuid4().int % 90_000)

    async def tell(self, told: Iterable[Event]) -> None:
        for event in told:
            topic = topics.of_event(type(event))
            message = message_of(event, source=topic.writer, topic=topic.name, cause=Cause("test"))
            await self._producer.send_and_wait(
                message.topic, key=message.key, value=message.value, headers=list(message.headers)
            )

    async def tell_raw(self, topic: str, value: bytes) -> None:
        await self._producer.send_and_wait(topic, key=b"x", value=value, headers=[])

    async def keep(self, issued: CertificateIssued, **changed: Any) -> None:
        await self.registry.execute(INSERT, *events.held(issued, **changed).values())

    def certificate(self) -> tuple[CertificateIssued, list[Event]]:
        """A new certificate, and all that is told before it arrives."""
        self._serial += 1
        application = uuid.uuid4()
        issued = events.issued(uuid.uuid4(), application, compose("31072", self._serial))
        return issued, [events.submitted(application), events.decided(application), issued]


@contextlib.asynccontextmanager
async def open_world(stack: Stack) -> AsyncIterator[World]:
    async with (
        AIOKafkaProducer(**stack.kafka_administrator.options(), enable_idempotence=True) as producer,
        store.connect(stack, "registry") as registry,
    ):
        yield World(stack, producer, registry)


@pytest.fixture
async def world(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as opened:
        yield opened


async def test_what_was_issued_registered_and_kept_is_equal(world: World) -> None:
    before = await compare(world.stack)
    for _ in range(20):
        issued, told = world.certificate()
        await world.keep(issued)
        await world.tell([*told, events.registered(issued)])

    found = await compare(world.stack)

    assert found.differences == ()
    assert found.registry_rows == before.registry_rows + 20
    assert found.certificates == before.certificates + 20


async def test_a_repeat_is_counted(world: World) -> None:
    issued, told = world.certificate()
    await world.keep(issued)
    await world.tell([*told, events.registered(issued)])
    before = await compare(world.stack)

    await world.tell([issued, events.registered(issued)])

    found = await compare(world.stack)
    assert found.equal
    assert found.repeats == before.repeats + 2


async def test_a_row_that_was_altered_is_found(world: World) -> None:
    issued, told = world.certificate()
    await world.keep(issued)
    await world.tell([*told, events.registered(issued)])
    await world.registry.execute(
        "UPDATE certificate SET content = replace(content, '1000000', '9000000') WHERE certificate_id = $1",
        issued.certificate_id,
    )

    found = await compare(world.stack)

    await world.registry.execute("DELETE FROM certificate WHERE certificate_id = $1", issued.certificate_id)
    await world.keep(issued)
    assert [difference.kind for difference in found.differences] == ["content_differs", "content_was_altered"]
    assert (await compare(world.stack)).equal


async def test_a_row_too_few_and_a_row_too_many_are_found(world: World) -> None:
    lost, told = world.certificate()
    forged, _ = world.certificate()
    await world.tell([*told, events.registered(lost)])
    await world.keep(forged)

    found = await compare(world.stack)

    await world.registry.execute("DELETE FROM certificate WHERE certificate_id = $1", forged.certificate_id)
    await world.keep(lost)
    assert {(difference.kind, difference.subject) for difference in found.differences} >= {
        ("certificate_is_missing", str(lost.certificate_id)),
        ("certificate_is_superfluous", str(forged.certificate_id)),
    }
    assert (await compare(world.stack)).equal


async def test_what_is_still_on_its_way_is_waited_for(world: World) -> None:
    issued, told = world.certificate()
    await world.tell(told)
    waiting = asyncio.create_task(compare(world.stack, settle_seconds=60))
    assert not (await compare(world.stack)).equal

    await world.keep(issued)
    await world.tell([events.registered(issued)])

    assert (await waiting).equal


async def test_a_record_that_nobody_can_read_is_counted_and_no_difference(world: World) -> None:
    before = await compare(world.stack)

    await world.tell_raw(topics.CERTIFICATES.name, b"\xff")

    found = await compare(world.stack)
    assert found.equal
    assert sum(found.unreadable.values()) == sum(before.unreadable.values()) + 1


async def test_an_application_that_waits_is_listed(world: World) -> None:
    waiting, unanswered = uuid.uuid4(), uuid.uuid4()
    await world.tell([events.submitted(waiting), events.queued(waiting), events.submitted(unanswered)])

    found = await compare(world.stack)

    assert found.equal
    assert set(found.pending) >= {(waiting, "queued"), (unanswered, "unanswered")}


async def test_without_the_registry_there_is_no_answer(ready: Stack) -> None:
    elsewhere = Stack(ready.kafka_bootstrap, "127.0.0.1", 1, ready.secrets_dir)

    with pytest.raises(Problem, match="PostgreSQL"):
        await compare(elsewhere)


async def test_without_kafka_there_is_no_answer(ready: Stack) -> None:
    elsewhere = Stack("127.0.0.1:1", ready.postgres_host, ready.postgres_port, ready.secrets_dir)

    with pytest.raises(Problem, match="Kafka"):
        await compare(elsewhere)


def test_the_command_exits_by_what_it_found(akashi, ready: Stack) -> None:
    async def forge() -> CertificateIssued:
        async with open_world(ready) as world:
            forged, _ = world.certificate()
            await world.keep(forged)
            return forged

    async def undo(forged: CertificateIssued) -> None:
        async with store.connect(ready, "registry") as registry:
            await registry.execute("DELETE FROM certificate WHERE certificate_id = $1", forged.certificate_id)

    assert akashi("audit", "compare").exit_code == 0
    forged = asyncio.run(forge())

    told = akashi("audit", "compare")
    told_json = akashi("audit", "compare", "--json")

    asyncio.run(undo(forged))
    assert told.exit_code == told_json.exit_code == 1
    assert f"certificate_is_superfluous {forged.certificate_id}" in told.stdout
    assert json.loads(told_json.stdout)["equal"] is False
    assert akashi("audit", "compare").exit_code == 0
