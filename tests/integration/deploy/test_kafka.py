from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.kafka import KafkaAccess
from deploy.local.kafka import LocalKafka
from deploy.local.state import free_port


async def send(kafka: KafkaAccess, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(**kafka.options(), enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value)


async def first(kafka: KafkaAccess, topic: str) -> bytes:
    async with AIOKafkaConsumer(topic, **kafka.options(), auto_offset_reset="earliest") as consumer:
        return bytes((await consumer.getone()).value)


async def test_a_message_is_still_there_after_a_kill_and_on_another_port(state: Path) -> None:
    with LocalKafka(state, free_port()) as kafka:
        await send(kafka.access(""), "certificates", "証書".encode())
        kafka.kill()
        assert not kafka.is_ready()

        kafka.port = free_port()
        kafka.start()

        assert await first(kafka.access(""), "certificates") == "証書".encode()
        assert "Kafka Server started" in kafka.log.read_text()


async def test_a_stopped_broker_starts_again(state: Path) -> None:
    """In a folder of any name."""
    state /= "証 𠮷\\x"
    with LocalKafka(state, free_port()) as kafka:
        await send(kafka.access(""), "certificates", b"one")
    with LocalKafka(state, free_port()) as kafka:
        assert await first(kafka.access(""), "certificates") == b"one"
