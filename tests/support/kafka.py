"""How does a test read topics, write to them, and begin with nothing to read?"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from chassis.kafka import KafkaAccess
from console.kafka_reading import open_admin
from schemas import topics
from tests.support.waiting import eventually


async def send(kafka: KafkaAccess, records: Sequence[ConsumerRecord]) -> None:
    """Publish what the builders made, in order, headers and all; to partition 0, so that one poll can hold it."""
    async with AIOKafkaProducer(**kafka.options(), enable_idempotence=True, linger_ms=20) as producer:
        sent = [
            await producer.send(
                record.topic, record.value, key=record.key, headers=list(record.headers), partition=record.partition
            )
            for record in records
        ]
        await asyncio.gather(*sent)


class _NotUtf8(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def send_what_no_client_reads(kafka: KafkaAccess, name: str, partition: int, *, good: ConsumerRecord) -> int:
    """Publish a batch of three: a good record, one with a header whose name is not UTF-8, the good one again; the
    offset of the first.
    """
    async with AIOKafkaProducer(**kafka.options()) as producer:
        batch = producer.create_batch()
        # Written in Python: the quick one takes no such names.
        batch._builder = builder = _DefaultRecordBatchBuilderPy(
            2, 0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1_000_000
        )
        batch._relative_offset = 3
        for n, headers in enumerate((good.headers, [(_NotUtf8("name"), b"x")], good.headers)):
            builder.append(n, None, key=good.key, value=good.value, headers=list(headers))
        placed = await (await producer.send_batch(batch, name, partition=partition))
        offset: int = placed.offset
        return offset


class Reader:
    """Reads topics from where they ended when it was opened, as no group."""

    def __init__(self, kafka: KafkaAccess, *names: str) -> None:
        self._consumer = AIOKafkaConsumer(**kafka.options())
        self._names = names
        self.records: list[ConsumerRecord] = []

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        partitions = partitions_of(*self._names)
        self._consumer.assign(partitions)
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(self, count: int, timeout_seconds: float = 30) -> list[ConsumerRecord]:
        """The records so far, as soon as there are so many."""

        async def enough() -> bool:
            for batch in (await self._consumer.getmany(timeout_ms=20)).values():
                self.records.extend(batch)
            return len(self.records) >= count

        await eventually(enough, timeout_seconds)
        return self.records


async def skip_history(kafka: KafkaAccess) -> None:
    """Let every group begin at the ends of its topics: what earlier tests wrote is nobody's business."""
    for group in topics.GROUPS:
        names = [*(topic.name for topic in topics.read_by(group)), topics.redrive(group)]
        async with AIOKafkaConsumer(**kafka.options(), group_id=group, enable_auto_commit=False) as consumer:
            partitions = partitions_of(*names)
            consumer.assign(partitions)
            await eventually(partial(_commit_ends, consumer, partitions), 30)


async def _commit_ends(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> bool:
    """False while a consumer of an earlier test is still counted as a member: it left, or its session will end."""
    try:
        await consumer.commit(await consumer.end_offsets(partitions))
    except CommitFailedError:
        return False
    return True


async def uncommitted(kafka: KafkaAccess, group: str, name: str) -> int:
    """How many records of a topic the group has not committed."""
    async with AIOKafkaConsumer(**kafka.options(), group_id=group, enable_auto_commit=False) as consumer:
        partitions = partitions_of(name)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        return sum([end - (await consumer.committed(partition) or 0) for partition, end in ends.items()])


async def members_of(kafka: KafkaAccess, group: str) -> set[str]:
    """The members as the group's coordinator knows them, dead ones included until their sessions end."""
    async with open_admin(kafka) as admin:
        ((described,),) = [answer.groups for answer in await admin.describe_consumer_groups([group])]
    return {member[0] for member in described[5]}


async def bury(kafka: KafkaAccess, group: str) -> None:
    """Tell the coordinator that all members left, when they are dead: nobody waits until their sessions end."""
    members = await members_of(kafka, group)
    async with open_admin(kafka) as admin:
        coordinator = await admin.find_coordinator(group)
        for member in members:
            await admin._send_request(LeaveGroupRequest(group, member), coordinator)


def partitions_of(*names: str) -> list[TopicPartition]:
    """As `chassis.kafka_topics` makes them."""
    business = {topic.name: topic.partitions for topic in topics.BUSINESS}
    return [TopicPartition(name, n) for name in names for n in range(business.get(name, topics.OWN_TOPIC_PARTITIONS))]
