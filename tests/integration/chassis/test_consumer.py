"""A poll is a transaction; one bad record never takes the good ones with it; nothing is skipped because we failed."""

import asyncio
import contextlib
import json
import uuid
from dataclasses import replace
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from chassis.consumer import Reading, TooManyParked, make_broker, subscribe
from chassis.decoding import Refused
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped
from tests.support.builders import (
    a_certificate,
    a_record,
    a_registration,
    a_tombstone,
    a_wrapped_data_key,
)
from tests.support.consuming import a_consumer, parked
from tests.support.kafka import send, send_what_no_client_reads, uncommitted
from tests.support.services import make_service, running
from tests.support.waiting import eventually


async def numbers(pool):
    return {row["contract_number"] for row in await pool.fetch("SELECT contract_number FROM certificate")}


@pytest.fixture
def certificates(keys):
    def make(count):
        return [a_certificate(keys=keys) for _ in range(count)]

    return make


async def test_one_poison_record_is_parked_and_the_others_are_done(registry, certificates):
    good = certificates(4)
    poison = a_certificate()  # sealed under a pepper that nobody knows
    records = [a_record(event) for event in [*good[:2], poison, *good[2:]]]

    await a_consumer(registry.service, registry.pool).take(records)

    assert await numbers(registry.pool) == {event.contract_number for event in good}
    assert await parked(registry.pool) == [("pepper_is_unknown", poison.key.encode())]


async def test_a_record_that_cannot_be_read_is_parked_in_the_transaction_of_the_others(registry, certificates):
    good = certificates(2)
    records = [a_record(good[0]), a_record(good[0], value=b"{"), a_record(good[1], headers=(("ce_type", b"\xff"),))]

    await a_consumer(registry.service, registry.pool).take([*records, a_record(good[1])])

    assert await numbers(registry.pool) == {event.contract_number for event in good}
    assert [reason for reason, _ in await parked(registry.pool)] == ["invalid::json_invalid", "header_is_not_utf8"]


async def test_what_the_database_refuses_is_parked_under_the_name_of_its_refusal(intake):
    stranger = a_registration(a_certificate())

    await a_consumer(intake.service, intake.pool).take([a_record(stranger)])

    assert await parked(intake.pool) == [("database:ForeignKeyViolationError", stranger.key.encode())]


async def test_the_same_poll_again_parks_the_same_letters(registry, certificates):
    records = [a_record(certificates(1)[0]), a_record(a_certificate())]
    consumer = a_consumer(registry.service, registry.pool)

    await consumer.take(records)
    await consumer.take(records)

    letters = await registry.pool.fetch(
        "SELECT DISTINCT value, headers::jsonb - -1 FROM outbox WHERE topic LIKE '%dead%'"
    )
    assert len(letters) == 1
    assert len(await numbers(registry.pool)) == 1


async def test_a_database_that_is_away_is_asked_again_and_nothing_is_parked(registry, certificates, databases):
    events = certificates(3)
    consumer = a_consumer(registry.service, registry.pool)
    await registry.pool.fetchval("SELECT 1")
    assert await databases.end_sessions("akashi-registry") >= 1

    await consumer.take([a_record(event) for event in events])

    assert await numbers(registry.pool) == {event.contract_number for event in events}
    assert await parked(registry.pool) == []


async def test_a_lock_that_somebody_else_holds_is_waited_for(registry, certificates):
    (event,) = certificates(1)
    consumer = a_consumer(registry.service, registry.pool)
    async with registry.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE certificate")
        taking = asyncio.create_task(consumer.take([a_record(event)]))
        await eventually(lambda: is_waiting(registry.pool))
        assert not taking.done()
    await taking

    assert await numbers(registry.pool) == {event.contract_number}


async def is_waiting(pool):
    return await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def test_a_fault_of_ours_is_never_parked(registry, certificates):
    tries = 0

    async def broken_until_mended(tx, batch):
        nonlocal tries
        tries += 1
        if tries < 3:
            raise KeyError("our bug")

    reading = Reading(group="registry", handlers={CertificateIssued: broken_until_mended})
    consumer = a_consumer(registry.service, registry.pool, reading=reading)

    await consumer.take([a_record(event) for event in certificates(2)])

    assert tries == 3
    assert await parked(registry.pool) == []


@pytest.fixture
def never_mended(registry):
    """A consumer whose handler always breaks, and how often it was tried."""
    tries = []

    async def broken(tx, batch):
        tries.append(batch)
        raise KeyError("our bug")

    reading = Reading(group="registry", handlers={CertificateIssued: broken})
    return a_consumer(registry.service, registry.pool, reading=reading), tries


async def test_what_goes_on_failing_is_given_back_before_the_group_takes_us_for_dead(
    never_mended, certificates, monkeypatch
):
    monkeypatch.setattr("chassis.consumer.RETRY_SECONDS", 0.5)
    consumer, tries = never_mended

    async with asyncio.timeout(20):
        with pytest.raises(KeyError):
            await consumer.take([a_record(event) for event in certificates(1)])

    assert len(tries) > 1


