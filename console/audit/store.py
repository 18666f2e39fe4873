"""Every SQL statement of the auditor's that is not `compare`'s. All read; connections come from `console.store`."""

from collections.abc import AsyncIterator
from typing import Any, Final

from console.store import Connection

# One guarantee's trail. $1 application, $2 contract numbers, unless said otherwise.

#: Whose application a number is, as the issuer and the registry each say. $1 contract number
SELECT_APPLICATION_BY_NUMBER: Final = {
    "issuer": "SELECT application_id FROM guarantee WHERE contract_number = $1 LIMIT 1",
    "registry": "SELECT application_id FROM certificate WHERE contract_number = $1 LIMIT 1",
}
#: What is kept of which an event tells, too: shown only where the event is missing.
SELECT_APPLICATION: Final = "SELECT submitted_at FROM application WHERE id = $1"
SELECT_GUARANTEES: Final = """
SELECT certificate_id, contract_number, version, product, form, issued_at, printed_at
FROM guarantee WHERE application_id = $1 AND contract_number = ANY($2::text[]) ORDER BY contract_number, version
"""
SELECT_CERTIFICATES: Final = """
SELECT certificate_id, contract_number, version, product, registered_at
FROM certificate WHERE application_id = $1 AND contract_number = ANY($2::text[]) ORDER BY contract_number, version
"""
#: Every number of an application. $1 application
SELECT_NUMBERS: Final = {
    "issuer": "SELECT DISTINCT contract_number FROM guarantee WHERE application_id = $1",
    "registry": "SELECT DISTINCT contract_number FROM certificate WHERE application_id = $1",
}
#: Who looked at a key, and when (KEY-7).
SELECT_DISCLOSURES: Final = """
SELECT key_disclosure.disclosed_at, account.person, certificate.contract_number, certificate.version
FROM key_disclosure JOIN certificate USING (certificate_id) JOIN account ON account.id = key_disclosure.account_id
WHERE certificate.application_id = $1 AND certificate.contract_number = ANY($2::text[])
ORDER BY key_disclosure.disclosed_at, key_disclosure.id
"""
#: Four eyes: the proposal that stands or was approved, and those rejected. Their words are not read. $1 application
SELECT_PROPOSALS: Final = """
SELECT outcome, proposer, proposed_at, NULL AS person, NULL::timestamptz AS rejected_at
FROM proposal WHERE application_id = $1
UNION ALL
SELECT outcome, proposer, proposed_at, person, rejected_at FROM rejection WHERE application_id = $1
ORDER BY 3
"""
SELECT_LETTERS: Final = """
SELECT letter, contract_number, state, arrived_at, ended_at, attempts, deferrals, smtp_code, reason, correlation_id
FROM letter WHERE application_id = $1 AND (contract_number IS NULL OR contract_number = ANY($2::text[]))
ORDER BY arrived_at, about_id, letter
"""
SELECT_VIEWS: Final = """
SELECT view.view_id, view.viewed_at, account.person, certificate.contract_number, certificate.version,
    certificate.purchaser_id
FROM view JOIN certificate USING (certificate_id) JOIN account ON account.id = view.account_id
WHERE certificate.application_id = $1 AND certificate.contract_number = ANY($2::text[])
ORDER BY view.viewed_at, view.view_id
"""
#: Browsers in which a certificate lies open now. $1 contract numbers
SELECT_OPENED: Final = """
SELECT opened_certificate.opened_at, opened_certificate.contract_number, account.person
FROM opened_certificate JOIN view USING (view_id) JOIN account ON account.id = view.account_id
WHERE opened_certificate.contract_number = ANY($1::text[])
ORDER BY opened_certificate.opened_at, opened_certificate.contract_number
"""

# Do the four agree? Streams in the order of applications, to be merged.

#: Whose moment decides what is old.
SELECT_NOW: Final = "SELECT clock_timestamp()"

