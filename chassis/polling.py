"""How records are fetched, so that one which cannot be read takes none of its neighbours with it.

The client moves on while it hands out records, partition after partition. Where it then meets one that it cannot read,
it drops what it had in hand, and the next commit would pass over that. So everything goes back to where it began, and
each partition is read by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, UnsupportedCodecError

from chassis.decoding import Unreadable

log = structlog.get_logger()

#: Records of a partition that has some come at once.
_PATIENCE_MS: Final = 5000


class Damaged(KafkaError):  # type: ignore[misc]
    """Partitions cannot be read, whoever tries; its cause tells how. Nothing else came."""


Polled = dict[TopicPartition, list[ConsumerRecord]]


async def poll(
    consumer: AIOKafkaConsumer,
    *partitions: TopicPartition,
    timeout_ms: int,
    max_records: int,
    begins: Callable[[], Awaitable[Mapping[TopicPartition, int]]],
) -> Polled:
    """As `getmany`. `begins` tells from where on each partition was not handed out yet; it is asked in need only.

    A record that is no record is among them as an `Unreadable`. A partition that is damaged is left for the next time,
    and the others go on; `Damaged` is raised when nothing else came.
    """
    try:
        polled: Polled = await consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
    except ConsumerStoppedError:
        raise
    except Exception as error:
        if isinstance(error, KafkaError) and not isinstance(error, CorruptRecordException | UnsupportedCodecError):
            # Of the broker, not of bytes: nothing was handed out.
            raise
        return await _each_by_itself(consumer, await _gone_back(consumer, begins), max_records)
    return polled


async def _gone_back(
    consumer: AIOKafkaConsumer, begins: Callable[[], Awaitable[Mapping[TopicPartition, int]]]
) -> Mapping[TopicPartition, int]:
    """Where each partition stands again. Never given up: what was dropped would be passed over."""
    while True:
        try:
            places = await begins()
            for partition, begin in places.items():
                consumer.seek(partition, begin)
        except ConsumerStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - or the next commit would pass over what was dropped
            # The broker is away, or gave a partition to somebody else meanwhile.
            log.warning("poll.retrying", error=type(error).__name__)
            await asyncio.sleep(1)
        else:
            return places


async def _each_by_itself(consumer: AIOKafkaConsumer, begins: Mapping[TopicPartition, int], most: int) -> Polled:
    ends = await consumer.end_offsets(list(begins))
    polled: Polled = {}
    failed: Exception | None = None
    for partition, begin in begins.items():
        if begin >= ends[partition] or most <= 0:
            continue
        try:
            records = await _read(consumer, partition, begin, most)
        except ConsumerStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the client makes of damaged bytes
            log.error("partition.unreadable", partition=f"{partition.topic}:{partition.partition}", error=repr(error))  # noqa: TRY400
            consumer.seek(partition, begin)
            failed = error
            continue
        if records:
            polled[partition] = records
            most -= len(records)
    if failed is not None and not polled:
        raise Damaged(repr(failed)) from failed
    return polled


async def _read(consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, most: int) -> list[ConsumerRecord]:
    try:
        polled: Polled = await consumer.getmany(partition, timeout_ms=_PATIENCE_MS, max_records=most)
        return polled.get(partition, [])
    except UnicodeDecodeError:
        consumer.seek(partition, begin)
    records: list[ConsumerRecord] = []
    while len(records) < most:
        try:
            polled = await consumer.getmany(partition, timeout_ms=_PATIENCE_MS, max_records=1)
        except UnicodeDecodeError:
            # The name of a header, of this record or of one before it in the same batch: the client reads no further.
            at = await consumer.position(partition)
            consumer.seek(partition, at + 1)
            return [*records, Unreadable.at(partition.topic, partition.partition, at)]
        records += polled.get(partition, [])
        if not polled:
            break
    return records
