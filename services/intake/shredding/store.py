"""The statements about shredding."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Transaction

# With what an operator needs to see before it is too late. Of unsent drafts, those begun since may be copies.
SELECT_CONCERNED = """
SELECT application.id AS application_id, application.contractor_id, application.surety_id, application.submitted_at,
    application.submitted #>> '{works,name}' AS works_name,
    EXISTS (SELECT FROM decided WHERE decided.application_id = application.id)
        OR EXISTS (SELECT FROM withdrawal WHERE withdrawal.application_id = application.id AND answer = 'withdrawn')
        AS ended,
    (SELECT count(*) FROM draft WHERE draft.contractor_id = application.contractor_id
        AND draft.surety_id = application.surety_id AND draft.application_id IS NULL
        AND draft.began_at >= application.submitted_at) AS drafts
FROM application WHERE application.id = $1
"""
LOCK_CONCERNED = f"{SELECT_CONCERNED} FOR NO KEY UPDATE OF application"
# Who, when and why stay as they were noted first.
UPSERT_SHREDDING = """
INSERT INTO shredding (application_id, shredded_at, shredded_by, reason, tell_again_at, tell_until)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (application_id) DO UPDATE SET tell_again_at = excluded.tell_again_at, tell_until = excluded.tell_until
RETURNING application_id, shredded_at, shredded_by, reason
"""
DESTROY_KEY = """
UPDATE application SET wrapped_data_key = NULL WHERE id = $1 AND wrapped_data_key IS NOT NULL RETURNING id
"""
# $1 contractor, $2 surety, $3 submitted
DELETE_COPIES = """
DELETE FROM draft WHERE contractor_id = $1 AND surety_id = $2 AND application_id IS NULL AND began_at >= $3
"""
# A telephone number can be guessed from the hash of a body that is known but for it. Without the hash, a repeat under
# its key is refused as another request.
BLANK_FINGERPRINTS = """
UPDATE idempotency SET fingerprint = ''
WHERE contractor_id = $1 AND fingerprint <> '' AND (
    answer ->> 'application_id' = $2::uuid::text
    OR answer ->> 'message_id' IN (SELECT message_id::text FROM message WHERE message.application_id = $2))
"""
# A time beyond the next one was noted by a clock that was wrong. $1 now, $2 next time, $3 how many
TAKE_DUE = """
WITH due AS MATERIALIZED (
    SELECT application_id FROM shredding WHERE tell_again_at <= $1 OR tell_again_at > $2 ORDER BY tell_again_at LIMIT $3
    FOR UPDATE SKIP LOCKED)
UPDATE shredding SET tell_again_at = CASE WHEN $2 < tell_until THEN $2::timestamptz END
FROM due
WHERE shredding.application_id = due.application_id
RETURNING shredding.application_id
"""
SELECT_SHREDDINGS = """
SELECT application_id, shredded_at, shredded_by, reason FROM shredding ORDER BY shredded_at, application_id
"""
SELECT_KEEPS = "SELECT wrapped_data_key IS NOT NULL FROM application WHERE id = $1"


@dataclass(frozen=True)
class Concerned:
    """An application, as far as its shredding goes."""

    application_id: UUID
    contractor_id: str
    surety_id: str
    works_name: str
    submitted_at: datetime
    #: Decided or withdrawn: nobody needs to ask its contact any more.
    ended: bool
    #: Drafts of the same contractor at the same surety that were begun since and not sent: each may be a copy.
    drafts: int


@dataclass(frozen=True)
class Shredding:
    """A row of `shredding`."""

    application_id: UUID
    shredded_at: datetime
    shredded_by: str
    reason: str


async def concerned(tx: Transaction, application_id: UUID, *, lock: bool = False) -> Concerned | None:
    row = await tx.fetchrow(LOCK_CONCERNED if lock else SELECT_CONCERNED, application_id)
    return None if row is None else Concerned(**dict(row))


async def note(
    tx: Transaction,
    application_id: UUID,
    *,
    now: datetime,
    by: str,
    reason: str,
    tell_again_at: datetime,
    tell_until: datetime,
) -> Shredding:
    """Note who had it shredded and why; what was noted first stands."""
    row = await tx.fetchrow(UPSERT_SHREDDING, application_id, now, by, reason, tell_again_at, tell_until)
    assert row is not None
    return Shredding(**dict(row))


async def destroy_key(tx: Transaction, application_id: UUID) -> bool:
    """Remove intake's own wrapped copy; False when it was gone."""
    return await tx.fetchval(DESTROY_KEY, application_id) is not None


async def delete_copies(tx: Transaction, application: Concerned) -> None:
    """Delete the drafts that `Concerned.drafts` counts."""
    await tx.execute(DELETE_COPIES, application.contractor_id, application.surety_id, application.submitted_at)


async def blank_fingerprints(tx: Transaction, application: Concerned) -> None:
    await tx.execute(BLANK_FINGERPRINTS, application.contractor_id, application.application_id)


async def take_due(tx: Transaction, *, now: datetime, next_at: datetime, limit: int) -> list[UUID]:
    """Those whose tombstone is due once more; their next time is noted."""
    return [row["application_id"] for row in await tx.fetch(TAKE_DUE, now, next_at, limit)]


async def all_(tx: Transaction) -> list[Shredding]:
    """Oldest first."""
    return [Shredding(**dict(row)) for row in await tx.fetch(SELECT_SHREDDINGS)]


async def keeps_key(tx: Transaction, application_id: UUID) -> bool | None:
    """Whether intake can still open the application's personal data; None for an unknown one."""
    kept: bool | None = await tx.fetchval(SELECT_KEEPS, application_id)
    return kept
