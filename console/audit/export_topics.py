"""Reading topics partition by partition, from a record to a point, by no consumer group."""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from chassis.kafka import KafkaAccess
from console.kafka_reading import open_reader, unreachable
from deploy.local.problem import Problem

#: A broker that says a partition goes on, and then gives nothing for so long, has a fault.
_STALLED_SECONDS: Final = 30.0
_POLL_RECORDS: Final = 2000
#: Read ahead of each partition: times 32, what a topic takes of memory.
_AHEAD_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """Where a partition begins and ends."""

    begin: int
    end: int


async def bounds_of(kafka: KafkaAccess, topics: Sequence[str]) -> dict[str, dict[int, Bounds]]:
    """Of each topic's partitions, now. `Problem` when a topic is missing."""
    async with open_reader(kafka, topics) as reader:
        ends = await reader.ends(*topics)
    async with _open_consumer(kafka) as consumer:
        begins = await consumer.beginning_offsets(list(ends))
    bounds: dict[str, dict[int, Bounds]] = {topic: {} for topic in topics}
    for partition in sorted(ends):
        bounds[partition.topic][partition.partition] = Bounds(begins[partition], ends[partition])
    return bounds


class TopicReader:
    """Reads one topic. The partitions may be asked for in any order, and in turns."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    async def records(self, number: int, end: int) -> AsyncGenerator[Sequence[ConsumerRecord], None]:
        """What lies before `end`, in its order."""
        partition = TopicPartition(self._topic, number)
        moved_at = time.monotonic()
        while await self._consumer.position(partition) < end:
            polled = await self._consumer.getmany(partition, timeout_ms=500, max_records=_POLL_RECORDS)
            if records := polled.get(partition):
                moved_at = time.monotonic()
                yield [record for record in records if record.offset < end]
            elif time.monotonic() - moved_at > _STALLED_SECONDS:
                raise Problem(
                    f"Kafka gave nothing of {self._topic} for {_STALLED_SECONDS:.0f} s: "
                    "look at the broker's log, then try again."
                )
        # Nothing more is asked of it, so that no answer waits for what is still to come.
        self._consumer.pause(partition)


@contextlib.asynccontextmanager
async def open_topic(kafka: KafkaAccess, topic: str, positions: Mapping[int, int]) -> AsyncIterator[TopicReader]:
    """A reader of some partitions of a topic, each from its offset on."""
    partitions = {TopicPartition(topic, number): offset for number, offset in positions.items()}
    async with _open_consumer(kafka, partitions) as consumer:
        for partition, offset in partitions.items():
            consumer.seek(partition, offset)
        yield TopicReader(consumer, topic)


@contextlib.asynccontextmanager
async def _open_consumer(
    kafka: KafkaAccess, partitions: Iterable[TopicPartition] = ()
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka.options(),
        client_id="akashi-console",
        group_id=None,
        enable_auto_commit=False,
        # An offset that is gone is no reason to go on with another one.
        auto_offset_reset="none",
        max_partition_fetch_bytes=_AHEAD_BYTES,
        fetch_max_wait_ms=50,
    )
    if assigned := list(partitions):
        consumer.assign(assigned)
    try:
        await consumer.start()
        yield consumer
    except KafkaConnectionError as error:
        raise await unreachable(kafka, error) from None
    finally:
        await consumer.stop()
