"""What waits in the outbox reaches Kafka: all of it, in order for each key, whatever happens to the relay."""

import asyncio
import contextlib
from unittest.mock import Mock

import pytest
from aiokafka import AIOKafkaProducer

import chassis.relay
from chassis.dead_letters import letter
from chassis.lifecycle import Progress
from chassis.outbox import Outbox
from chassis.postgres import transaction
from chassis.relay import LOCK, Relay
from schemas.envelope import Message
from schemas.topics import MAX_EVENT_BYTES
from tests.support.builders import a_raw_record
from tests.support.clock import NOON
from tests.support.kafka import Reader
from tests.support.waiting import eventually

TOPIC = "applications.v1"


@pytest.fixture
def outbox():
    return Outbox("intake")


@pytest.fixture
async def relay(broker, databases, intake_pool, outbox):
    """Start a relay under a name; all are ended when the test ends."""
    async with contextlib.AsyncExitStack() as opened:

        def start(name="relay", kafka=None):
            address = databases.address("intake")
            settings = {**address["server_settings"], "application_name": name}
            running = Relay(
                connection={**address, "server_settings": settings},
                kafka=kafka or broker.access,
                outbox=outbox,
                progress=Progress(name, stale_after_seconds=60),
            )
            task = asyncio.create_task(running.run())
            opened.push_async_callback(end, task)
            return task

        yield start


