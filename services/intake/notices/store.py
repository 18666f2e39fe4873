"""The statements about what a contractor should hear of first. $1 contractor, $2 surety throughout."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Transaction

#: More than these are found in the list.
MOST = 5

# Returned, and not replaced by another application yet.
SELECT_RETURNED = """
SELECT application.id AS application_id, application.submitted->'works'->>'name' AS works_name,
    decided.decided_at AS at
FROM application JOIN decided ON decided.application_id = application.id
WHERE application.contractor_id = $1 AND application.surety_id = $2 AND EXISTS (
    SELECT 1 FROM product JOIN outcome USING (application_id, product)
    WHERE product.application_id = application.id AND product.active AND outcome.outcome = 'returned'
)
ORDER BY decided.decided_at DESC, application.id LIMIT $3
"""
# $4 since when: an old one is no news
SELECT_UNDELIVERABLE = """
SELECT application.id AS application_id, application.submitted->'works'->>'name' AS works_name,
    max(mail.told_at) AS at
FROM mail JOIN application ON application.id = mail.application_id
WHERE application.contractor_id = $1 AND application.surety_id = $2 AND mail.outcome = 'undeliverable'
    AND mail.told_at > $4
GROUP BY application.id ORDER BY 3 DESC, 1 LIMIT $3
"""
SELECT_UNSEEN = """
SELECT application.id AS application_id, application.submitted->'works'->>'name' AS works_name,
    max(message.sent_at) AS at
FROM message JOIN application ON application.id = message.application_id
WHERE application.contractor_id = $1 AND application.surety_id = $2
    AND message.direction = 'to_contractor' AND message.seen_at IS NULL
GROUP BY application.id ORDER BY 3 DESC, 1 LIMIT $3
"""


@dataclass(frozen=True)
class About:
    """One application that something is to be told about."""

    application_id: UUID
    works_name: str
    at: datetime


@dataclass(frozen=True)
class Notices:
    """Newest first."""

    returned: list[About]
    undeliverable: list[About]
    unseen: list[About]


async def of(tx: Transaction, contractor_id: str, surety_id: str, *, undeliverable_since: datetime) -> Notices:
    place = (contractor_id, surety_id, MOST)
    return Notices(
        returned=[About(**dict(row)) for row in await tx.fetch(SELECT_RETURNED, *place)],
        undeliverable=[About(**dict(row)) for row in await tx.fetch(SELECT_UNDELIVERABLE, *place, undeliverable_since)],
        unseen=[About(**dict(row)) for row in await tx.fetch(SELECT_UNSEEN, *place)],
    )
