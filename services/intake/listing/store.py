"""The statements of the lists: a count, and the rows of a page."""

from typing import Any

from chassis.postgres import Transaction
from services.intake import store

# 保証契約一覧 at one surety. $1 contractor, $2 surety, $3 only what has arrived, $4 product, $5 from and $6 before (of
# the arrival, or of the application), $7 a part of the works' name: width, case and spaces make no difference
_SEARCHED = f"""
FROM ({store.PRODUCTS_AS_THEY_STAND}) AS listed
JOIN application ON application.id = listed.application_id
LEFT JOIN certificate ON certificate.certificate_id = listed.certificate_id
LEFT JOIN queued ON queued.application_id = listed.application_id
LEFT JOIN decided ON decided.application_id = listed.application_id
LEFT JOIN withdrawal ON withdrawal.application_id = listed.application_id
WHERE application.contractor_id = $1 AND application.surety_id = $2
    AND (NOT $3 OR listed.registered_at IS NOT NULL) AND ($4::text IS NULL OR listed.product = $4)
    AND ($5::timestamptz IS NULL OR CASE WHEN $3 THEN listed.registered_at ELSE application.submitted_at END >= $5)
    AND ($6::timestamptz IS NULL OR CASE WHEN $3 THEN listed.registered_at ELSE application.submitted_at END < $6)
    AND strpos(replace(lower(normalize(application.submitted->'works'->>'name', NFKC)), ' ', ''),
        replace(lower(normalize($7::text, NFKC)), ' ', '')) > 0
"""
COUNT_SEARCHED = f"SELECT count(*) {_SEARCHED}"
SELECT_SEARCHED = f"""
SELECT listed.*, application.submitted, certificate.content, queued.queued_at, decided.decided_at,
    withdrawal.answer AS withdrawal, application.withdrawal_requested_at {_SEARCHED}
ORDER BY CASE WHEN $3 THEN listed.registered_at END DESC, listed.application_id DESC, listed.product LIMIT $8 OFFSET $9
"""
# 保証料計算書一覧: what was accepted and has a number that may be shown. $1 contractor, $2 surety and $3 number, if any
_FEES = f"""
FROM ({store.PRODUCTS_AS_THEY_STAND}) AS listed
JOIN application ON application.id = listed.application_id
JOIN decided ON decided.application_id = listed.application_id
LEFT JOIN certificate ON certificate.certificate_id = listed.certificate_id
WHERE application.contractor_id = $1 AND ($2::text IS NULL OR application.surety_id = $2)
    AND ($3::text IS NULL OR listed.contract_number = $3)
    AND listed.outcome = 'accepted' AND listed.fee IS NOT NULL AND listed.contract_number IS NOT NULL
"""
COUNT_FEES = f"SELECT count(*) {_FEES}"
SELECT_FEES = f"""
SELECT listed.product, listed.contract_number, application.submitted, decided.decided_at, listed.fee,
    certificate.content {_FEES}
ORDER BY decided.decided_at DESC, listed.application_id DESC, listed.product LIMIT $4 OFFSET $5
"""


async def searched(tx: Transaction, wanted: tuple[Any, ...], *, page: int, rows_per_page: int) -> tuple[int, list[Any]]:
    """How many there are, and those of a page; `wanted` is $1 to $7 of the search."""
    count = int(await tx.fetchval(COUNT_SEARCHED, *wanted))
    return count, await tx.fetch(SELECT_SEARCHED, *wanted, rows_per_page, (page - 1) * rows_per_page)


async def fees(
    tx: Transaction, contractor_id: str, surety_id: str | None, number: str | None, *, page: int, rows_per_page: int
) -> tuple[int, list[Any]]:
    """As `searched`, of what has a fee."""
    wanted = (contractor_id, surety_id, number)
    count = int(await tx.fetchval(COUNT_FEES, *wanted))
    return count, await tx.fetch(SELECT_FEES, *wanted, rows_per_page, (page - 1) * rows_per_page)
