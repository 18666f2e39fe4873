"""Every way in which a broker's topic can differ from its declaration is told."""

from dataclasses import replace
from typing import Any

import pytest

from chassis.kafka_topics import declared
from console.topic_check import BrokerTopic, differences

WANTED = declared(1)
FIRST = WANTED[0]


def as_declared() -> dict[str, BrokerTopic]:
    return {
        topic.name: BrokerTopic(topic.num_partitions, topic.replication_factor, dict(topic.topic_configs))
        for topic in WANTED
    }


def test_a_broker_that_has_what_is_declared_has_no_difference() -> None:
    assert differences(WANTED, as_declared()) == []


def test_topics_of_others_are_not_our_business() -> None:
    assert differences(WANTED, as_declared() | {"other": BrokerTopic(1, 1)}) == []


def test_a_missing_topic_is_told() -> None:
    existing = as_declared()
    del existing[FIRST.name]

    assert differences(WANTED, existing) == [f"{FIRST.name} is missing"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"partitions": 3}, "partitions is 3, declared 32"),
        ({"replicas": 2}, "replicas is 2, declared 1"),
        ({"settings": {**FIRST.topic_configs, "retention.ms": "1"}}, "retention.ms is 1, declared -1"),
        (
            {"settings": {**FIRST.topic_configs, "cleanup.policy": "compact"}},
            "cleanup.policy is compact, declared delete",
        ),
    ],
)
def test_a_difference_is_told_with_both_values(changed: dict[str, Any], said: str) -> None:
    existing = as_declared()
    existing[FIRST.name] = replace(existing[FIRST.name], **changed)

    assert differences(WANTED, existing) == [f"{FIRST.name}: {said}"]
