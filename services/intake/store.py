"""Every SQL statement of intake. Those that follow topics take any number of rows and repeat without effect."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from chassis.postgres import Transaction
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued
from schemas.notifications import ApplicationMailSent, ApplicationMailUndeliverable, MailSent, MailUndeliverable
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed

INSERT_CONTRACTOR = """
INSERT INTO contractor (id, name, address, representative) VALUES ($1, $2, $3, $4)
"""
SELECT_CONTRACTORS = "SELECT id, name, address, representative FROM contractor WHERE id = ANY($1::text[])"
# $6 event as JSON, $8 wrapped data key
INSERT_APPLICATIONS = """
INSERT INTO application
    (id, contractor_id, surety_id, purchaser_id, replaces, submitted, submitted_at, wrapped_data_key)
SELECT id, contractor_id, surety_id, purchaser_id, replaces, submitted, submitted_at, wrapped_data_key
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::jsonb[], $7::timestamptz[], $8::bytea[])
    AS a (id, contractor_id, surety_id, purchaser_id, replaces, submitted, submitted_at, wrapped_data_key)
"""
# Waits for a transaction that is about to take the same works and product. In order: two that wait for each other never
# do so in a circle.
INSERT_PRODUCTS = """
INSERT INTO product (application_id, product, form, works_key)
SELECT application_id, product, form, works_key FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
    AS p (application_id, product, form, works_key) ORDER BY works_key, product
ON CONFLICT (works_key, product) WHERE active DO NOTHING
RETURNING application_id, product
"""
SELECT_EARLIER = """
SELECT application_id FROM product WHERE works_key = $1 AND product = ANY($2::text[]) AND active
    AND application_id <> $3
ORDER BY application_id LIMIT 1
"""
LOCK_APPLICATION = """
SELECT id, withdrawal_requested_at FROM application WHERE id = $1 AND contractor_id = $2 FOR UPDATE
"""
# What may be replaced: what was returned, and all of what was withdrawn.
SELECT_REPLACEABLE = """
SELECT product.product FROM product
LEFT JOIN outcome USING (application_id, product)
LEFT JOIN withdrawal USING (application_id)
WHERE product.application_id = $1 AND (outcome.outcome = 'returned' OR withdrawal.answer = 'withdrawn')
"""
DEACTIVATE_PRODUCTS = "UPDATE product SET active = false WHERE application_id = $1 AND product = ANY($2::text[])"
REQUEST_WITHDRAWAL = """
UPDATE application SET withdrawal_requested_at = $2 WHERE id = $1 AND withdrawal_requested_at IS NULL
"""
SELECT_ANSWERED = """
SELECT EXISTS (SELECT 1 FROM decided WHERE application_id = $1)
    OR EXISTS (SELECT 1 FROM withdrawal WHERE application_id = $1)
"""

INSERT_QUEUED = """
INSERT INTO queued (application_id, queued_at)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) ORDER BY 1 ON CONFLICT DO NOTHING
"""
INSERT_DECIDED = """
INSERT INTO decided (application_id, decided_at, decided_by, message)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) ORDER BY 1 ON CONFLICT DO NOTHING
"""
INSERT_OUTCOMES = """
INSERT INTO outcome (application_id, product, outcome, reasons, contract_number, fee)
SELECT application_id, product, outcome, reasons::jsonb, contract_number, fee::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS o (application_id, product, outcome, reasons, contract_number, fee)
ORDER BY application_id, product ON CONFLICT DO NOTHING
"""
INSERT_WITHDRAWALS = """
INSERT INTO withdrawal (application_id, answer, answered_at)
SELECT application_id, $3, answered_at FROM unnest($1::uuid[], $2::timestamptz[]) AS w (application_id, answered_at)
ORDER BY application_id ON CONFLICT DO NOTHING
"""
# Two certificates of one contract number and version, or of one application, product and version, are refused by
# their constraints: only a repeat of the same certificate is let go.
INSERT_CERTIFICATES = """
INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, product, issued_at,
    content, content_sha256, key_nonce, key_ciphertext)
SELECT certificate_id, contract_number, version, change_number, application_id, product, issued_at,
    content::jsonb, content_sha256, key_nonce, key_ciphertext
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::uuid[], $6::text[], $7::timestamptz[],
    $8::text[], $9::text[], $10::bytea[], $11::bytea[])
    AS c (certificate_id, contract_number, version, change_number, application_id, product, issued_at,
    content, content_sha256, key_nonce, key_ciphertext)
