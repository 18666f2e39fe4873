"""What would somebody write by hand who wants the same hops and the same durability, and nothing else?

Run as `python -m tests.bench.pipes.bare first|middle|last`. Polls as large as ours, one transaction and one statement per
table for each; all acknowledged before an outbox row goes, offsets committed after the transaction. No types, no checks,
no keys, no log; a fault ends the process. No design that keeps the hops can be faster in this language.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from chassis.lifecycle import settle
from tests.bench.pipes.tables import INSERT_OUTBOX, INSERT_ROWS

PREFIX: Final = "bare-"
#: As the relay's and the consumers' of `chassis`.
BATCH: Final = 500
BATCH_BYTES: Final = 256 * 1024
POLL_SECONDS: Final = 0.02
POLL_MS: Final = 50
#: Frozen while others have their turn, it stays in its group.
SESSION_MS: Final = 300_000

READS: Final = {
    "first": ("decisions", "certificates", "registrations"),
    "middle": ("applications",),
    "last": ("certificates",),
}

Connection = Any
Take = Callable[[Connection, list[ConsumerRecord]], Awaitable[None]]


async def relay(connection: Connection, kafka: Mapping[str, Any], table: str, committed: asyncio.Event) -> None:
    options = {"enable_idempotence": True, "linger_ms": 2, "max_batch_size": BATCH_BYTES}
    async with AIOKafkaProducer(**kafka, **options) as producer:
        while True:
            committed.clear()
            oldest = f"SELECT id, topic, key, value, headers FROM {table} ORDER BY id LIMIT {BATCH}"
            rows = await connection.fetch(oldest)
            if not rows:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await committed.wait()
                continue
            sent = []
            for row in rows:
                headers = [(name, value.encode()) for name, value in json.loads(row["headers"])]
                sent.append(await producer.send(row["topic"], row["value"], key=row["key"], headers=headers))
            await asyncio.gather(*sent)
            await connection.execute(f"DELETE FROM {table} WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])


async def consume(connection: Connection, kafka: Mapping[str, Any], part: str, take: Take, ready: Path) -> None:
    async with AIOKafkaConsumer(
        *(PREFIX + kind for kind in READS[part]),
        **kafka,
        group_id=PREFIX + part,
        session_timeout_ms=SESSION_MS,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    ) as consumer:
        ready.touch()
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
            records = [record for partition in polled.values() for record in partition]
            if records:
                async with connection.transaction():
                    await take(connection, records)
                await consumer.commit()


async def add_rows(tx: Connection, table: str, records: Sequence[ConsumerRecord]) -> list[bytes]:
    """The keys of those that were not there."""
    keys, values = [record.key for record in records], [record.value for record in records]
    return [row["id"] for row in await tx.fetch(INSERT_ROWS.format(table=table), keys, values)]


async def main(part: str, dsn: str, kafka: Mapping[str, Any], ready: Path) -> None:
    connection = await asyncpg.connect(dsn)
    other = await asyncpg.connect(dsn)
    committed = asyncio.Event()
    samples = {row["kind"]: row for row in await connection.fetch("SELECT kind, value, headers FROM sample")}

    async def announce(tx: Connection, keys: Sequence[bytes], *kinds: str) -> None:
        said = [
            (PREFIX + kind, key, samples[kind]["value"], samples[kind]["headers"]) for key in keys for kind in kinds
        ]
        if said:
            await tx.execute(INSERT_OUTBOX.format(table=f"{part}_outbox"), *map(list, zip(*said, strict=True)))
            committed.set()

    async def first(tx: Connection, records: list[ConsumerRecord]) -> None:
        by_topic: dict[str, list[ConsumerRecord]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        tables = {"decisions": "decided", "certificates": "certificate", "registrations": "registration"}
        for kind, table in tables.items():
            if came := by_topic.get(PREFIX + kind):
                await add_rows(tx, f"first_{table}", came)

    async def middle(tx: Connection, records: list[ConsumerRecord]) -> None:
        await announce(tx, await add_rows(tx, "middle_row", records), "decisions", "certificates")

    async def last(tx: Connection, records: list[ConsumerRecord]) -> None:
        await announce(tx, await add_rows(tx, "last_row", records), "registrations")

    take = {"first": first, "middle": middle, "last": last}[part]
    settle()
    await asyncio.gather(
        relay(connection, kafka, f"{part}_outbox", committed), consume(other, kafka, part, take, ready)
    )


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1], os.environ["BENCH_DSN"], json.loads(os.environ["BENCH_KAFKA"]), Path(os.environ["BENCH_READY"])
        )
    )