async def test_who_is_told_to_stop_tries_nothing_again(never_mended, certificates):
    consumer, tries = never_mended
    taking = asyncio.create_task(consumer.take([a_record(event) for event in certificates(1)]))
    await eventually(lambda: tries)

    consumer.stop()

    async with asyncio.timeout(20):
        with pytest.raises(KeyError):
            await taking


async def test_a_flood_of_bad_records_stops_the_consumer_before_anything_is_parked(registry, certificates):
    good = certificates(1)
    flood = [a_record(good[0]), *(a_record(a_certificate(), value=b"{") for _ in range(11))]
    consumer = a_consumer(registry.service, registry.pool, parked_per_minute_limit=10)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await consumer.take(flood)

    assert consumer.guard.tripped
    assert await parked(registry.pool) == []
    with pytest.raises(TooManyParked):
        consumer.guard.check(0)


async def test_what_a_handler_refuses_counts_towards_the_flood(registry, certificates):
    async def refuse(tx, batch):
        raise Refused("no")

    reading = Reading(group="registry", handlers={CertificateIssued: refuse})
    consumer = a_consumer(registry.service, registry.pool, reading=reading, parked_per_minute_limit=3)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await consumer.take([a_record(event) for event in certificates(5)])

    assert consumer.guard.tripped
    assert len(await parked(registry.pool)) == 3


async def test_a_data_key_and_its_tombstone_in_one_poll_leave_no_key(issuer):
    shredded, kept = uuid.uuid4(), uuid.uuid4()
    records = [a_record(a_wrapped_data_key(shredded)), a_record(a_wrapped_data_key(kept)), a_tombstone(shredded)]

    await a_consumer(issuer.service, issuer.pool).take(records)

    assert [row["application_id"] for row in await issuer.pool.fetch("SELECT application_id FROM data_key")] == [kept]


async def test_a_tombstone_forgets_the_key_of_an_earlier_poll(issuer):
    shredded = uuid.uuid4()
    consumer = a_consumer(issuer.service, issuer.pool)
    await consumer.take([a_record(a_wrapped_data_key(shredded))])

    await consumer.take([a_tombstone(shredded)])

    assert await issuer.pool.fetchval("SELECT count(*) FROM data_key") == 0


async def test_a_poll_forgets_once_it_has_taken_everything_else(issuer):
    done = []

    async def keep(tx, batch):
        done.append("kept")

    async def forget(tx, keys):
        done.append("forgotten")

    reading = Reading(group="issuer", handlers={DataKeyWrapped: keep}, forget=forget)
    event = a_wrapped_data_key(uuid.uuid4())

    await a_consumer(issuer.service, issuer.pool, reading=reading).take(
        [a_record(event), a_tombstone(event.application_id)]
    )

    assert done == ["kept", "forgotten"]


@contextlib.asynccontextmanager
async def reading_from(broker, registry):
    """What turns while the registry's consumer reads from a real broker."""
    kafka = make_broker(broker.access, client_id="test", drain_seconds=5)
    loop = subscribe(kafka, a_consumer(registry.service, registry.pool), batch_records=500)
    await kafka.start()
    try:
        yield loop
    finally:
        await kafka.stop()


@pytest.fixture
async def reading(broker, registry):
    async with reading_from(broker, registry) as loop:
        yield loop


@pytest.fixture
def listening(reading):
    """Nothing more is asked of it."""


@pytest.mark.parametrize("once_broken", ["_do_heartbeat", "_maybe_refresh_commit_offsets"])
async def test_what_failed_once_in_the_client_ends_no_reading(
    registry, certificates, broker, *, once_broken, monkeypatch
):
    works, broken = getattr(GroupCoordinator, once_broken), asyncio.Event()

    async def breaks_once(*arguments, **options):
        if broken.is_set():
            return await works(*arguments, **options)
        broken.set()
        raise KafkaError

    monkeypatch.setattr(GroupCoordinator, once_broken, breaks_once)
    async with reading_from(broker, registry) as loop:
        async with asyncio.timeout(30):
            await broken.wait()
        (event,) = certificates(1)
        await send(broker.access, [a_record(event)])

        await eventually(lambda: numbers_are(registry.pool, {event.contract_number}), 60)
        assert not loop.is_stale


def assigned(loop):
    return loop._subscriber.consumer.assignment()


@pytest.mark.parametrize(
    "task",
    [
        lambda loop: loop._subscriber.tasks[0],
        lambda loop: loop._subscriber.consumer._fetcher._fetch_task,
        lambda loop: loop._subscriber.consumer._coordinator._coordination_task,
        lambda loop: loop._subscriber.consumer._client._sync_task,
    ],
    ids=["loop", "fetcher", "coordination", "metadata"],
)
async def test_a_reading_of_which_one_task_ended_is_stale(reading, task):
    await eventually(lambda: assigned(reading))
    assert not reading.is_stale

    task(reading).cancel()

    await eventually(lambda: reading.is_stale)


