"""Brokers that speak TLS, with their clients and with each other."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.kafka import ADMINISTRATOR
from deploy.local.kafka import LocalKafka
from deploy.local.state import free_port
from tests.support.cluster import running_cluster
from tests.support.keys import Keyring
from tests.support.waiting import eventually

TOPIC = "certificates"


@pytest.mark.timeout(300)
async def test_three_brokers_replicate_over_tls(state: Path, keys: Keyring) -> None:
    with running_cluster(state, keys.folder, tls=True) as cluster:
        access = cluster.access()
        admin = AIOKafkaAdminClient(**access.options())
        await admin.start()
        try:
            await admin.create_topics([NewTopic(TOPIC, 1, 3, topic_configs={"min.insync.replicas": "2"})])

            async def led() -> int | None:
                ((topic,),) = [await admin.describe_topics([TOPIC])]
                return next((partition["leader"] for partition in topic["partitions"] if partition["leader"] > 0), None)

            leader = await eventually(led, 30)
        finally:
            await admin.close()
        async with AIOKafkaProducer(**access.options(), enable_idempotence=True) as producer:
            # Acknowledged by two at least, so another has it from the leader.
            await producer.send_and_wait(TOPIC, "証書".encode())

        cluster.nodes[leader - 1].kill()

        async with AIOKafkaConsumer(**access.options(), auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(TOPIC, 0)])
            async with asyncio.timeout(60):
                assert (await consumer.getone()).value == "証書".encode()
    assert access.protocol == "SASL_SSL"
    for node in cluster.nodes:
        said = (node.state / "server.properties").read_text()
        assert "listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SASL_SSL" in said


async def test_a_stack_that_spoke_plainly_speaks_tls_after_its_next_start(state: Path, keys: Keyring) -> None:
    with LocalKafka(state, free_port(), secrets=keys.folder) as kafka:
        admin = AIOKafkaAdminClient(**kafka.access(ADMINISTRATOR).options())
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(**kafka.access(ADMINISTRATOR).options()) as producer:
            await producer.send_and_wait(TOPIC, b"before")

    with LocalKafka(state, free_port(), secrets=keys.folder, tls=True) as kafka:
        access = kafka.access(ADMINISTRATOR)
        async with AIOKafkaConsumer(TOPIC, **access.options(), auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"before"
        assert access.protocol == "SASL_SSL"
