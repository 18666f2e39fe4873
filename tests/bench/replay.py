"""How fast does the registry come anew from the log, beside reading the same records and storing their bytes?"""

import time
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer

from console.audit.rebuild import rebuild
from console.audit.replay_facts import TOPICS
from tests.bench.report import Figure, progress
from tests.bench.rounds import Wrong
from tests.bench.sides import Ours, applications
from tests.bench.stand import Stand, running_stand
from tests.support.waiting import eventually

#: A poll, as large as the rebuild's reader asks for.
_BATCH: Final = 500
_SETTLE_SECONDS: Final = 600
_TABLE: Final = """
CREATE UNLOGGED TABLE IF NOT EXISTS bench_copied (topic text, partition integer, "offset" bigint, key bytea, value bytea)
"""
_COLUMNS: Final = ("topic", "partition", "offset", "key", "value")


async def replaying(count: int, rounds: int) -> Sequence[Figure]:
    """Issue so many certificates through the whole flow, then rebuild from what was told, without the swap."""
    async with running_stand() as stand, stand.connected() as connections:
        ours = Ours(connections)
        await ours.fill(applications(count))

        async def all_there() -> bool:
            return await ours.is_settled(count)

        await eventually(all_there, _SETTLE_SECONDS)
        rebuilt: list[float] = []
        copied: list[float] = []
        for number in range(rounds):
            began = time.monotonic()
            done = await rebuild(stand.running.console, dry_run=True)
            seconds = time.monotonic() - began
            if done.certificates != count or done.refusals or done.differences:
                raise Wrong(f"{done.certificates} of {count} rebuilt, {len(done.differences)} differ")
            began = time.monotonic()
            records = await _copy(stand, connections["registry"])
            copied.append(records / (time.monotonic() - began))
            # The rebuild reads the same records.
            rebuilt.append(records / seconds)
            progress.print(
                f"round {number + 1} of {rounds}: {rebuilt[-1]:,.0f} beside {copied[-1]:,.0f} records a second"
            )
    return [Figure("records/s to rebuild registry and log", rebuilt, "consume + COPY", copied, "≥ 0.6")]


async def _copy(stand: Stand, connection: "asyncpg.Connection[Any]") -> int:
    """Store every record of the topics that a rebuild reads; how many there are."""
    await connection.execute(_TABLE)
    await connection.execute("TRUNCATE bench_copied")
    copied = 0
    async with AIOKafkaConsumer(
        *(topic.name for topic in TOPICS),
        **stand.kafka.options(),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        wanted = sum((await consumer.end_offsets(list(consumer.assignment()))).values())
        while copied < wanted:
            polled = await consumer.getmany(timeout_ms=200, max_records=_BATCH)
            rows = [(r.topic, r.partition, r.offset, r.key, r.value) for records in polled.values() for r in records]
            await connection.copy_records_to_table("bench_copied", records=rows, columns=_COLUMNS)
            copied += len(rows)
    await connection.execute("DROP TABLE bench_copied")
    return copied
