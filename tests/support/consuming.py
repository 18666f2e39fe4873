"""How does a test hand records to a service's consumer, and count what that costs?"""

import json
from collections.abc import Sequence
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord

from chassis.consumer import Consumer, Reading
from chassis.lifecycle import Progress
from chassis.postgres import Pool
from chassis.service import Service
from tests.support.databases import Databases


def a_consumer(
    service: Service, pool: Pool | None, *, reading: Reading | None = None, parked_per_minute_limit: int = 600
) -> Consumer:
    """The consumer of a service, as its lifespan makes it."""

    def borrow() -> Pool:
        assert pool is not None, "this consumer takes no polls"
        return pool

    return Consumer(
        reading or service.readings[0],
        pool=borrow,
        outbox=service.runtime.outbox,
        clock=service.runtime.clock,
        progress=Progress("test", stale_after_seconds=60),
        parked_per_minute_limit=parked_per_minute_limit,
    )


async def statements_of(service: Service, databases: Databases, *polls: Sequence[ConsumerRecord]) -> list[list[str]]:
    """Take polls and return, for each but the first, every statement that it sent to the database.

    The first one is for the driver, which asks once per connection what it does not know of the types.
    """
    sent: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda query: sent.append(query.query))

    address = databases.address(service.runtime.service)
    async with asyncpg.create_pool(**address, min_size=1, max_size=1, init=listen) as pool:
        consumer = a_consumer(service, pool)
        costs = []
        for poll in polls:
            sent.clear()
            await consumer.take(poll)
            # What the pool asks when it takes a connection back is not the poll's cost.
            costs.append([query for query in sent if "pg_advisory_unlock_all" not in query])
    return costs[1:]


async def parked(pool: Pool) -> list[tuple[str, bytes | None]]:
    """(reason, key) of every record that waits to be published as a dead letter."""
    rows = await pool.fetch("SELECT key, headers FROM outbox WHERE topic LIKE '%.dead-letters.v1' ORDER BY id")
    return [(dict(json.loads(row["headers"]))["akashi_reason"], row["key"]) for row in rows]
