"""Every SQL statement of the issuer. Each takes any number of rows; rows are sorted by key against deadlocks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from chassis.decoding import Received
from chassis.postgres import Transaction
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped

#: (surety id, contractor id)
Party = tuple[str, str]
#: (surety id, branch id, fiscal year)
Series = tuple[str, str, int]

# $1 ids, $2 sureties, $3 contractors, $4 events as JSON, $5 correlation ids, $6 traceparents
INSERT_APPLICATIONS = """
INSERT INTO application (id, surety_id, contractor_id, status, submitted, correlation_id, traceparent)
SELECT id, surety_id, contractor_id, 'queued', submitted::jsonb, correlation_id, traceparent
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS a (id, surety_id, contractor_id, submitted, correlation_id, traceparent)
ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING id
"""
# Locks the rows until the transaction ends, so that two applications of one contractor count one after the other.
LOCK_EXPOSURES = """
INSERT INTO exposure (surety_id, contractor_id, accepted_yen)
SELECT surety_id, contractor_id, 0
FROM unnest($1::text[], $2::text[]) AS e (surety_id, contractor_id)
ORDER BY surety_id, contractor_id
ON CONFLICT (surety_id, contractor_id) DO UPDATE SET accepted_yen = exposure.accepted_yen
RETURNING surety_id, contractor_id, accepted_yen
"""
ADD_EXPOSURES = """
UPDATE exposure SET accepted_yen = exposure.accepted_yen + e.yen
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS e (surety_id, contractor_id, yen)
WHERE exposure.surety_id = e.surety_id AND exposure.contractor_id = e.contractor_id
"""
DRAW_NUMBERS = """
INSERT INTO number_series (surety_id, branch_id, fiscal_year, drawn)
SELECT surety_id, branch_id, fiscal_year, wanted
FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[]) AS s (surety_id, branch_id, fiscal_year, wanted)
ORDER BY surety_id, branch_id, fiscal_year
ON CONFLICT (surety_id, branch_id, fiscal_year) DO UPDATE SET drawn = number_series.drawn + excluded.drawn
RETURNING surety_id, branch_id, fiscal_year, drawn
"""
INSERT_GUARANTEES = """
INSERT INTO guarantee (contract_number, version, change_number, application_id, product, surety_id, contractor_id, form,
    amount_yen, issued_at, certificate_id, content, content_sha256, key_digest, pepper_id)
SELECT contract_number, 1, 0, application_id, product, surety_id, contractor_id, form,
    amount_yen, issued_at, certificate_id, content::jsonb, content_sha256, key_digest, pepper_id
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[],
    $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[])
    AS g (contract_number, application_id, product, surety_id, contractor_id, form, amount_yen, issued_at,
    certificate_id, content, content_sha256, key_digest, pepper_id)
"""
UPDATE_QUEUED = """
UPDATE application SET queued_at = q.queued_at, findings = q.findings::jsonb
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS q (id, queued_at, findings)
WHERE application.id = q.id
"""
UPDATE_DECIDED = """
UPDATE application SET status = 'decided', decided_at = d.decided_at
FROM unnest($1::uuid[], $2::timestamptz[]) AS d (id, decided_at)
WHERE application.id = d.id
"""
UPDATE_BY_DESK = "UPDATE application SET decided_by = $2, desk_outcome = $3 WHERE id = $1"
LOCK_APPLICATIONS = """
SELECT id, status, withdrawal FROM application WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""
UPDATE_WITHDRAWALS = """
UPDATE application SET withdrawal = w.withdrawal,
    status = CASE w.withdrawal WHEN 'withdrawn' THEN 'withdrawn' ELSE application.status END
FROM unnest($1::uuid[], $2::text[]) AS w (id, withdrawal)
WHERE application.id = w.id
"""
UPSERT_DATA_KEYS = """
INSERT INTO data_key (application_id, data_key_id, wrapped)
SELECT application_id, data_key_id, wrapped
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS k (application_id, data_key_id, wrapped)
ORDER BY application_id
ON CONFLICT (application_id) DO NOTHING
"""
DELETE_DATA_KEYS = "DELETE FROM data_key WHERE application_id::text = ANY($1::text[])"

# $1 id, $2 surety id: staff see their surety only
LOCK_ONE = """
SELECT id, status, submitted, correlation_id, traceparent, desk_outcome, decided_at
FROM application WHERE id = $1 AND surety_id = $2 FOR UPDATE
"""
SELECT_ONE = """
SELECT application.id, status, submitted, findings, queued_at, decided_at, decided_by, desk_outcome, withdrawal,
    data_key.wrapped AS data_key
FROM application LEFT JOIN data_key ON data_key.application_id = application.id
WHERE application.id = $1 AND surety_id = $2
"""
SELECT_QUEUE = """
SELECT id, submitted, findings, queued_at FROM application
WHERE surety_id = $1 AND status = 'queued' AND ($2::uuid IS NULL OR id > $2)
ORDER BY id LIMIT $3
"""
SELECT_TO_PRINT = """
SELECT certificate_id, contract_number, application_id, product, amount_yen, issued_at, content FROM guarantee
WHERE surety_id = $1 AND form = 'paper' AND printed_at IS NULL AND ($2::uuid IS NULL OR certificate_id > $2)
ORDER BY certificate_id LIMIT $3
"""
UPDATE_PRINTED = """
UPDATE guarantee SET printed_at = coalesce(printed_at, $3)
WHERE contract_number = $1 AND surety_id = $2 AND form = 'paper'
RETURNING printed_at
"""


