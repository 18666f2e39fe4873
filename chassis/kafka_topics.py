"""Makes the topics that `schemas.topics` declares. A repeat changes nothing."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from chassis.kafka import KafkaAccess
from schemas import topics

TOPIC_ALREADY_EXISTS = 36
#: A century. The time that tombstones stay cannot be endless.
FOR_EVER_MS = 100 * 365 * 24 * 3600 * 1000


def declared(replication_factor: int) -> list[NewTopic]:
    """Every topic with its settings, for a cluster of so many replicas."""
    durable = {
        "min.insync.replicas": str(max(1, replication_factor - 1)),
        "retention.bytes": "-1",
        # Whatever a producer packs, the broker unpacks: the limit is of what readers get, who need no library for it.
        "compression.type": "uncompressed",
    }
    business = [
        NewTopic(
            topic.name,
            topic.partitions,
            replication_factor,
            topic_configs={
                **durable,
                # Business topics are the audit trail: they keep every message for ever.
                "cleanup.policy": "compact" if topic.compacted else "delete",
                "retention.ms": "-1",
                **(_compaction(topic) if topic.compacted else {}),
                "max.message.bytes": str(topic.max_message_bytes),
            },
        )
        for topic in topics.BUSINESS
    ]
    own = [
        NewTopic(
            name,
            topics.OWN_TOPIC_PARTITIONS,
            replication_factor,
            topic_configs={
                **durable,
                "cleanup.policy": "delete",
                "retention.ms": "-1",
                "max.message.bytes": str(topics.MAX_DEAD_LETTER_BYTES),
            },
        )
        for group in topics.GROUPS
        for name in (topics.dead_letters(group), topics.redrive(group))
    ]
    return [*business, *own]


def _compaction(topic: topics.Topic) -> dict[str, str]:
    """What makes an erased value leave the broker's files in time, whatever else is written.

    A segment is closed by the next record after `segment.ms`, and only closed ones are rewritten: a partition of which
    nobody writes keeps its last segment as it is. Who erases therefore tells the tombstone again.
    """
    within = str(int(topic.compacted_within.total_seconds() * 1000))
    return {
        "segment.ms": within,
        # However little there is to win.
        "max.compaction.lag.ms": within,
        "min.cleanable.dirty.ratio": "0.1",
        # A reader that was away, or begins anew, learns what to forget, however late.
        "delete.retention.ms": str(FOR_EVER_MS),
    }


async def ensure_topics(kafka: KafkaAccess) -> list[str]:
    """Create what is missing and return its names. Three replicas where there are three brokers, else one."""
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        wanted = declared(3 if len(cluster["brokers"]) >= 3 else 1)  # noqa: PLR2004 - RF 3 needs three
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            answer = await admin.create_topics(missing)
            for name, code, message in answer.topic_errors:
                if code not in (0, TOPIC_ALREADY_EXISTS):
                    raise for_code(code)(f"{name}: {message}")
        return [topic.name for topic in missing]
    finally:
        await admin.close()
