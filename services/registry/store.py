"""Every SQL statement of the registry."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from chassis.postgres import Transaction
from schemas.certificates import CertificateIssued

# Another certificate under a number and version, or for an application, product and version, is refused by the
# constraints; only a repeat of the same certificate is let go. $14 is our clock: 電子保証発行日時.
INSERT_CERTIFICATES = """
INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at)
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, $14
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[])
    AS c (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id)
ORDER BY certificate_id
ON CONFLICT (certificate_id) DO NOTHING
RETURNING certificate_id
"""
# What the repeats of a batch must agree with.
SELECT_HASHES = (
    "SELECT certificate_id, content_sha256, key_digest FROM certificate WHERE certificate_id = ANY($1::uuid[])"
)
# newest version first
SELECT_CERTIFICATES = """
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id, purchaser_id,
    issued_at, content, content_sha256, key_digest, pepper_id, registered_at
FROM certificate WHERE contract_number = $1 ORDER BY version DESC
"""
INSERT_VIEW = "INSERT INTO view (view_id, certificate_id, account_id, viewed_at) VALUES ($1, $2, $3, $4)"
# Counts the attempt before it is checked, so that many at once cannot all pass. $1 account, $2 subjects, $3 now,
# $4 the beginning of the oldest window that still counts
COUNT_ATTEMPT = """
INSERT INTO throttle (account_id, subject, window_began, failures)
SELECT $1, subject, $3, 1 FROM unnest($2::bytea[]) AS s (subject) ORDER BY subject
ON CONFLICT (account_id, subject) DO UPDATE SET
    window_began = CASE WHEN throttle.window_began <= $4 THEN $3 ELSE throttle.window_began END,
    failures = CASE WHEN throttle.window_began <= $4 THEN 1 ELSE throttle.failures + 1 END
RETURNING subject, window_began, failures
"""
# A right key was no failure.
UNCOUNT_ATTEMPT = """
UPDATE throttle SET failures = failures - 1 WHERE account_id = $1 AND subject = ANY($2::bytea[])
"""
DELETE_OLD_ATTEMPTS = "DELETE FROM throttle WHERE account_id = $1 AND window_began <= $2"


async def add_certificates(tx: Transaction, events: Sequence[CertificateIssued], registered_at: datetime) -> set[UUID]:
    """Record certificates and return the ids of those that were not here before."""
    rows = await tx.fetch(
        INSERT_CERTIFICATES,
        [e.certificate_id for e in events],
        [e.contract_number for e in events],
        [e.version for e in events],
        [e.change_number for e in events],
        [e.application_id for e in events],
        [e.product for e in events],
        [e.surety_id for e in events],
        [e.purchaser_id for e in events],
        [e.issued_at for e in events],
        [e.content.canonical().decode() for e in events],
        [e.content_sha256 for e in events],
        [e.authentication_key.digest for e in events],
        [e.authentication_key.pepper_id for e in events],
        registered_at,
    )
    return {row["certificate_id"] for row in rows}


async def hashes(tx: Transaction, certificate_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """Certificate id → (content hash, key digest) as recorded."""
    rows = await tx.fetch(SELECT_HASHES, list(certificate_ids))
    return {row["certificate_id"]: (row["content_sha256"], row["key_digest"]) for row in rows}


async def certificates(tx: Transaction, contract_number: str) -> list[Record]:
    return await tx.fetch(SELECT_CERTIFICATES, contract_number)


async def add_view(tx: Transaction, view_id: UUID, certificate_id: UUID, account_id: UUID, now: datetime) -> None:
    await tx.execute(INSERT_VIEW, view_id, certificate_id, account_id, now)


async def count_attempt(
    tx: Transaction, account_id: UUID, subjects: Sequence[bytes], now: datetime, window_since: datetime
) -> dict[bytes, Record]:
    rows = await tx.fetch(COUNT_ATTEMPT, account_id, list(subjects), now, window_since)
    return {row["subject"]: row for row in rows}


async def uncount_attempt(tx: Transaction, account_id: UUID, subjects: Sequence[bytes]) -> None:
    await tx.execute(UNCOUNT_ATTEMPT, account_id, list(subjects))


async def forget_old_attempts(tx: Transaction, account_id: UUID, window_since: datetime) -> None:
    await tx.execute(DELETE_OLD_ATTEMPTS, account_id, window_since)
