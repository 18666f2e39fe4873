"""Every SQL statement of the issuer. Each takes any number of rows; rows are sorted by key against deadlocks."""

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
from services.issuer.searching import Terms

#: (surety id, contractor id)
Party = tuple[str, str]
#: (surety id, branch id, fiscal year)
Series = tuple[str, str, int]
Row: TypeAlias = Record

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

# $1 id, $2 surety id: staff see their surety only
LOCK_ONE = """
SELECT id, status, submitted, correlation_id, traceparent, desk_outcome, decided_at, decided_by, decider
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
SELECT_REJECTIONS = """
SELECT outcome, proposer, proposed_at, person, rejected_at, message FROM rejection WHERE application_id = $1 ORDER BY id
"""
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
SELECT_DATA_KEY = """
SELECT correlation_id, traceparent, data_key.data_key_id, data_key.wrapped
FROM application LEFT JOIN data_key ON data_key.application_id = application.id
WHERE application.id = $1 AND surety_id = $2
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


async def add_applications(tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]]) -> set[UUID]:
    """Record applications as told, fields of a newer release too, and return the ids of those not known before."""
    rows = await tx.fetch(
        INSERT_APPLICATIONS,
        [received.event.application_id for received in batch],
        [received.event.surety_id for received in batch],
        [received.event.contractor.id for received in batch],
        [(received.record.value or b"").decode() for received in batch],
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
    await tx.execute(INSERT_GUARANTEES, *([getattr(g, field.name) for g in guarantees] for field in fields(Guarantee)))


async def set_queued(tx: Transaction, queued: Sequence[tuple[UUID, datetime, str]]) -> None:
    """Rows of (application id, when, findings as JSON)."""
    await tx.execute(UPDATE_QUEUED, [q[0] for q in queued], [q[1] for q in queued], [q[2] for q in queued])


async def set_decided(tx: Transaction, decided: Sequence[tuple[UUID, datetime, str, str]]) -> None:
    """Rows of (application id, when, outcomes as JSON, message to the contractor)."""
    await tx.execute(UPDATE_DECIDED, *([row[column] for row in decided] for column in range(4)))


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


async def rejections(tx: Transaction, application_id: UUID) -> list[Record]:
    return await tx.fetch(SELECT_REJECTIONS, application_id)


async def known(tx: Transaction, ids: Iterable[UUID]) -> set[UUID]:
    return {row["id"] for row in await tx.fetch(SELECT_KNOWN, list(ids))}


async def add_messages(tx: Transaction, messages: Sequence[Message]) -> set[UUID]:
    """Keep messages and return the ids of those that were not known before."""
    rows = await tx.fetch(INSERT_MESSAGES, *([getattr(m, field.name) for m in messages] for field in fields(Message)))
    return {row["message_id"] for row in rows}


async def messages(tx: Transaction, application_id: UUID) -> list[Record]:
    return await tx.fetch(SELECT_MESSAGES, application_id)


async def data_key(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    """The data key of an application, wrapped; None in its columns once it is shredded."""
    return await tx.fetchrow(SELECT_DATA_KEY, application_id, surety_id)


async def one(tx: Transaction, application_id: UUID, surety_id: str) -> Record | None:
    return await tx.fetchrow(SELECT_ONE, application_id, surety_id)


async def guarantees_of(tx: Transaction, application_id: UUID) -> list[Record]:
    return await tx.fetch(SELECT_GUARANTEES_OF, application_id)


async def queue(
    tx: Transaction, surety_id: str, product: str | None, *, proposed: bool | None, after: Sequence[Any], limit: int
) -> list[Record]:
    return await tx.fetch(SELECT_QUEUE, surety_id, product, proposed, *after, limit)


async def count_queue(tx: Transaction, surety_id: str, product: str | None) -> Record | None:
    return await tx.fetchrow(COUNT_QUEUE, surety_id, product)


async def search(
    tx: Transaction, surety_id: str, terms: Terms, *, status: str | None, after: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(SEARCH, surety_id, terms.text, *terms.numbers, *terms.ids, status, after, limit)


async def to_print(tx: Transaction, surety_id: str, after: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(SELECT_TO_PRINT, surety_id, after, limit)


async def paper(tx: Transaction, surety_id: str, contract_number: str) -> Record | None:
    return await tx.fetchrow(SELECT_PAPER, surety_id, contract_number)


async def set_printed(tx: Transaction, contract_number: str, surety_id: str, now: datetime) -> Any:
    """When it was first marked as printed; None when there is no such paper certificate of this surety."""
    return await tx.fetchval(UPDATE_PRINTED, contract_number, surety_id, now)
