"""The statements about drafts. A draft is found by its id, its contractor and its surety, or not at all."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Transaction

# $1 id, $2 contractor, $3 surety, $4 when, $5 who, $6 nonce, $7 ciphertext. Touches no other's draft, and none that
# was sent.
UPSERT_DRAFT = """
INSERT INTO draft (id, contractor_id, surety_id, began_at, saved_at, saved_by, nonce, ciphertext)
VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET saved_at = $4, saved_by = $5, nonce = $6, ciphertext = $7
WHERE draft.contractor_id = $2 AND draft.surety_id = $3 AND draft.application_id IS NULL
RETURNING id
"""
SELECT_DRAFT = """
SELECT draft.id, saved_at, account.person, nonce, ciphertext, application_id
FROM draft JOIN account ON account.id = draft.saved_by
WHERE draft.id = $1 AND contractor_id = $2 AND surety_id = $3
"""
# Waits for whoever is just sending it.
LOCK_DRAFT = """
SELECT draft.id, saved_at, account.person, nonce, ciphertext, application_id
FROM draft JOIN account ON account.id = draft.saved_by
WHERE draft.id = $1 AND contractor_id = $2 AND surety_id = $3 FOR UPDATE OF draft
"""
SELECT_DRAFTS = """
SELECT draft.id, saved_at, account.person, nonce, ciphertext, application_id
FROM draft JOIN account ON account.id = draft.saved_by
WHERE contractor_id = $1 AND surety_id = $2 AND application_id IS NULL
ORDER BY saved_at DESC, draft.id LIMIT $3
"""
COUNT_DRAFTS = """
SELECT count(*) FROM draft WHERE contractor_id = $1 AND surety_id = $2 AND application_id IS NULL
"""
CONSUME_DRAFT = "UPDATE draft SET application_id = $2, nonce = NULL, ciphertext = NULL WHERE id = $1"
DELETE_DRAFT = """
DELETE FROM draft WHERE id = $1 AND contractor_id = $2 AND surety_id = $3 AND application_id IS NULL
"""


@dataclass(frozen=True)
class Row:
    """A row of `draft`. What was typed is gone once it is an application."""

    id: UUID
    saved_at: datetime
    #: Who saved it, by name.
    person: str
    nonce: bytes | None
    ciphertext: bytes | None
    application_id: UUID | None


@dataclass(frozen=True)
class Place:
    """Whose drafts, at which surety."""

    contractor_id: str
    surety_id: str


async def save(
    tx: Transaction, draft_id: UUID, place: Place, *, now: datetime, account_id: UUID, nonce: bytes, ciphertext: bytes
) -> bool:
    """Keep a draft, new or again; False when it was sent before, or is not this contractor's."""
    return (
        await tx.fetchval(
            UPSERT_DRAFT, draft_id, place.contractor_id, place.surety_id, now, account_id, nonce, ciphertext
        )
        is not None
    )


async def find(tx: Transaction, draft_id: UUID, place: Place, *, lock: bool = False) -> Row | None:
    row = await tx.fetchrow(LOCK_DRAFT if lock else SELECT_DRAFT, draft_id, place.contractor_id, place.surety_id)
    return None if row is None else Row(**dict(row))


async def newest(tx: Transaction, place: Place, limit: int) -> tuple[int, list[Row]]:
    """How many wait to be sent, and the newest of them."""
    count = int(await tx.fetchval(COUNT_DRAFTS, place.contractor_id, place.surety_id))
    rows = await tx.fetch(SELECT_DRAFTS, place.contractor_id, place.surety_id, limit)
    return count, [Row(**dict(row)) for row in rows]


async def consume(tx: Transaction, draft_id: UUID, application_id: UUID) -> None:
    await tx.execute(CONSUME_DRAFT, draft_id, application_id)


async def delete(tx: Transaction, draft_id: UUID, place: Place) -> None:
    await tx.execute(DELETE_DRAFT, draft_id, place.contractor_id, place.surety_id)