@dataclass(frozen=True)
class Guarantee:
    """A row of `guarantee`."""

    contract_number: str
    application_id: UUID
    product: str
    surety_id: str
    contractor_id: str
    form: str
    amount_yen: int
    issued_at: datetime
    certificate_id: UUID
    content: str
    content_sha256: str
    key_digest: str | None
    pepper_id: str | None


async def add_applications(tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]]) -> set[UUID]:
    """Record applications and return the ids of those that were not known before."""
    rows = await tx.fetch(
        INSERT_APPLICATIONS,
        [received.event.application_id for received in batch],
        [received.event.surety_id for received in batch],
        [received.event.contractor.id for received in batch],
        [received.event.model_dump_json() for received in batch],
        [received.cause.correlation_id for received in batch],
        [received.cause.traceparent for received in batch],
    )
    return {row["id"] for row in rows}


async def lock_exposures(tx: Transaction, parties: Iterable[Party]) -> dict[Party, int]:
    """What each contractor's guarantees add up to, in yen, held until the transaction ends."""
    wanted = sorted(set(parties))
    rows = await tx.fetch(LOCK_EXPOSURES, [party[0] for party in wanted], [party[1] for party in wanted])
    return {(row["surety_id"], row["contractor_id"]): row["accepted_yen"] for row in rows}


async def add_exposures(tx: Transaction, yen: Mapping[Party, int]) -> None:
    await tx.execute(ADD_EXPOSURES, [p[0] for p in yen], [p[1] for p in yen], list(yen.values()))


async def draw_numbers(tx: Transaction, wanted: Mapping[Series, int]) -> dict[Series, int]:
    """Draw so many numbers of each series; the answer is how many were drawn before, so the next one is that plus 1."""
    rows = await tx.fetch(
        DRAW_NUMBERS,
        [series[0] for series in wanted],
        [series[1] for series in wanted],
        [series[2] for series in wanted],
        list(wanted.values()),
    )
    drawn = {(row["surety_id"], row["branch_id"], row["fiscal_year"]): row["drawn"] for row in rows}
    return {series: drawn[series] - count for series, count in wanted.items()}


async def add_guarantees(tx: Transaction, guarantees: Sequence[Guarantee]) -> None:
    await tx.execute(
        INSERT_GUARANTEES,
        [g.contract_number for g in guarantees],
        [g.application_id for g in guarantees],
        [g.product for g in guarantees],
        [g.surety_id for g in guarantees],
        [g.contractor_id for g in guarantees],
        [g.form for g in guarantees],
        [g.amount_yen for g in guarantees],
        [g.issued_at for g in guarantees],
        [g.certificate_id for g in guarantees],
        [g.content for g in guarantees],
        [g.content_sha256 for g in guarantees],
        [g.key_digest for g in guarantees],
        [g.pepper_id for g in guarantees],
    )


async def set_queued(tx: Transaction, queued: Sequence[tuple[UUID, datetime, str]]) -> None:
    """Rows of (application id, when, findings as JSON)."""
    await tx.execute(UPDATE_QUEUED, [q[0] for q in queued], [q[1] for q in queued], [q[2] for q in queued])


async def set_decided(tx: Transaction, decided: Sequence[tuple[UUID, datetime]]) -> None:
    await tx.execute(UPDATE_DECIDED, [d[0] for d in decided], [d[1] for d in decided])


async def set_decided_by(tx: Transaction, application_id: UUID, account_id: UUID, outcome: str) -> None:
    await tx.execute(UPDATE_BY_DESK, application_id, account_id, outcome)


async def lock_applications(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, Record]:
    return {row["id"]: row for row in await tx.fetch(LOCK_APPLICATIONS, list(ids))}


async def set_withdrawals(tx: Transaction, answers: Mapping[UUID, str]) -> None:
    await tx.execute(UPDATE_WITHDRAWALS, list(answers), list(answers.values()))


async def add_data_keys(tx: Transaction, batch: Sequence[tuple[DataKeyWrapped, bytes]]) -> None:
    await tx.execute(
        UPSERT_DATA_KEYS,
        [event.application_id for event, _ in batch],
        [event.data_key_id for event, _ in batch],
        [wrapped for _, wrapped in batch],
    )


async def forget_data_keys(tx: Transaction, application_ids: Sequence[str]) -> None:
    await tx.execute(DELETE_DATA_KEYS, list(application_ids))


async def lock_one(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    return await tx.fetchrow(LOCK_ONE, application_id, surety_id)


async def one(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    return await tx.fetchrow(SELECT_ONE, application_id, surety_id)


async def queue(tx: Transaction, surety_id: str, after: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(SELECT_QUEUE, surety_id, after, limit)


async def to_print(tx: Transaction, surety_id: str, after: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(SELECT_TO_PRINT, surety_id, after, limit)


async def set_printed(tx: Transaction, contract_number: str, surety_id: str, now: datetime) -> Any:
    """When it was first marked as printed; None when there is no such paper certificate of this surety."""
    return await tx.fetchval(UPDATE_PRINTED, contract_number, surety_id, now)
