"""Where records go that can never be taken, so that nothing is lost and the rest goes on.

A parked record keeps its bytes, key and headers; beside them stand the reason, the origin and how often it was
tried. It is written to the outbox in the transaction that skips it, so there is no moment at which it is in neither.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from aiokafka import ConsumerRecord

from chassis.decoding import ORIGIN_TOPIC
from chassis.metrics import EVENTS_PARKED
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from schemas import topics
from schemas.envelope import Message

PREFIX: Final = "akashi_"
ORIGIN_PARTITION: Final = "akashi_origin_partition"
ORIGIN_OFFSET: Final = "akashi_origin_offset"
ID: Final = "akashi_id"
REASON: Final = "akashi_reason"
ATTEMPTS: Final = "akashi_attempts"
PARKED_AT: Final = "akashi_parked_at"
#: On a note beside a letter, under its id: who settled it without giving it back, why and when.
SETTLED_BY: Final = "akashi_settled_by"
SETTLED_WHY: Final = "akashi_settled_why"
SETTLED_AT: Final = "akashi_settled_at"

_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:akashi:dead-letter")


def letter(record: ConsumerRecord, *, group: str, reason: str, now: datetime) -> Message:
    """The dead letter of one record. Parking the same record twice gives the same id."""
    redriven = record.topic == topics.redrive(group)
    # Marks that a redrive damaged count as lost: whatever a record says, it can be parked.
    known = {name: value for name, value in record.headers if redriven and name.startswith(PREFIX) and value}
    origin_topic = known.get(ORIGIN_TOPIC, record.topic.encode())
    origin_partition = known.get(ORIGIN_PARTITION, str(record.partition).encode())
    origin_offset = known.get(ORIGIN_OFFSET, str(record.offset).encode())
    attempts = _count(known.get(ATTEMPTS, b"")) + 1
    identity = b"|".join([group.encode(), origin_topic, origin_partition, origin_offset, str(attempts).encode()])
    return Message(
        topic=topics.dead_letters(group),
        key=record.key,
        # Clients can't send a record that has neither.
        value=b"" if record.key is None and record.value is None else record.value,
        headers=(
            *((name, value or b"") for name, value in record.headers if not name.startswith(PREFIX)),
            (ID, str(uuid.uuid5(_IDS, identity.hex())).encode()),
            (REASON, reason.encode()),
            (ORIGIN_TOPIC, origin_topic),
            (ORIGIN_PARTITION, origin_partition),
            (ORIGIN_OFFSET, origin_offset),
            (ATTEMPTS, str(attempts).encode()),
            (PARKED_AT, now.isoformat().encode()),
        ),
    )


def _count(mark: bytes) -> int:
    return int(mark) if mark.isdigit() and len(mark) < 10 else 0  # noqa: PLR2004 - longer ones are not ours


async def park(
    tx: Transaction, outbox: Outbox, records: Sequence[tuple[ConsumerRecord, str]], *, group: str, now: datetime
) -> None:
    """Park records with their reasons: one statement, durable with the caller's transaction."""
    await outbox.add_messages(tx, [letter(record, group=group, reason=reason, now=now) for record, reason in records])
    for _, reason in records:
        EVENTS_PARKED.labels(group, reason.split(":")[0]).inc()
