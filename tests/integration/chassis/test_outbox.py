"""A fact and its announcement are durable together."""

import uuid

import pytest

from chassis.outbox import Outbox, unpack
from chassis.postgres import transaction
from schemas.envelope import Message
from tests.support.builders import CAUSE, an_application


@pytest.fixture
def outbox():
    return Outbox("intake")


async def test_messages_wait_in_the_order_in_which_they_were_added(outbox, intake_pool):
    events = [an_application() for _ in range(50)]
    async with transaction(intake_pool) as tx:
        await outbox.add(tx, [(event, CAUSE) for event in events])

    rows = await intake_pool.fetch("SELECT key FROM outbox ORDER BY id")
    assert [row["key"].decode() for row in rows] == [event.key for event in events]


async def test_a_rolled_back_fact_is_announced_to_nobody(outbox, intake_pool):
    async def announce_and_fail():
        async with transaction(intake_pool) as tx:
            await outbox.add(tx, [(an_application(), CAUSE)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await announce_and_fail()

    assert await intake_pool.fetchval("SELECT count(*) FROM outbox") == 0


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_any_number_of_messages_costs_one_statement(count, outbox, intake_pool):
    sent = []
    async with intake_pool.acquire() as connection, connection.transaction():
        # The driver asks once per connection what it does not know of the types.
        await outbox.add(connection, [(an_application(), CAUSE)])
        with connection.query_logger(lambda query: sent.append(query.query)):
            await outbox.add(connection, [(an_application(), CAUSE)] * count)

    assert len(sent) == 1


async def test_no_messages_cost_nothing(outbox, intake_pool):
    sent = []
    async with intake_pool.acquire() as connection, connection.transaction():
        with connection.query_logger(lambda query: sent.append(query.query)):
            await outbox.add_messages(connection, [])

    assert sent == []


async def test_any_bytes_survive_the_table(outbox, intake_pool):
    every = bytes(range(256))
    message = Message("t", every, every, (("x", every), ("x", b""), (f"見本{uuid.UUID(int=1)}", b"\x00")))
    async with transaction(intake_pool) as tx:
        await outbox.add_messages(tx, [message, Message("t", None, None, ())])

    first, second = await intake_pool.fetch("SELECT key, value, headers FROM outbox ORDER BY id")
    assert (first["key"], first["value"], tuple(unpack(first["headers"]))) == (every, every, message.headers)
    assert (second["key"], second["value"]) == (None, None)