ORDER BY certificate_id ON CONFLICT (certificate_id) DO NOTHING
"""
INSERT_REGISTRATIONS = """
INSERT INTO registration (certificate_id, contract_number, application_id, product, content_sha256, registered_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
ORDER BY 1 ON CONFLICT (certificate_id) DO NOTHING
"""
INSERT_VIEWS = """
INSERT INTO view (view_id, certificate_id, contract_number, application_id, viewed_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[])
ORDER BY 1 ON CONFLICT (view_id) DO NOTHING
"""
# A letter about an application as a whole is kept under the application's id in a certificate's place.
INSERT_MAILS = """
INSERT INTO mail (certificate_id, letter, application_id, outcome, message_id, told_at, reason)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
ORDER BY 1, 2 ON CONFLICT (certificate_id, letter) DO NOTHING
"""
# The contractor's copy and the purchaser's must be the same.
COUNT_DIFFERENT = """
SELECT count(*) FROM certificate JOIN registration USING (certificate_id)
WHERE certificate_id = ANY($1::uuid[]) AND certificate.content_sha256 <> registration.content_sha256
"""

_APPLICATION = """
SELECT application.id, application.submitted, application.submitted_at, application.wrapped_data_key,
    application.withdrawal_requested_at, queued.queued_at, decided.decided_at, decided.message AS desk_message,
    withdrawal.answer AS withdrawal
FROM application
LEFT JOIN queued ON queued.application_id = application.id
LEFT JOIN decided ON decided.application_id = application.id
LEFT JOIN withdrawal ON withdrawal.application_id = application.id
"""
SELECT_APPLICATION = f"{_APPLICATION} WHERE application.id = $1 AND application.contractor_id = $2"
SELECT_APPLICATIONS = f"""{_APPLICATION}
WHERE application.contractor_id = $1 AND ($2::uuid IS NULL OR application.id < $2)
    AND ($4::text IS NULL OR application.surety_id = $4)
ORDER BY application.id DESC LIMIT $3
"""
# A certificate counts when it has arrived; the latest version is what is shown.
PRODUCTS_AS_THEY_STAND = """
SELECT product.application_id, product.product, product.form, outcome.outcome, outcome.reasons, outcome.fee,
    coalesce(arrived.contract_number, outcome.contract_number) AS contract_number,
    arrived.certificate_id, arrived.registered_at, mail.outcome AS mail, mail.told_at AS mail_at,
    mail.reason AS mail_reason
FROM product
LEFT JOIN outcome USING (application_id, product)
LEFT JOIN LATERAL (
    SELECT certificate.certificate_id, certificate.contract_number, registration.registered_at
    FROM certificate JOIN registration USING (certificate_id)
    WHERE certificate.application_id = product.application_id AND certificate.product = product.product
    ORDER BY certificate.version DESC LIMIT 1
) AS arrived ON true
LEFT JOIN mail ON mail.certificate_id = arrived.certificate_id AND mail.letter = 'completion'
"""
SELECT_PRODUCTS = f"{PRODUCTS_AS_THEY_STAND} WHERE product.application_id = ANY($1::uuid[])"
# 保証契約一覧: what has a number that may be shown. $1 contractor, $2 application and $3 product of the page before
SELECT_GUARANTEES = f"""
SELECT listed.*, application.submitted FROM ({PRODUCTS_AS_THEY_STAND}) AS listed
JOIN application ON application.id = listed.application_id
WHERE application.contractor_id = $1 AND listed.contract_number IS NOT NULL
    AND ($2::uuid IS NULL OR (listed.application_id, listed.product) < ($2, $3))
ORDER BY listed.application_id DESC, listed.product DESC LIMIT $4
"""
# $1 contract number, $2 contractor; newest first
SELECT_HISTORY = """
SELECT certificate.certificate_id, certificate.contract_number, certificate.version, certificate.change_number,
    certificate.application_id, certificate.product, certificate.content, certificate.content_sha256,
    certificate.key_nonce, certificate.key_ciphertext, registration.registered_at, application.surety_id,
    application.purchaser_id, mail.outcome AS mail, mail.told_at AS mail_at, mail.reason AS mail_reason,
    (SELECT count(*) FROM view WHERE view.certificate_id = certificate.certificate_id) AS views,
    (SELECT max(viewed_at) FROM view WHERE view.certificate_id = certificate.certificate_id) AS last_viewed_at
FROM certificate
JOIN registration USING (certificate_id)
JOIN application ON application.id = certificate.application_id
LEFT JOIN mail ON mail.certificate_id = certificate.certificate_id AND mail.letter = 'completion'
WHERE certificate.contract_number = $1 AND application.contractor_id = $2
ORDER BY certificate.version DESC
"""
# A week is longer than any outage should be, and keeps the look cheap.
SELECT_OLDEST_UNANSWERED = """
SELECT coalesce(extract(epoch FROM $1 - min(submitted_at)), 0)::float8 FROM application
WHERE submitted_at > $1 - interval '7 days'
    AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.application_id = application.id)
    AND NOT EXISTS (SELECT 1 FROM decided WHERE decided.application_id = application.id)
    AND NOT EXISTS (SELECT 1 FROM withdrawal WHERE withdrawal.application_id = application.id)
