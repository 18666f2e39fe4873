"""The statements about messages."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from uuid import UUID

from chassis.postgres import Transaction, unless_done_meanwhile

INSERT_MESSAGES = """
INSERT INTO message (message_id, application_id, direction, sent_at, sent_by, person, data_key_id, nonce, ciphertext)
SELECT message_id, application_id, direction, sent_at, sent_by, person, data_key_id, nonce, ciphertext
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[], $6::text[], $7::uuid[], $8::bytea[],
    $9::bytea[])
    AS m (message_id, application_id, direction, sent_at, sent_by, person, data_key_id, nonce, ciphertext)
ORDER BY message_id
ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
"""
SELECT_MESSAGES = """
SELECT message_id, application_id, direction, sent_at, sent_by, person, data_key_id, nonce, ciphertext
FROM message WHERE application_id = $1 ORDER BY sent_at, message_id
"""
MARK_SEEN = """
UPDATE message SET seen_at = $2 WHERE application_id = $1 AND direction = 'to_contractor' AND seen_at IS NULL
"""


@dataclass(frozen=True)
class Message:
    """A row of `message`: the text is sealed."""

    message_id: UUID
    application_id: UUID
    #: `to_surety` or `to_contractor`
    direction: str
    sent_at: datetime
    sent_by: UUID
    person: str | None
    data_key_id: UUID
    nonce: bytes
    ciphertext: bytes


async def add(tx: Transaction, messages: Sequence[Message]) -> set[UUID]:
    """Keep messages and return the ids of those that were not known before."""
    columns = (list(column) for column in zip(*map(astuple, messages), strict=True))
    return {row["message_id"] for row in await tx.fetch(INSERT_MESSAGES, *columns)}


async def of(tx: Transaction, application_id: UUID) -> list[Message]:
    """Oldest first."""
    names = [field.name for field in fields(Message)]
    return [Message(*(row[name] for name in names)) for row in await tx.fetch(SELECT_MESSAGES, application_id)]


async def mark_seen(tx: Transaction, application_id: UUID, now: datetime) -> None:
    # Two may read at once: one of them is enough.
    async with unless_done_meanwhile(tx):
        await tx.execute(MARK_SEEN, application_id, now)