async def test_a_header_that_is_not_utf8_loses_none_of_its_neighbours(listening, registry, certificates, broker):
    good = certificates(6)
    records = [a_record(event) for event in good]
    bad = a_record(good[3], headers=(*records[3].headers, ("x", b"\xff\xfe")))

    await send(broker.access, [*records[:3], bad, *records[3:]])

    expected = {event.contract_number for event in good}
    await eventually(lambda: numbers_are(registry.pool, expected))
    assert [reason for reason, _ in await parked(registry.pool)] == ["header_is_not_utf8"]
    await eventually(partial(is_committed, broker))


async def test_a_record_that_the_client_cannot_read_is_parked_and_loses_none_of_its_neighbours(
    listening, registry, certificates, broker
):
    """Neither before it nor of another partition that was fetched with it. What is behind it in its batch nobody reads."""
    good = certificates(8)
    records = [a_record(event) for event in good]
    async with registry.pool.acquire() as holder, holder.transaction():
        # The consumer stands in its first poll until all the rest can come at once.
        await holder.execute("LOCK TABLE certificate")
        await send(broker.access, records[:1])
        await send(broker.access, [replace(record, partition=n) for n, record in enumerate(records[1:4])])
        at = await send_what_no_client_reads(broker.access, "certificates.v1", 1, good=records[4])
        await send(broker.access, [replace(record, partition=n) for n, record in enumerate(records[5:])])

    expected = {event.contract_number for event in good}
    await eventually(lambda: numbers_are(registry.pool, expected))
    await eventually(partial(is_committed, broker))
    assert await parked(registry.pool) == [("cannot_be_read", None)] * 2
    rows = await registry.pool.fetch("SELECT headers FROM outbox WHERE topic LIKE '%.dead-letters.v1' ORDER BY id")
    said = [dict(json.loads(row["headers"])) for row in rows]
    origins = [(each["akashi_origin_partition"], each["akashi_origin_offset"]) for each in said]
    assert origins == [("1", str(at + 1)), ("1", str(at + 2))]


async def numbers_are(pool, expected):
    return await numbers(pool) == expected


async def is_committed(broker):
    return await uncommitted(broker.access, "registry", "certificates.v1") == 0


async def test_a_poll_commits_the_partitions_that_it_is_of_and_no_other(listening, registry, certificates, broker):
    for event in certificates(3):
        before = await commits(broker)
        await send(broker.access, [a_record(event)])
        await eventually(partial(is_committed, broker))

    assert await commits(broker) == before + 1


async def commits(broker):
    """How often the offset of a partition was written down, of any group; and a group, when it changed."""
    written = "__consumer_offsets"
    async with AIOKafkaConsumer(written, **broker.access.options(), exclude_internal_topics=False) as consumer:
        return sum((await consumer.end_offsets(consumer.assignment())).values())


async def test_a_flood_loses_nothing_for_who_comes_after_it_was_mended(broker, databases, keys, certificates):
    """The consumer that stopped commits nothing: the next one takes every record, good and bad."""
    await databases.fresh("registry")
    good = certificates(3)
    flood = [*(a_record(event) for event in good), *(a_record(good[0], value=b"{") for _ in range(12))]
    settings = {"kafka": broker.access, "drain_seconds": 1.0}

    async with running(make_service("registry", databases, keys, parked_per_minute_limit=10, **settings)) as site:
        await send(broker.access, flood)
        await eventually(lambda: site.service.consumers[0].guard.tripped)
        answer = await site.http.get("/health/ready")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["consumer registry stopped"])
    assert await uncommitted(broker.access, "registry", "certificates.v1") == len(flood)

    async with running(make_service("registry", databases, keys, **settings)) as site:
        await eventually(lambda: numbers_are(site.pool, {event.contract_number for event in good}))
        await eventually(partial(is_committed, broker))


async def test_a_service_comes_up_before_its_database(databases, keys, broker):
    """Its database is made while it waits; it migrates and is ready."""
    await databases.drop("registry")
    service = make_service("registry", databases, keys, kafka=broker.access)

    async def make_it_late():
        await eventually(lambda: service.runtime.pool is None)
        await databases.fresh("registry", migrated=False)

    async with asyncio.TaskGroup() as group:
        group.create_task(make_it_late())
        async with running(service) as site:
            assert await site.pool.fetchval("SELECT count(*) FROM certificate") == 0


async def test_records_that_two_processes_take_at_once_have_one_effect(registry, certificates):
    """The same records in two processes at once: a rebalance can do that."""
    records = [a_record(event) for event in certificates(20)]
    consumers = [a_consumer(registry.service, registry.pool) for _ in range(2)]

    await asyncio.gather(*(consumer.take(records) for consumer in consumers))

    assert len(await registry.outbox("CertificateRegistered")) == 20
    assert await parked(registry.pool) == []
