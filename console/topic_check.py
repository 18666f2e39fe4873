"""Are the broker's topics, and who may use them, as `schemas.topics` declares?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis.kafka import KafkaAccess
from chassis.kafka_acls import differing_acls
from chassis.kafka_topics import declared
from console.kafka_reading import open_admin

#: Replicas where there are as many brokers; see `chassis.kafka_topics.ensure_topics`.
_REPLICAS: Final = 3


@dataclass(frozen=True)
class BrokerTopic:
    """A topic as the broker has it."""

    partitions: int
    replicas: int
    settings: Mapping[str, str] = field(default_factory=dict)


async def check_topics(kafka: KafkaAccess) -> list[str]:
    """Every difference between declaration and broker, a line each."""
    async with open_admin(kafka) as admin:
        cluster = await admin.describe_cluster()
        wanted = declared(_REPLICAS if len(cluster["brokers"]) >= _REPLICAS else 1)
        return differences(wanted, await _existing(admin, [topic.name for topic in wanted]))


async def check_rules(kafka: KafkaAccess) -> list[str]:
    """Every difference in who may do what, a line each."""
    missing, extra = await differing_acls(kafka)
    return [
        *(f"{rule}: declared, and not granted" for rule in missing),
        *(f"{rule}: nobody declared it" for rule in extra),
    ]


def differences(wanted: list[NewTopic], existing: Mapping[str, BrokerTopic]) -> list[str]:
    """What the broker has otherwise than declared, or not at all."""
    found = []
    for topic in wanted:
        has = existing.get(topic.name)
        if has is None:
            found.append(f"{topic.name} is missing")
            continue
        pairs = {
            "partitions": (topic.num_partitions, has.partitions),
            "replicas": (topic.replication_factor, has.replicas),
            **{name: (value, has.settings.get(name)) for name, value in topic.topic_configs.items()},
        }
        found += [
            f"{topic.name}: {name} is {actual}, declared {demanded}"
            for name, (demanded, actual) in pairs.items()
            if demanded != actual
        ]
    return found


async def _existing(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, BrokerTopic]:
    described = {found["topic"]: found["partitions"] for found in await admin.describe_topics()}
    present = [name for name in names if name in described]
    settings = await _settings(admin, present)
    return {
        name: BrokerTopic(
            partitions=len(described[name]),
            replicas=min(len(partition["replicas"]) for partition in described[name]),
            settings=settings.get(name, {}),
        )
        for name in present
    }


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource["resource_name"]: {
            entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]
        }
        for answer in answers
        for resource in answer.to_object()["resources"]
    }
