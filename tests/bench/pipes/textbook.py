"""What do tutorials of the framework show? One message, one transaction, one publication after the other.

Run as `python -m tests.bench.pipes.textbook first|middle|last`: the hops and rows of the other references. A subscriber
per topic takes one record at a time; what it tells is published, and acknowledged, before the next is looked at. The
outbox of what began is read row by row, as a tutorial's "outbox worker" does.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import asyncpg
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.security import SASLPlaintext

PREFIX: Final = "textbook-"
POLL_SECONDS: Final = 0.02
#: Frozen while others have their turn, it stays in its group.
SESSION_MS: Final = 300_000
INSERT: Final = "INSERT INTO {table} (id, value) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
#: Kind → table, and what is told of each new row.
HOPS: Final[dict[str, dict[str, tuple[str, tuple[str, ...]]]]] = {
    "first": {
        "decisions": ("first_decided", ()),
        "certificates": ("first_certificate", ()),
        "registrations": ("first_registration", ()),
    },
    "middle": {"applications": ("middle_row", ("decisions", "certificates"))},
    "last": {"certificates": ("last_row", ("registrations",))},
}


async def main(part: str, dsn: str, kafka: dict[str, Any], ready: Path) -> None:
    user, password = kafka["sasl_plain_username"], kafka["sasl_plain_password"]
    broker = KafkaBroker(
        kafka["bootstrap_servers"],
        security=SASLPlaintext(user, password, use_ssl=False),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        enable_idempotence=True,
        logger=None,
    )
    pool = await asyncpg.create_pool(dsn, min_size=2, max_size=4)
    samples = {row["kind"]: row for row in await pool.fetch("SELECT kind, value, headers FROM sample")}

    async def tell(kind: str, key: bytes) -> None:
        headers = dict(json.loads(samples[kind]["headers"]))
        await broker.publish(samples[kind]["value"], PREFIX + kind, key=key, headers=headers)

    def subscribe(kind: str, table: str, tells: tuple[str, ...]) -> None:
        @broker.subscriber(
            PREFIX + kind,
            group_id=PREFIX + part,
            session_timeout_ms=SESSION_MS,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        async def take(message: KafkaMessage) -> None:
            record: Any = message.raw_message
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(INSERT.format(table=table), record.key, record.value)
                for told in tells:
                    await tell(told, record.key)

    async def work_off() -> None:
        while True:
            row = await pool.fetchrow("SELECT id, topic, key, value, headers FROM first_outbox ORDER BY id LIMIT 1")
            if row is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            headers = dict(json.loads(row["headers"]))
            await broker.publish(row["value"], row["topic"], key=row["key"], headers=headers)
            await pool.execute("DELETE FROM first_outbox WHERE id = $1", row["id"])

    for kind, (table, tells) in HOPS[part].items():
        subscribe(kind, table, tells)
    app = FastStream(broker, logger=None)
    app.after_startup(ready.touch)
    await asyncio.gather(app.run(), *([work_off()] if part == "first" else []))


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1], os.environ["BENCH_DSN"], json.loads(os.environ["BENCH_KAFKA"]), Path(os.environ["BENCH_READY"])
        )
    )
