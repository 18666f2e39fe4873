"""Who may do what on a real broker that asks everybody who they are."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.client import AIOKafkaClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import CreateAclsRequest

from chassis.kafka import ADMINISTRATOR, OPERATOR, KafkaAccess
from chassis.kafka_acls import declared, differing_acls, ensure_acls
from chassis.kafka_topics import ensure_topics
from chassis.postgres import Pool
from deploy.local.kafka import LocalKafka
from deploy.local.state import free_port
from deploy.secrets import SERVICES
from schemas import topics
from tests.support.builders import a_certificate, a_record
from tests.support.kafka import send
from tests.support.services import make_service, running
from tests.support.stack import open_folder
from tests.support.waiting import eventually

USERS = (*SERVICES, OPERATOR)
OWN = [of(group) for group in topics.GROUPS for of in (topics.dead_letters, topics.redrive)]
NAMES = [*(topic.name for topic in topics.BUSINESS), *OWN]


@pytest.fixture(scope="module")
def guarded(keys) -> Iterator[LocalKafka]:
    with open_folder() as folder, LocalKafka(folder, free_port(), secrets=keys.folder) as kafka:
        yield kafka


@pytest.fixture(scope="module")
async def ruled(guarded: LocalKafka) -> LocalKafka:
    await ensure_topics(guarded.access(ADMINISTRATOR))
    await ensure_acls(guarded.access(ADMINISTRATOR))
    return guarded


@contextlib.asynccontextmanager
async def opened(client: Any) -> AsyncIterator[Any]:
    try:
        await client.start()
        yield client
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


async def writes(access: KafkaAccess) -> set[str]:
    """The topics that take a record of this user."""
    taken = set()
    for name in NAMES:
        # A producer each: once refused, aiokafka's waits in vain for what it may write.
        async with opened(AIOKafkaProducer(**access.options())) as producer:
            with contextlib.suppress(TopicAuthorizationFailedError):
                await producer.send_and_wait(name, b"{}", key=b"x")
                taken.add(name)
    return taken


async def reads(access: KafkaAccess) -> set[str]:
    """The topics that give this user a record."""
    given = set()
    for name in NAMES:
        async with opened(AIOKafkaConsumer(**access.options(), auto_offset_reset="earliest")) as consumer:
            partitions = topics.OWN_TOPIC_PARTITIONS if name in OWN else topics.BUSINESS[0].partitions
            consumer.assign([TopicPartition(name, number) for number in range(partitions)])
            with contextlib.suppress(TopicAuthorizationFailedError):
                # Of a topic that it may not even know of, aiokafka waits for the leaders.
                while name not in consumer._client.cluster.unauthorized_topics:
                    if await consumer.getmany(timeout_ms=200):
                        given.add(name)
                        break
    return given


@pytest.mark.parametrize("user", USERS)
async def test_a_user_writes_what_it_is_the_writer_of_and_nothing_else(user: str, ruled: LocalKafka) -> None:
    own = {topic.name for topic in topics.BUSINESS if topic.writer == user}
    parks = {topics.dead_letters(user)} if user in topics.GROUPS else set()
    gives_back = {topics.redrive(group) for group in topics.GROUPS} if user == OPERATOR else set()
    settles = {topics.dead_letters(group) for group in topics.GROUPS} if user == OPERATOR else set()

    assert await writes(ruled.access(user)) == own | parks | gives_back | settles


async def test_only_the_issuer_and_who_administers_can_write_certificates(ruled: LocalKafka) -> None:
    assert [user for user in USERS if topics.CERTIFICATES.name in await writes(ruled.access(user))] == ["issuer"]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_reads_what_its_group_reads_and_nothing_else(user: str, ruled: LocalKafka) -> None:
    await writes(ruled.access(ADMINISTRATOR))
    own = {topic.name for topic in topics.BUSINESS if user in topic.readers}
    given_back = {topics.redrive(user)} if user in topics.GROUPS else set()

    assert await reads(ruled.access(user)) == (set(NAMES) if user == OPERATOR else own | given_back)


@pytest.mark.parametrize(
    ("user", "group"), [pair for pair in itertools.product(USERS, topics.GROUPS) if len(set(pair)) == 2]
)
async def test_nobody_takes_part_in_anothers_group(user: str, group: str, ruled: LocalKafka) -> None:
    readable = next(topic.name for topic in topics.BUSINESS if user == OPERATOR or user in topic.readers)
    consumer = AIOKafkaConsumer(readable, **ruled.access(user).options(), group_id=group)

    with pytest.raises(GroupAuthorizationFailedError):
        async with opened(consumer):
            await consumer.getmany(timeout_ms=5000)


@pytest.mark.parametrize("user", USERS)
async def test_nobody_makes_or_removes_topics_records_or_rules(user: str, ruled: LocalKafka) -> None:
    async with opened(AIOKafkaAdminClient(**ruled.access(user).options())) as admin:
        made = await admin.create_topics([NewTopic("certificates.v2", 1, 1)])
        removed = await admin.delete_topics([topics.CERTIFICATES.name])
        # A topic that one may not even know of has no leader to ask.
        with pytest.raises((TopicAuthorizationFailedError, NotLeaderForPartitionError)):
            await admin.delete_records({TopicPartition(topics.CERTIFICATES.name, 0): RecordsToDelete(before_offset=-1)})
    assert [code for _, code, *_ in made.topic_errors] == [TopicAuthorizationFailedError.errno]
    assert [code for _, code in removed.topic_error_codes] == [TopicAuthorizationFailedError.errno]
    async with (
        granting(ruled.access(user)) as grant,
        opened(AIOKafkaAdminClient(**ruled.access(ADMINISTRATOR).options())) as admin,
    ):
        assert await grant(user, topics.CERTIFICATES.name) == ClusterAuthorizationFailedError.errno
        assert set(NAMES) <= set(await admin.list_topics())


@pytest.mark.parametrize(
    "stranger",
    [
        {"password": "guessed"},
        {"user": "nobody"},
        {"user": "", "password": ""},
        {"user": "issuer", "password": ""},
        {"protocol": "PLAINTEXT"},
    ],
)
async def test_who_cannot_say_who_they_are_is_not_let_in(stranger: dict[str, Any], ruled: LocalKafka) -> None:
    access = replace(ruled.access("issuer"), **stranger)

    with pytest.raises(KafkaConnectionError):
        async with opened(AIOKafkaProducer(**access.options(), request_timeout_ms=3000)):
            pytest.fail("it was let in")


async def test_what_is_not_declared_is_taken_away_where_that_is_asked_for_and_from_nobody_elses(
    ruled: LocalKafka,
) -> None:
    administrator = ruled.access(ADMINISTRATOR)
    async with granting(administrator) as grant:
        assert await grant("registry", topics.CERTIFICATES.name) == 0
        assert await grant("somebody-else", topics.CERTIFICATES.name) == 0
    assert await differing_acls(ruled.access(OPERATOR)) == ([], ["registry may WRITE topic certificates.v1"])

    # A newer release, which runs beside this one, may have declared it.
    assert await ensure_acls(administrator) == ([], [])
    assert topics.CERTIFICATES.name in await writes(ruled.access("registry"))
    revoked = await ensure_acls(administrator, and_no_others=True)
    assert revoked == ([], ["registry may WRITE topic certificates.v1"])
    assert await ensure_acls(administrator, and_no_others=True) == ([], [])
    assert topics.CERTIFICATES.name not in await writes(ruled.access("registry"))


async def test_a_service_that_starts_before_the_rules_are_there_works_as_soon_as_they_are(keys, databases) -> None:
    await databases.fresh("registry")
    with open_folder() as folder, LocalKafka(folder, free_port(), secrets=keys.folder) as kafka:
        await ensure_topics(kafka.access(ADMINISTRATOR))
        service = make_service("registry", databases, keys, kafka=kafka.access("registry"))

        async def rule_late() -> None:
            await eventually(lambda: "User:registry is Denied" in kafka.log.read_text(), 30)
            await ensure_acls(kafka.access(ADMINISTRATOR))

        async with asyncio.TaskGroup() as group:
            group.create_task(rule_late())
            async with running(service) as site:
                await send(kafka.access("issuer"), [a_record(a_certificate(keys=keys))])
                await eventually(partial(has_registered, site.pool), 30)
                # Published by its relay, as the only writer.
                await eventually(partial(is_empty, site.pool, "outbox"), 30)


async def has_registered(pool: Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM certificate") == 1)


async def is_empty(pool: Pool, table: str) -> bool:
    return bool(await pool.fetchval(f"SELECT count(*) FROM {table}") == 0)


async def test_every_grant_is_of_a_user_whom_the_broker_knows() -> None:
    assert {grant.user for grant in declared()} == set(USERS)


@contextlib.asynccontextmanager
async def granting(access: KafkaAccess) -> AsyncIterator[Any]:
    """Let a user write a topic; the broker's answer."""
    client = AIOKafkaClient(**access.options())
    await client.bootstrap()

    async def grant(user: str, topic: str) -> int:
        request = CreateAclsRequest(2, topic, 3, f"User:{user}", "*", 4, 3)
        answer = await client.send(client.get_random_node(), request)
        ((code, _),) = answer.creation_responses
        return int(code)

    try:
        yield grant
    finally:
        await client.close()
