"""What a topic takes, as we declare it on a real broker."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from schemas import topics
from tests.support.kafka import Reader

NAME = topics.APPLICATIONS.name


async def test_a_record_may_be_packed_and_is_no_larger_for_it_than_any_other(broker):
    """Else a few kilobytes could become more than its readers can hold, and a letter that no dead-letter topic takes."""
    async with Reader(broker.access, NAME) as reader, packing(broker) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(NAME, bytes(topics.APPLICATIONS.max_message_bytes + 1))
        await producer.send_and_wait(NAME, b"small")

        assert [record.value for record in await reader.until(1)] == [b"small"]


def packing(broker):
    return AIOKafkaProducer(**broker.access.options(), compression_type="gzip", max_request_size=10_000_000)
