"""Every SQL statement with which the issuer works; `reading.store` has what is only looked at.

Each takes any number of rows; rows are sorted by key against deadlocks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from asyncpg import Record

from chassis.decoding import Received
from chassis.postgres import Transaction
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import DeskDecisionMade

#: (surety id, contractor id)
Party = tuple[str, str]
#: (surety id, branch id, fiscal year)
Series = tuple[str, str, int]
Row: TypeAlias = Record

# $1 ids, $2 sureties, $3 contractors, $4 events as JSON, $5 correlation ids, $6 traceparents; then `Standing`
INSERT_APPLICATIONS = """
INSERT INTO application (id, surety_id, contractor_id, submitted, correlation_id, traceparent,
    queued_at, findings, decided_at, outcomes, desk_message, status)
SELECT id, surety_id, contractor_id, submitted::jsonb, correlation_id, traceparent,
    queued_at, findings::jsonb, decided_at, outcomes::jsonb, message,
    CASE WHEN decided_at IS NULL THEN 'queued' ELSE 'decided' END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::timestamptz[], $8::text[], $9::timestamptz[], $10::text[], $11::text[])
    AS a (id, surety_id, contractor_id, submitted, correlation_id, traceparent,
    queued_at, findings, decided_at, outcomes, message)
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
    amount_yen, issued_at, certificate_id, content, content_sha256, key_digest, pepper_id, fee)
SELECT contract_number, 1, 0, application_id, product, surety_id, contractor_id, form,
    amount_yen, issued_at, certificate_id, content::jsonb, content_sha256, key_digest, pepper_id, fee::jsonb
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[],
    $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])  -- the fields of `Guarantee`
    AS g (contract_number, application_id, product, surety_id, contractor_id, form, amount_yen, issued_at,
    certificate_id, content, content_sha256, key_digest, pepper_id, fee)
"""
UPDATE_QUEUED = """
UPDATE application SET queued_at = q.queued_at, findings = q.findings::jsonb
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS q (id, queued_at, findings)
WHERE application.id = q.id
"""
UPDATE_DECIDED = """
UPDATE application SET status = 'decided', decided_at = d.decided_at, outcomes = d.outcomes::jsonb,
    desk_message = d.message
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS d (id, decided_at, outcomes, message)
WHERE application.id = d.id
"""
UPDATE_BY_DESK = "UPDATE application SET decided_by = $2, decider = $3, desk_outcome = $4 WHERE id = $1"
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
INSERT INTO known_data_key (application_id, data_key_id, wrapped)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) ORDER BY 1 ON CONFLICT (application_id) DO NOTHING
"""
UPSERT_SHREDDED = """
INSERT INTO known_data_key (application_id, shredded_at) SELECT id, now() FROM unnest($1::uuid[]) AS s (id) ORDER BY id
ON CONFLICT (application_id) DO UPDATE SET data_key_id = NULL, wrapped = NULL, shredded_at = now()
"""

DELETE_PROPOSALS = "DELETE FROM proposal WHERE application_id = ANY($1::uuid[])"
SELECT_KNOWN = "SELECT id FROM application WHERE id = ANY($1::uuid[])"
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

SELECT_MESSAGE = "SELECT nonce, ciphertext FROM message WHERE message_id = $1"

# $1 id, $2 surety id: staff see their surety only
LOCK_ONE = """
SELECT id, status, submitted, correlation_id, traceparent, desk_outcome, desk_message, decided_at, decided_by, decider
FROM application WHERE id = $1 AND surety_id = $2 FOR UPDATE
"""
# Asked after the application is locked, in a statement of its own: a join in the locking one would be of the time
# before it waited.
# What was approved stays, and the application waits no more.
SELECT_PROPOSAL = """
SELECT outcome, message, proposed_by, proposer, proposed_at FROM proposal WHERE application_id = $1
"""
INSERT_PROPOSAL = """
INSERT INTO proposal (application_id, outcome, message, proposed_by, proposer, proposed_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
# $1 application, $2 who rejected, $3 by name, $4 when, $5 why
REJECT_PROPOSAL = """
WITH rejected AS (DELETE FROM proposal WHERE application_id = $1 RETURNING *)
INSERT INTO rejection (application_id, outcome, proposed_by, proposer, proposed_at, rejected_by, person, rejected_at,
    message)