#: What intake heard of each application.
STREAM_ANSWERS: Final = """
SELECT application.id AS application_id, queued.queued_at, decided.decided_at, withdrawal.answer,
    (SELECT string_agg(outcome.product || ' ' || outcome.outcome, ', ' ORDER BY outcome.product COLLATE "C")
        FROM outcome WHERE outcome.application_id = application.id) AS outcomes
FROM application
    LEFT JOIN queued ON queued.application_id = application.id
    LEFT JOIN decided ON decided.application_id = application.id
    LEFT JOIN withdrawal ON withdrawal.application_id = application.id
ORDER BY application.id
"""
STREAM_COPIES: Final = """
SELECT application_id, certificate_id, contract_number, content_sha256 FROM certificate ORDER BY application_id
"""
STREAM_ARRIVALS: Final = """
SELECT application_id, certificate_id, contract_number, content_sha256 FROM registration ORDER BY application_id
"""
#: A letter about an application is kept under its id in a certificate's place.
STREAM_MAILS: Final = """
SELECT application_id, nullif(certificate_id, application_id) AS certificate_id, letter, outcome
FROM mail ORDER BY application_id
"""
STREAM_LOOKS: Final = "SELECT application_id, view_id, contract_number FROM view ORDER BY application_id"

STREAM_DELIVERIES: Final = """
SELECT application_id, wished_at, key_at, shredded_at, wrapped IS NOT NULL AS has_key,
    contact_ciphertext IS NOT NULL AS has_contact, wanted AS completion, returned_wanted AS returned,
    viewed_wanted AS viewed
FROM delivery ORDER BY application_id
"""
STREAM_LETTERS: Final = """
SELECT application_id, certificate_id, letter, state, arrived_at, queued_at, due_at, ended_at, deferrals
FROM letter ORDER BY application_id
"""

STREAM_REGISTERED: Final = """
SELECT application_id, certificate_id, contract_number, content_sha256, registered_at
FROM certificate ORDER BY application_id
"""
STREAM_VIEWS: Final = """
SELECT certificate.application_id, certificate.certificate_id, certificate.contract_number, view.view_id,
    view.viewed_at
FROM view JOIN certificate USING (certificate_id) ORDER BY certificate.application_id
"""

#: `outcomes` is null for what was decided before the column was there.
STREAM_DECISIONS: Final = """
SELECT id AS application_id, status, queued_at, decided_at, withdrawal,
    (SELECT string_agg((told ->> 'product') || ' ' || (told ->> 'outcome'), ', '
        ORDER BY (told ->> 'product') COLLATE "C") FROM jsonb_array_elements(outcomes) AS told) AS outcomes
FROM application ORDER BY id
"""
STREAM_ISSUED: Final = """
SELECT application_id, certificate_id, contract_number, content_sha256, issued_at
FROM guarantee WHERE form = 'electronic' ORDER BY application_id
"""

STREAM_APPLICATIONS: Final = """
SELECT id AS application_id, surety_id, submitted_at, withdrawal_requested_at,
    submitted ->> 'reference_version' AS reference_version,
    coalesce((submitted ->> 'completion_mail_wanted')::boolean, false) AS completion,
    coalesce((submitted ->> 'returned_mail_wanted')::boolean, false) AS returned,
    coalesce((submitted ->> 'viewed_mail_wanted')::boolean, false) AS viewed
FROM application ORDER BY id
"""

#: What waits to be published, at each service. $1 what is older than this
SELECT_OUTBOX: Final = """
SELECT count(*) AS waiting, count(*) FILTER (WHERE created_at < $1) AS old, min(created_at) AS oldest FROM outbox
"""

_PREFETCH: Final = 2000


def count_rows(table: str) -> str:
    """How many rows a table has. For names that are in our code."""
    return f"SELECT count(*) FROM {table}"  # noqa: S608 - as said above


async def stream(connection: Connection, statement: str, *arguments: object) -> AsyncIterator[dict[str, Any]]:
    """The rows of a statement, as the open transaction sees them, without holding them all."""
    async for row in connection.cursor(statement, *arguments, prefetch=_PREFETCH):
        yield dict(row)


async def about(connection: Connection, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """The rows of a statement about one application."""
    return [dict(row) for row in await connection.fetch(statement, *arguments)]
