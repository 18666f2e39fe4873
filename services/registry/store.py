"""Every SQL statement of the registry."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from chassis.postgres import Transaction
from schemas.views import CertificateViewed
from services.registry.domain import Certificate, Count, Subject
from transparency.leaves import REGISTRATION

# Another certificate under a number and version, or for an application, product and version, is refused by the
# constraints; only a repeat of the same certificate is let go. $14 is when each arrived: 電子保証発行日時.
INSERT_CERTIFICATES = """
INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at)
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[])
    AS c (certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, registered_at)
ORDER BY certificate_id
ON CONFLICT (certificate_id) DO NOTHING
RETURNING certificate_id
"""
# What the repeats of a batch must agree with.
SELECT_HASHES = (
    "SELECT certificate_id, content_sha256, key_digest FROM certificate WHERE certificate_id = ANY($1::uuid[])"
)
# newest version first. (EXISTS could be answered from a table of all leaves, which is made anew for it.)
SELECT_CERTIFICATES = f"""
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id, purchaser_id,
    issued_at, content, content_sha256, key_digest, pepper_id, registered_at,
    (SELECT index FROM leaf WHERE leaf.kind = '{REGISTRATION}' AND leaf.subject = certificate_id) IS NOT NULL
        AS is_in_log
FROM certificate WHERE contract_number = ANY($1::text[]) ORDER BY version DESC
"""
INSERT_VIEWS = """
INSERT INTO view (view_id, certificate_id, account_id, viewed_at)
SELECT view_id, certificate_id, account_id, viewed_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS v (view_id, certificate_id, account_id, viewed_at)
ON CONFLICT (view_id) DO NOTHING
RETURNING view_id
"""
# Whoever looks up for one of these accounts waits until the transaction ends, so that many at once cannot all pass. In
# order: two that wait for each other never do so in a circle. $1 accounts, $2 subjects, $3 now
LOCK_ATTEMPTS = """
INSERT INTO throttle (account_id, subject, window_began, failures)
SELECT account_id, subject, $3::timestamptz, 0
FROM unnest($1::uuid[], $2::bytea[]) AS s (account_id, subject) ORDER BY account_id, subject
ON CONFLICT (account_id, subject) DO UPDATE SET failures = throttle.failures
RETURNING account_id, subject, window_began, failures
"""
# $1 accounts, $2 subjects, $3 window_began, $4 failures
UPDATE_ATTEMPTS = """
UPDATE throttle SET window_began = s.window_began, failures = s.failures
FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[], $4::integer[])
    AS s (account_id, subject, window_began, failures)
WHERE throttle.account_id = ANY($1) AND throttle.account_id = s.account_id AND throttle.subject = s.subject
"""
# What no longer counts goes. $1 accounts, $2 the beginning of the oldest window that still counts
DELETE_ATTEMPTS = "DELETE FROM throttle WHERE account_id = ANY($1::uuid[]) AND window_began <= $2"
# Nothing, when the person signed out meanwhile. $1 session, $2 number, $3 view, $4 now
UPSERT_OPENED = """
INSERT INTO opened_certificate (session_sha256, contract_number, view_id, opened_at)
SELECT sha256, $2, $3, $4 FROM session WHERE sha256 = $1 FOR KEY SHARE
ON CONFLICT (session_sha256, contract_number) DO UPDATE SET view_id = $3, opened_at = $4
"""
DELETE_OLD_OPENED = "DELETE FROM opened_certificate WHERE session_sha256 = $1 AND opened_at <= $2"
# Asks for session, account and purchaser, though the first tells the others. $1 session, $2 account, $3 purchaser,
# $4 number, $5 the earliest opening that still counts
SELECT_OPENED = """
SELECT opened.opened_at, view.view_id, view.viewed_at, view.certificate_id
FROM opened_certificate AS opened JOIN view USING (view_id) JOIN certificate USING (certificate_id)
WHERE opened.session_sha256 = $1 AND view.account_id = $2 AND certificate.purchaser_id = $3
    AND opened.contract_number = $4 AND certificate.contract_number = $4 AND opened.opened_at > $5
"""
_LOOK = """
SELECT looks.viewed_at, certificate.contract_number, certificate.product,
    certificate.content::json ->> 'works_name' AS works_name, opened.opened_at IS NOT NULL AS is_open
FROM {looks} AS looks JOIN certificate USING (certificate_id)
LEFT JOIN opened_certificate AS opened ON opened.session_sha256 = $2 AND opened.opened_at > $3
    AND opened.contract_number = certificate.contract_number