SELECT application_id, outcome, proposed_by, proposer, proposed_at, $2, $3, $4, $5 FROM rejected
"""
SELECT_DATA_KEY = """
SELECT correlation_id, traceparent, data_key.data_key_id, data_key.wrapped
FROM application LEFT JOIN data_key ON data_key.application_id = application.id
WHERE application.id = $1 AND surety_id = $2
"""
UPDATE_PRINTED = """
UPDATE guarantee SET printed_at = coalesce(printed_at, $3)
WHERE contract_number = $1 AND surety_id = $2 AND form = 'paper'
RETURNING printed_at
"""


@dataclass(frozen=True)
class Standing:
    """What the rules made of an application: it waits since a time, or is decided since one."""

    queued_at: datetime | None = None
    #: JSON of `schemas.decisions.Finding`s
    findings: str = "[]"
    decided_at: datetime | None = None
    #: JSON of `schemas.decisions.ProductOutcome`s
    outcomes: str | None = None
    #: of the decision, to the contractor
    message: str = ""


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
    #: JSON of `schemas.decisions.Fee`; None for what was issued before there were rates
    fee: str | None


@dataclass(frozen=True)
class Proposal:
    """A row of `proposal`, without its application."""

    outcome: str
    message: str
    proposed_by: UUID
    proposer: str
    proposed_at: datetime


@dataclass(frozen=True)
class Message:
    """A row of `message`: the text is sealed."""

    message_id: UUID
    application_id: UUID
    direction: str
    sent_at: datetime
    sent_by: UUID
    person: str | None
    data_key_id: UUID
    nonce: bytes
    ciphertext: bytes


async def add_applications(
    tx: Transaction, taken: Sequence[tuple[Received[ApplicationSubmitted], Standing]]
) -> set[UUID]:
    """Record applications as told, fields of a newer release too, and return the ids of those not known before."""
    rows = await tx.fetch(
        INSERT_APPLICATIONS,
        [received.event.application_id for received, _ in taken],
        [received.event.surety_id for received, _ in taken],
        [received.event.contractor.id for received, _ in taken],
        [(received.record.value or b"").decode() for received, _ in taken],
        [received.cause.correlation_id for received, _ in taken],
        [received.cause.traceparent for received, _ in taken],
        *([getattr(standing, field.name) for _, standing in taken] for field in fields(Standing)),
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
    await tx.execute(INSERT_GUARANTEES, *([getattr(g, field.name) for g in guarantees] for field in fields(Guarantee)))


async def set_queued(tx: Transaction, queued: Mapping[UUID, Standing]) -> None:
    standings = queued.values()
    await tx.execute(UPDATE_QUEUED, list(queued), [s.queued_at for s in standings], [s.findings for s in standings])


async def set_decided(tx: Transaction, decided: Mapping[UUID, Standing]) -> None:
    standings = decided.values()
    columns = ([getattr(s, name) for s in standings] for name in ("decided_at", "outcomes", "message"))
    await tx.execute(UPDATE_DECIDED, list(decided), *columns)


async def set_decided_by(tx: Transaction, made: DeskDecisionMade) -> None:
    await tx.execute(UPDATE_BY_DESK, made.application_id, made.decided_by, made.person, made.outcome)


async def lock_applications(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, Record]:
    return {row["id"]: row for row in await tx.fetch(LOCK_APPLICATIONS, list(ids))}


async def set_withdrawals(tx: Transaction, answers: Mapping[UUID, str]) -> None:
    await tx.execute(UPDATE_WITHDRAWALS, list(answers), list(answers.values()))


async def add_data_keys(tx: Transaction, batch: Sequence[tuple[DataKeyWrapped, bytes]]) -> None:
    rows = [(event.application_id, event.data_key_id, wrapped) for event, wrapped in batch]
    await tx.execute(UPSERT_DATA_KEYS, *([row[column] for row in rows] for column in range(3)))


async def forget_data_keys(tx: Transaction, application_ids: Collection[UUID]) -> None:
    await tx.execute(UPSERT_SHREDDED, list(application_ids))


async def lock_one(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    return await tx.fetchrow(LOCK_ONE, application_id, surety_id)


async def proposal_of(tx: Transaction, application_id: UUID) -> Proposal | None:
    row = await tx.fetchrow(SELECT_PROPOSAL, application_id)
    return Proposal(**row) if row else None


async def add_proposal(tx: Transaction, application_id: UUID, proposal: Proposal) -> None:
    await tx.execute(INSERT_PROPOSAL, application_id, *astuple(proposal))


async def reject_proposal(
    tx: Transaction, application_id: UUID, *, rejected_by: UUID, person: str, rejected_at: datetime, message: str
) -> None:
    """Put a proposal among those that came to nothing."""
    await tx.execute(REJECT_PROPOSAL, application_id, rejected_by, person, rejected_at, message)


async def remove_proposals(tx: Transaction, application_ids: Iterable[UUID]) -> None:
    await tx.execute(DELETE_PROPOSALS, list(application_ids))


async def known(tx: Transaction, ids: Iterable[UUID]) -> set[UUID]:
    return {row["id"] for row in await tx.fetch(SELECT_KNOWN, list(ids))}


async def add_messages(tx: Transaction, messages: Sequence[Message]) -> set[UUID]:
    """Keep messages and return the ids of those that were not known before."""
    rows = await tx.fetch(INSERT_MESSAGES, *([getattr(m, field.name) for m in messages] for field in fields(Message)))
    return {row["message_id"] for row in rows}


async def sealed_message(tx: Transaction, message_id: UUID) -> Record | None:
    return await tx.fetchrow(SELECT_MESSAGE, message_id)


async def data_key(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    """The data key of an application, wrapped; None in its columns once it is shredded."""
    return await tx.fetchrow(SELECT_DATA_KEY, application_id, surety_id)


async def set_printed(tx: Transaction, contract_number: str, surety_id: str, now: datetime) -> Any:
    """When it was first marked as printed; None when there is no such paper certificate of this surety."""
    return await tx.fetchval(UPDATE_PRINTED, contract_number, surety_id, now)
