"""Every SQL statement by which the desk, and its programs, look at something: nothing is locked or changed."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.postgres import Transaction
from services.issuer.searching import Terms
from services.issuer.store import Row

_APPLICATION = """
SELECT application.id, status, submitted, findings, queued_at, decided_at, decided_by, decider, desk_outcome,
    desk_message, outcomes, withdrawal, data_key.wrapped AS data_key, proposal.outcome AS proposed,
    proposal.message AS proposed_message, proposal.proposed_by, proposal.proposer, proposal.proposed_at,
    ARRAY(
        SELECT contract_number FROM guarantee WHERE guarantee.application_id = application.id ORDER BY contract_number
    ) AS contract_numbers
FROM application LEFT JOIN data_key ON data_key.application_id = application.id
LEFT JOIN proposal ON proposal.application_id = application.id
"""
SELECT_ONE = f"{_APPLICATION} WHERE application.id = $1 AND surety_id = $2"
SELECT_GUARANTEES_OF = """
SELECT product, contract_number, amount_yen, fee, printed_at FROM guarantee
WHERE application_id = $1 ORDER BY product, version
"""
SELECT_REJECTIONS = """
SELECT outcome, proposer, proposed_at, person, rejected_at, message FROM rejection WHERE application_id = $1 ORDER BY id
"""
SELECT_MESSAGES = """
SELECT message_id, direction, sent_at, sent_by, person, nonce, ciphertext FROM message
WHERE application_id = $1 ORDER BY sent_at, message_id
"""
# $1 surety, $2 product, or all
_WAITS = """surety_id = $1 AND status = 'queued'
    AND ($2::text IS NULL OR submitted -> 'products' @> jsonb_build_array(jsonb_build_object('product', $2::text)))"""
# $3 whether somebody proposed, $4 since when and $5 id of the last one seen, $6 limit
SELECT_QUEUE = f"""{_APPLICATION} WHERE {_WAITS}
    AND ($3::boolean IS NULL OR (proposal.application_id IS NOT NULL) = $3)
    AND ($4::timestamptz IS NULL OR (queued_at, application.id) > ($4, $5::uuid))
ORDER BY queued_at, application.id LIMIT $6
"""
COUNT_QUEUE = f"""SELECT count(*) AS waiting, count(proposal.application_id) AS proposed
FROM application LEFT JOIN proposal ON proposal.application_id = application.id WHERE {_WAITS}"""
# A part of a name is looked for in one application of the surety after the other, newest first, until the page is full:
# what is nowhere costs a look at each, 80 ms for 100,000 of them. Without pg_trgm no index helps there.
# Numbers and ids have indexes; a whole one is answered by them alone, `$2` being null.
# $1 surety, $2 part of a name, $3 to $4 contract numbers, $5 to $6 ids, $7 status, $8 last id seen, $9 limit
SEARCH = f"""{_APPLICATION}
WHERE surety_id = $1 AND ($7::text IS NULL OR status = $7) AND ($8::uuid IS NULL OR application.id < $8)
    AND (
        ($2::text IS NOT NULL AND strpos(search_text, (SELECT searchable($2::text))) > 0)
        OR application.id = ANY(
            ARRAY(SELECT application_id FROM guarantee WHERE contract_number BETWEEN $3::text AND $4::text)
        )
        OR application.id BETWEEN $5::uuid AND $6::uuid
    )
ORDER BY application.id DESC LIMIT $9
"""
_PAPER = """
SELECT certificate_id, contract_number, application_id, product, amount_yen, issued_at, content, printed_at
FROM guarantee WHERE surety_id = $1 AND form = 'paper'"""
SELECT_TO_PRINT = f"""{_PAPER} AND printed_at IS NULL AND ($2::uuid IS NULL OR certificate_id > $2)
ORDER BY certificate_id LIMIT $3"""
SELECT_PAPER = f"{_PAPER} AND contract_number = $2 ORDER BY version DESC LIMIT 1"


async def one(tx: Transaction, application_id: UUID, surety_id: str) -> Row | None:
    return await tx.fetchrow(SELECT_ONE, application_id, surety_id)


async def guarantees_of(tx: Transaction, application_id: UUID) -> list[Row]:
    return await tx.fetch(SELECT_GUARANTEES_OF, application_id)


async def rejections(tx: Transaction, application_id: UUID) -> list[Row]:
    return await tx.fetch(SELECT_REJECTIONS, application_id)


async def messages(tx: Transaction, application_id: UUID) -> list[Row]:
    return await tx.fetch(SELECT_MESSAGES, application_id)


async def queue(
    tx: Transaction, surety_id: str, product: str | None, *, proposed: bool | None, after: Sequence[Any], limit: int
) -> list[Row]:
    return await tx.fetch(SELECT_QUEUE, surety_id, product, proposed, *after, limit)


async def count_queue(tx: Transaction, surety_id: str, product: str | None) -> Row | None:
    return await tx.fetchrow(COUNT_QUEUE, surety_id, product)


async def search(
    tx: Transaction, surety_id: str, terms: Terms, *, status: str | None, after: UUID | None, limit: int
) -> list[Row]:
    return await tx.fetch(SEARCH, surety_id, terms.text, *terms.numbers, *terms.ids, status, after, limit)


async def to_print(tx: Transaction, surety_id: str, after: UUID | None, limit: int) -> list[Row]:
    return await tx.fetch(SELECT_TO_PRINT, surety_id, after, limit)


async def paper(tx: Transaction, surety_id: str, contract_number: str) -> Row | None:
    return await tx.fetchrow(SELECT_PAPER, surety_id, contract_number)
