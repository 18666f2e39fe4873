"""What would somebody write by hand who wants the same hops and the same durability, and nothing else?

Run as `python -m tests.bench.loop first|middle|last`: outbox → topic → row and outbox → topic → row. One transaction per
poll, all acknowledged before an outbox row goes, offsets committed after the transaction. No types, no checks, no keys,
no log; a fault ends the process.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

APPLICATIONS: Final = "handwritten-applications"
CERTIFICATES: Final = "handwritten-certificates"
#: As the relay's and the consumers' of `chassis`.
BATCH: Final = 500
POLL_SECONDS: Final = 0.02
POLL_MS: Final = 50

#: `sample` holds one certificate's value and headers: what every application becomes here.
TABLES: Final = """
CREATE TABLE sample (value bytea NOT NULL, headers text NOT NULL);
CREATE TABLE first_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea NOT NULL, value bytea NOT NULL, headers text NOT NULL
);
CREATE TABLE middle_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea NOT NULL, value bytea NOT NULL, headers text NOT NULL
);
CREATE TABLE middle_row (id bytea PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE last_row (id bytea PRIMARY KEY, value bytea NOT NULL);
"""
INSERT_OUTBOX: Final = """
INSERT INTO {table} (key, value, headers)
SELECT key, value, headers FROM unnest($1::bytea[], $2::bytea[], $3::text[]) AS m (key, value, headers)
"""
INSERT_ROWS: Final = """
INSERT INTO {table} (id, value) SELECT id, value FROM unnest($1::bytea[], $2::bytea[]) AS r (id, value)
ON CONFLICT (id) DO NOTHING RETURNING id
"""

Connection = Any
Take = Callable[[Connection, list[ConsumerRecord]], Awaitable[None]]


async def relay(
    connection: Connection, kafka: Mapping[str, Any], table: str, topic: str, committed: asyncio.Event
) -> None:
    async with AIOKafkaProducer(**kafka, enable_idempotence=True, linger_ms=2) as producer:
        while True:
            committed.clear()
            rows = await connection.fetch(f"SELECT id, key, value, headers FROM {table} ORDER BY id LIMIT {BATCH}")
            if not rows:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(committed.wait(), POLL_SECONDS)
                continue
            sent = []
            for row in rows:
                headers = [(name, value.encode()) for name, value in json.loads(row["headers"])]
                sent.append(await producer.send(topic, row["value"], key=row["key"], headers=headers))
            await asyncio.gather(*sent)
            await connection.execute(f"DELETE FROM {table} WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])


async def consume(connection: Connection, kafka: Mapping[str, Any], topic: str, take: Take, ready: Path) -> None:
    async with AIOKafkaConsumer(
        topic,
        **kafka,
        group_id=f"group-of-{topic}",
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


async def main(part: str, dsn: str, kafka: Mapping[str, Any], ready: Path) -> None:
    connection = await asyncpg.connect(dsn)
    other = await asyncpg.connect(dsn)
    committed = asyncio.Event()

    async def middle(tx: Connection, records: list[ConsumerRecord]) -> None:
        keys = [record.key for record in records]
        new = [row["id"] for row in await tx.fetch(INSERT_ROWS.format(table="middle_row"), keys, [value] * len(keys))]
        insert = INSERT_OUTBOX.format(table="middle_outbox")
        await tx.execute(insert, new, [value] * len(new), [headers] * len(new))
        committed.set()

    async def last(tx: Connection, records: list[ConsumerRecord]) -> None:
        values = [record.value for record in records]
        await tx.fetch(INSERT_ROWS.format(table="last_row"), [record.key for record in records], values)

    if part == "first":
        ready.touch()
        await relay(connection, kafka, "first_outbox", APPLICATIONS, committed)
    elif part == "middle":
        [(value, headers)] = await connection.fetch("SELECT value, headers FROM sample")
        await asyncio.gather(
            relay(connection, kafka, "middle_outbox", CERTIFICATES, committed),
            consume(other, kafka, APPLICATIONS, middle, ready),
        )
    else:
        await consume(connection, kafka, CERTIFICATES, last, ready)


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1], os.environ["BENCH_DSN"], json.loads(os.environ["BENCH_KAFKA"]), Path(os.environ["BENCH_READY"])
        )
    )