async def end(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def topic(broker):
    async with Reader(broker.access, TOPIC) as reader:
        yield reader


async def add(pool, outbox, *values, key=b"k"):
    async with transaction(pool) as tx:
        await outbox.add_messages(tx, [Message(TOPIC, key, value.encode(), ()) for value in values])


async def leader(pool):
    return await pool.fetchval(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = $1"
        " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        LOCK,
    )


def first_seen(records):
    """Values in the order in which each came for the first time: the relay promises at least once."""
    return list(dict.fromkeys(record.value.decode() for record in records))


async def test_what_was_added_is_published_in_order_and_gone_from_the_table(relay, topic, intake_pool, outbox):
    values = [str(n) for n in range(1200)]
    await add(intake_pool, outbox, *values)

    relay()

    assert first_seen(await topic.until(1200)) == values
    await eventually(lambda: is_empty(intake_pool))


async def test_more_than_a_batch_holds_arrives_in_order_and_so_do_the_largest(relay, topic, intake_pool, outbox):
    sizes = [3_000] * 300 + [MAX_EVENT_BYTES, 10, MAX_EVENT_BYTES, 10]
    values = [str(n).ljust(size) for n, size in enumerate(sizes)]
    await add(intake_pool, outbox, *values)

    relay()

    assert first_seen(await topic.until(len(values))) == values
    await eventually(lambda: is_empty(intake_pool))


async def test_what_is_before_a_message_that_has_no_place_leaves_once(relay, topic, intake_pool, outbox, monkeypatch):
    monkeypatch.setattr(chassis.relay, "HAND_OVER_SECONDS", 1)
    # How others configured logs would decide what can be heard of them here.
    log = Mock()
    monkeypatch.setattr(chassis.relay, "log", log)
    values = [str(n) for n in range(5)]
    await add(intake_pool, outbox, *values)
    async with transaction(intake_pool) as tx:
        # A newer release's, which was taken back.
        await outbox.add_messages(tx, [Message("nowhere.v1", b"k", b"stays", ())])
    await add(intake_pool, outbox, "stays behind it")

    relay()
    await eventually(lambda: log.warning.call_count >= 3)

    assert [record.value.decode() for record in await topic.until(5)] == values
    left = await intake_pool.fetch("SELECT value FROM outbox ORDER BY id")
    assert [row["value"] for row in left] == [b"stays", b"stays behind it"]


async def is_empty(pool):
    return await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_later_id_that_commits_first_does_not_hide_the_earlier_one(relay, topic, intake_pool, outbox):
    relay()
    async with intake_pool.acquire() as slow, slow.transaction():
        await outbox.add_messages(slow, [Message(TOPIC, b"a", b"first a", ()), Message(TOPIC, b"a", b"second a", ())])
        await add(intake_pool, outbox, "first b", "second b", key=b"b")
        assert first_seen(await topic.until(2)) == ["first b", "second b"]

    values = first_seen(await topic.until(4))
    assert [value for value in values if value.endswith("a")] == ["first a", "second a"]


async def test_a_wake_is_not_waited_for_but_helps(relay, topic, intake_pool, outbox):
    relay()
    await eventually(lambda: leader(intake_pool))
    await add(intake_pool, outbox, "woken")
    outbox.wake()

    assert first_seen(await topic.until(1)) == ["woken"]


async def test_one_relay_is_active_and_the_other_stands_by(relay, intake_pool):
    relay("first")
    await eventually(lambda: leader(intake_pool))
    relay("second")

    assert await leader(intake_pool) == "first"


async def test_the_standby_takes_over_when_the_leaders_session_is_killed(relay, topic, intake_pool, outbox, databases):
    relay("first")
    await eventually(lambda: leader(intake_pool))
    relay("second")

    async def second_leads():
        # The first comes back sooner than the second looks, so its session is killed until the second was faster.
        await databases.end_sessions("first")
        return await leader(intake_pool) == "second"

    await eventually(second_leads)
    await add(intake_pool, outbox, "one", "two")
    assert first_seen(await topic.until(2)) == ["one", "two"]


async def test_a_relay_whose_session_was_killed_goes_on(relay, topic, intake_pool, outbox, databases):
    relay("only")
    await add(intake_pool, outbox, "before")
    await topic.until(1)

    await databases.end_sessions("only")
    await add(intake_pool, outbox, "after")

    assert first_seen(await topic.until(2)) == ["before", "after"]


async def test_nothing_is_lost_or_out_of_order_when_the_broker_restarts(relay, topic, intake_pool, outbox, broker):
    relay()
    await add(intake_pool, outbox, "before")
    await topic.until(1)

    broker.crash()
    await add(intake_pool, outbox, *map(str, range(100)))
    assert not await is_empty(intake_pool)
    broker.return_()

    assert first_seen(await topic.until(101, 60)) == ["before", *map(str, range(100))]
    await eventually(lambda: is_empty(intake_pool))


async def test_a_relay_that_begins_anew_leaves_no_producer_behind_that_repeats_old_rows(
    relay, topic, intake_pool, outbox, *, broker, databases
):
    relay("only")
    await add(intake_pool, outbox, "before")
    await topic.until(1)
    broker.crash()
    await add(intake_pool, outbox, "waits")
    await eventually(lambda: producers() == 1)

    await databases.end_sessions("only")

    await eventually(lambda: producers() == 0, 30)
    broker.return_()
    assert first_seen(await topic.until(2, 60)) == ["before", "waits"]
    await eventually(lambda: is_empty(intake_pool))
    assert [record.value for record in topic.records].count(b"waits") == 1


async def test_a_session_that_ends_while_the_producer_starts_ends_no_relay(
    relay, topic, intake_pool, outbox, *, databases, monkeypatch
):
    start = AIOKafkaProducer.start
    is_lost = asyncio.Event()

    async def lose_the_session_meanwhile(producer):
        if not is_lost.is_set():
            is_lost.set()
            await databases.end_sessions("only")
        await start(producer)

    monkeypatch.setattr(AIOKafkaProducer, "start", lose_the_session_meanwhile)
    await add(intake_pool, outbox, "waits")

    task = relay("only")

    assert first_seen(await topic.until(1)) == ["waits"]
    assert is_lost.is_set()
    assert not task.done()


async def test_a_sender_that_ended_is_followed_by_another(relay, topic, intake_pool, outbox, broker):
    relay()
    await add(intake_pool, outbox, "before")
    await topic.until(1)
    broker.crash()
    await add(intake_pool, outbox, "waits")

    await eventually(senders)
    for sender in senders():
        sender.cancel()
    broker.return_()

    assert first_seen(await topic.until(2, 60)) == ["before", "waits"]


def senders():
    return [task for task in asyncio.all_tasks() if "Sender._sender_routine" in repr(task.get_coro())]


def producers():
    """How many try to send."""
    return len(senders())


async def test_a_relay_starts_before_its_broker(relay, topic, intake_pool, outbox, broker):
    broker.crash()
    relay()
    await add(intake_pool, outbox, "patient")
    broker.return_()

    assert first_seen(await topic.until(1, 60)) == ["patient"]


async def test_the_letter_of_a_record_with_neither_key_nor_value_holds_up_nothing(relay, topic, intake_pool, outbox):
    nothing = letter(a_raw_record(topic=TOPIC, key=None, value=None), group="intake", reason="x", now=NOON)
    async with transaction(intake_pool) as tx:
        await outbox.add_messages(tx, [nothing, Message(TOPIC, b"k", b"behind it", ())])
    relay()

    assert first_seen(await topic.until(1)) == ["behind it"]
    await eventually(lambda: is_empty(intake_pool))


async def test_headers_and_nulls_arrive_as_they_were(relay, topic, intake_pool, outbox):
    every = bytes(range(256))
    async with transaction(intake_pool) as tx:
        await outbox.add_messages(
            tx, [Message(TOPIC, every, every, (("x", every), ("x", b""))), Message(TOPIC, b"k", None, ())]
        )
    relay()

    by_key = {record.key: record for record in await topic.until(2)}
    assert (by_key[every].value, by_key[every].headers) == (every, (("x", every), ("x", b"")))
    assert by_key[b"k"].value is None
