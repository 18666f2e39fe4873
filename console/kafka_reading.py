"""How topics are read from their beginning to a point, by no consumer group, so that nothing is taken from anyone."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError, KafkaError

from chassis.kafka import KafkaAccess
from chassis.polling import poll
from chassis.tls import trusting, why_distrusted
from deploy.local.problem import Problem
from schemas.topics import MAX_DEAD_LETTER_BYTES

#: A broker that says a partition goes on, and then gives nothing for so long, has a fault.
_STALLED_SECONDS: Final = 30.0
_POLL_RECORDS: Final = 2000


class Reader:
    """Reads some topics; each call of `records_until` goes on where the last one ended."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def ends(self, *topics: str) -> dict[TopicPartition, int]:
        """Where the topics end now."""
        asked = [partition for partition in self._partitions if partition.topic in topics]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(asked)
        return ends

    async def records_until(self, ends: dict[TopicPartition, int]) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """What lies before `ends` and was not read yet, a partition's records in their order."""
        at = {p: await self._consumer.position(p) for p in ends}
        behind = {p: end for p, end in ends.items() if at[p] < end}

        async def begins() -> dict[TopicPartition, int]:
            return {p: at[p] for p in behind}

        self._consumer.pause(*(p for p in self._partitions if p not in behind))
        self._consumer.resume(*behind)
        moved_at = time.monotonic()
        while behind:
            polled = await poll(self._consumer, *behind, timeout_ms=500, max_records=_POLL_RECORDS, begins=begins)
            for partition, records in polled.items():
                end = behind[partition]
                yield [record for record in records if record.offset < end]
                if records[-1].offset >= end:
                    # What came later is for the next call.
                    self._consumer.seek(partition, end)
            if polled:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _STALLED_SECONDS:
                raise Problem(
                    f"Kafka gave nothing of {next(iter(behind)).topic} for {_STALLED_SECONDS:.0f} s: "
                    "look at the broker's log, then try again."
                )
            for partition in list(behind):
                at[partition] = await self._consumer.position(partition)
                if at[partition] >= behind[partition]:
                    del behind[partition]
                    self._consumer.pause(partition)


@contextlib.asynccontextmanager
async def open_admin(kafka: KafkaAccess) -> AsyncIterator[AIOKafkaAdminClient]:
    """A broker to ask. `Problem` when there is none."""
    admin = AIOKafkaAdminClient(**kafka.options(), client_id="akashi-console")
    try:
        await admin.start()
    except KafkaError as error:
        await admin.close()
        raise await unreachable(kafka, error) from None
    try:
        yield admin
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def open_reader(
    kafka: KafkaAccess, topics: Sequence[str], *, fetch_bytes: int = MAX_DEAD_LETTER_BYTES
) -> AsyncIterator[Reader]:
    """A reader of all partitions of these topics, at their beginning. `Problem` when one is missing.

    The less it fetches of a partition at once, the more evenly it reads them.
    """
    partitions = await _partitions(kafka, topics)
    consumer = AIOKafkaConsumer(
        **kafka.options(),
        client_id="akashi-console",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_wait_ms=50,
    )
    consumer.assign(partitions)
    try:
        await consumer.start()
        yield Reader(consumer, partitions)
    except KafkaConnectionError as error:
        raise await unreachable(kafka, error) from None
    finally:
        await consumer.stop()


async def committed(kafka: KafkaAccess, group: str, topics: Collection[str]) -> dict[TopicPartition, int]:
    """How far a group has taken these topics: what is before that had its effect. Where it never committed: nothing."""
    async with open_admin(kafka) as admin:
        known = await _group_offsets(admin, group)
    return {partition: taken.offset for partition, taken in known.items() if partition.topic in topics}


async def _group_offsets(admin: AIOKafkaAdminClient, group: str) -> Any:
    give_up_at = time.monotonic() + _STALLED_SECONDS
    while True:
        try:
            return await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            # A broker that no group ever asked makes the place for their offsets now.
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(0.2)


async def unreachable(kafka: KafkaAccess, error: Exception) -> Problem:
    if why := await _why_distrusted(kafka):
        return Problem(
            f"What answers at {kafka.bootstrap} is not the Kafka to trust ({why}), and was told nothing: "
            "correct AKASHI_KAFKA_CA_FILE, or find out who listens there."
        )
    return Problem(
        f"Kafka at {kafka.bootstrap} can't be reached ({type(error).__name__}): "
        "start the stack with `akashi up`, or correct AKASHI_KAFKA_BOOTSTRAP. "
        f"Whether it refused the user {kafka.user or 'without a name'} is in its log."
    )


async def _why_distrusted(kafka: KafkaAccess) -> str | None:
    """Aiokafka only says that it reached nobody: look at the certificates once more."""
    if kafka.protocol != "SASL_SSL":
        return None
    for place in kafka.bootstrap.split(","):
        host, _, port = place.strip().rpartition(":")
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, int(port), ssl=trusting(kafka.ca_file))
        except (OSError, TimeoutError) as reason:
            if why := why_distrusted(reason):
                return why
        else:
            writer.close()
    return None


async def _partitions(kafka: KafkaAccess, topics: Sequence[str]) -> list[TopicPartition]:
    # Asked for all topics: asking for one by name could create it.
    async with open_admin(kafka) as admin:
        known = {found["topic"]: found["partitions"] for found in await admin.describe_topics()}
    if missing := sorted(set(topics) - known.keys()):
        raise Problem(f"The broker has no topic {', '.join(missing)}: make it with `akashi topics create`.")
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(partition["partition"] for partition in known[topic])
    ]