"""
# An account's looks, newest first. $1 account, $2 session, $3 the earliest opening that still counts, $4 how many,
# $5 after how many
SELECT_LOOKS = (
    _LOOK.format(
        looks="""(
    SELECT view_id, certificate_id, viewed_at FROM view WHERE account_id = $1
    ORDER BY viewed_at DESC, view_id DESC LIMIT $4 OFFSET $5)"""
    )
    + "ORDER BY looks.viewed_at DESC, looks.view_id DESC"
)
# The certificates an account looked at lately, each once. $1 to $4 as above, $5 how far back
SELECT_LOOKED_AT = (
    _LOOK.format(
        looks="""(
    SELECT DISTINCT ON (contract_number) certificate_id, viewed_at
    FROM (SELECT certificate_id, viewed_at FROM view WHERE account_id = $1 ORDER BY viewed_at DESC LIMIT $5) AS late
    JOIN certificate USING (certificate_id) ORDER BY contract_number, viewed_at DESC)"""
    )
    + "ORDER BY looks.viewed_at DESC LIMIT $4"
)
COUNT_LOOKS = "SELECT count(*) FROM view WHERE account_id = $1"


async def add_certificates(tx: Transaction, issued: Sequence[tuple[Certificate, datetime]]) -> set[UUID]:
    """Record certificates, each with when it arrived, and return the ids of those not here before."""
    if not issued:
        return set()
    columns = zip(*(certificate for certificate, _ in issued), strict=True)
    rows = await tx.fetch(INSERT_CERTIFICATES, *map(list, columns), [registered_at for _, registered_at in issued])
    return {row["certificate_id"] for row in rows}


async def hashes(tx: Transaction, certificate_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """Certificate id → (content hash, key digest) as recorded."""
    rows = await tx.fetch(SELECT_HASHES, list(certificate_ids))
    return {row["certificate_id"]: (row["content_sha256"], row["key_digest"]) for row in rows}


async def certificates(tx: Transaction, contract_numbers: Collection[str]) -> dict[str, list[Record]]:
    """Contract number → its versions, the newest first; nothing of a number that is not known."""
    found: dict[str, list[Record]] = {}
    for row in await tx.fetch(SELECT_CERTIFICATES, list(contract_numbers)):
        found.setdefault(row["contract_number"], []).append(row)
    return found


async def add_views(tx: Transaction, viewed: Sequence[CertificateViewed]) -> set[UUID]:
    """Record views and return the ids of those not here before."""
    rows = await tx.fetch(
        INSERT_VIEWS,
        [event.view_id for event in viewed],
        [event.certificate_id for event in viewed],
        [event.viewed_by for event in viewed],
        [event.viewed_at for event in viewed],
    )
    return {row["view_id"] for row in rows}


async def lock_attempts(tx: Transaction, subjects: Collection[Subject], now: datetime) -> dict[Subject, Count]:
    """What is counted of each until now. Others who look up for these accounts wait."""
    rows = await tx.fetch(LOCK_ATTEMPTS, *_columns(subjects), now)
    return {(row["account_id"], row["subject"]): Count(row["window_began"], row["failures"]) for row in rows}


async def keep_attempts(tx: Transaction, changed: Mapping[Subject, Count]) -> None:
    began, failures = [one.window_began for one in changed.values()], [one.failures for one in changed.values()]
    await tx.execute(UPDATE_ATTEMPTS, *_columns(changed), began, failures)


async def forget_attempts(tx: Transaction, accounts: Collection[UUID], window_since: datetime) -> None:
    """Those of windows that are over."""
    await tx.execute(DELETE_ATTEMPTS, list(accounts), window_since)


def _columns(subjects: Collection[Subject]) -> tuple[list[UUID], list[bytes]]:
    return [account for account, _ in subjects], [subject for _, subject in subjects]


async def open_for_session(tx: Transaction, session: bytes, number: str, view_id: UUID, now: datetime) -> None:
    await tx.execute(UPSERT_OPENED, session, number, view_id, now)


async def close_old(tx: Transaction, session: bytes, opened_before: datetime) -> None:
    await tx.execute(DELETE_OLD_OPENED, session, opened_before)


async def opened(
    tx: Transaction, session: bytes, account_id: UUID, purchaser_id: str, *, number: str, since: datetime
) -> Record | None:
    return await tx.fetchrow(SELECT_OPENED, session, account_id, purchaser_id, number, since)


async def looks(
    tx: Transaction, account_id: UUID, session: bytes, *, since: datetime, limit: int, offset: int
) -> list[Record]:
    return await tx.fetch(SELECT_LOOKS, account_id, session, since, limit, offset)


async def looked_at(
    tx: Transaction, account_id: UUID, session: bytes, *, since: datetime, limit: int, back: int
) -> list[Record]:
    return await tx.fetch(SELECT_LOOKED_AT, account_id, session, since, limit, back)


async def count_looks(tx: Transaction, account_id: UUID) -> int:
    return int(await tx.fetchval(COUNT_LOOKS, account_id))