"""
INSERT_DISCLOSURE = """
INSERT INTO key_disclosure (id, certificate_id, account_id, disclosed_at) VALUES ($1, $2, $3, $4)
"""


MailTold = MailSent | MailUndeliverable | ApplicationMailSent | ApplicationMailUndeliverable


@dataclass(frozen=True)
class Certificate:
    """A row of `certificate`: an event, its canonical content, and its key sealed again."""

    event: CertificateIssued
    content: bytes
    key_nonce: bytes
    key_ciphertext: bytes


async def contractors(tx: Transaction, contractor_ids: Collection[str]) -> dict[str, Record]:
    return {row["id"]: row for row in await tx.fetch(SELECT_CONTRACTORS, list(contractor_ids))}


async def add_applications(
    tx: Transaction, applications: Sequence[tuple[ApplicationSubmitted, bytes, bytes]]
) -> list[ApplicationSubmitted]:
    """Record applications, each with its works' key and its wrapped data key. Returns those of which a product is
    applied for on the same works already: what was written is of no use then. Two statements, however many.
    """
    events = [event for event, _, _ in applications]
    await tx.execute(
        INSERT_APPLICATIONS,
        [event.application_id for event in events],
        [event.contractor.id for event in events],
        [event.surety_id for event in events],
        [event.works.purchaser_id for event in events],
        [event.replaces for event in events],
        [event.model_dump_json() for event in events],
        [event.submitted_at for event in events],
        [wrapped_data_key for _, _, wrapped_data_key in applications],
    )
    products = [
        (event.application_id, applied, works_key) for event, works_key, _ in applications for applied in event.products
    ]
    rows = await tx.fetch(
        INSERT_PRODUCTS,
        [application_id for application_id, _, _ in products],
        [applied.product for _, applied, _ in products],
        [applied.form for _, applied, _ in products],
        [works_key for _, _, works_key in products],
    )
    added = {(row["application_id"], row["product"]) for row in rows}
    return [
        event for event in events if any((event.application_id, one.product) not in added for one in event.products)
    ]


async def earlier_application(tx: Transaction, works_key: bytes, products: Sequence[str], *, than: UUID) -> UUID | None:
    """Which other application has one of these products for these works."""
    found: UUID | None = await tx.fetchval(SELECT_EARLIER, works_key, list(products), than)
    return found


async def lock_application(tx: Transaction, application_id: UUID, contractor_id: str) -> Record | None:
    return await tx.fetchrow(LOCK_APPLICATION, application_id, contractor_id)


async def replaceable_products(tx: Transaction, application_id: UUID) -> set[str]:
    return {row["product"] for row in await tx.fetch(SELECT_REPLACEABLE, application_id)}


async def deactivate(tx: Transaction, application_id: UUID, products: Sequence[str]) -> None:
    await tx.execute(DEACTIVATE_PRODUCTS, application_id, list(products))


async def is_answered(tx: Transaction, application_id: UUID) -> bool:
    return bool(await tx.fetchval(SELECT_ANSWERED, application_id))


async def set_withdrawal_requested(tx: Transaction, application_id: UUID, now: datetime) -> None:
    await tx.execute(REQUEST_WITHDRAWAL, application_id, now)


async def add_queued(tx: Transaction, events: Sequence[ApplicationQueued]) -> None:
    await tx.execute(INSERT_QUEUED, [e.application_id for e in events], [e.queued_at for e in events])


async def add_decided(tx: Transaction, events: Sequence[ApplicationDecided]) -> None:
    await tx.execute(
        INSERT_DECIDED,
        [e.application_id for e in events],
        [e.decided_at for e in events],
        [e.decided_by for e in events],
        [e.message for e in events],
    )


async def add_outcomes(tx: Transaction, rows: Sequence[tuple[UUID, str, str, str, str | None, str | None]]) -> None:
    """Rows of (application id, product, outcome, reasons as JSON, contract number on paper, fee as JSON)."""
    await tx.execute(INSERT_OUTCOMES, *(list(column) for column in zip(*rows, strict=True)))


async def add_withdrawals(tx: Transaction, rows: Sequence[tuple[UUID, datetime]], answer: str) -> None:
    await tx.execute(INSERT_WITHDRAWALS, [row[0] for row in rows], [row[1] for row in rows], answer)


async def add_certificates(tx: Transaction, certificates: Sequence[Certificate]) -> None:
    await tx.execute(
        INSERT_CERTIFICATES,
        [c.event.certificate_id for c in certificates],
        [c.event.contract_number for c in certificates],
        [c.event.version for c in certificates],
        [c.event.change_number for c in certificates],
        [c.event.application_id for c in certificates],
        [c.event.product for c in certificates],
        [c.event.issued_at for c in certificates],
        [c.content.decode() for c in certificates],
        [c.event.content_sha256 for c in certificates],
        [c.key_nonce for c in certificates],
        [c.key_ciphertext for c in certificates],
    )


async def add_registrations(tx: Transaction, events: Sequence[CertificateRegistered]) -> None:
    await tx.execute(
        INSERT_REGISTRATIONS,
        [e.certificate_id for e in events],
        [e.contract_number for e in events],
        [e.application_id for e in events],
        [e.product for e in events],
        [e.content_sha256 for e in events],
        [e.registered_at for e in events],
    )


async def add_views(tx: Transaction, events: Sequence[CertificateViewed]) -> None:
    await tx.execute(
        INSERT_VIEWS,
        [e.view_id for e in events],
        [e.certificate_id for e in events],
        [e.contract_number for e in events],
        [e.application_id for e in events],
        [e.viewed_at for e in events],
    )


async def add_mails(tx: Transaction, events: Sequence[MailTold]) -> None:
    await tx.execute(
        INSERT_MAILS,
        [e.certificate_id if isinstance(e, MailSent | MailUndeliverable) else e.application_id for e in events],
        [e.letter for e in events],
        [e.application_id for e in events],
        ["sent" if isinstance(e, MailSent | ApplicationMailSent) else "undeliverable" for e in events],
        [e.message_id for e in events],
        [e.occurred_at for e in events],
        [None if isinstance(e, MailSent | ApplicationMailSent) else e.reason for e in events],
    )


async def count_different(tx: Transaction, certificate_ids: Sequence[UUID]) -> int:
    return int(await tx.fetchval(COUNT_DIFFERENT, list(certificate_ids)))


async def application(tx: Transaction, application_id: UUID, contractor_id: str) -> Record | None:
    return await tx.fetchrow(SELECT_APPLICATION, application_id, contractor_id)


async def applications(
    tx: Transaction, contractor_id: str, after: UUID | None, limit: int, surety_id: str | None
) -> list[Record]:
    return await tx.fetch(SELECT_APPLICATIONS, contractor_id, after, limit, surety_id)


async def products(tx: Transaction, application_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(SELECT_PRODUCTS, list(application_ids))


async def guarantees(tx: Transaction, contractor_id: str, after: tuple[Any, ...], limit: int) -> list[Record]:
    return await tx.fetch(SELECT_GUARANTEES, contractor_id, after[0], after[1], limit)


async def history(tx: Transaction, contract_number: str, contractor_id: str) -> list[Record]:
    return await tx.fetch(SELECT_HISTORY, contract_number, contractor_id)


async def add_disclosure(
    tx: Transaction, disclosure_id: UUID, certificate_id: UUID, account_id: UUID, now: datetime
) -> None:
    await tx.execute(INSERT_DISCLOSURE, disclosure_id, certificate_id, account_id, now)


async def oldest_unanswered_seconds(tx: Transaction, now: datetime) -> float:
    """0 when every application of the week has an answer."""
    return float(await tx.fetchval(SELECT_OLDEST_UNANSWERED, now))
