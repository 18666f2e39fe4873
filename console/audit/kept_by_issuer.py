"""The issuer's tables, as far as they are told: what a replay compares, and what it asks its shadow."""

from typing import Final

from console.audit.keeping import KeptTable
from schemas.applications import ApplicationSubmitted
from services.issuer.issuance import OUTCOMES

STREAM_APPLICATIONS: Final = """
SELECT id, id AS application_id, id::text AS number, surety_id, contractor_id, status, submitted::text AS submitted,
    search_text, correlation_id, traceparent, findings::text AS findings, queued_at, decided_at, decided_by, decider,
    desk_outcome, desk_message, outcomes::text AS outcomes, withdrawal
FROM application ORDER BY id
"""
#: What is on paper has an id that no event tells.
STREAM_GUARANTEES: Final = """
SELECT CASE form WHEN 'electronic' THEN certificate_id END AS certificate_id, contract_number, version, change_number,
    application_id, product, surety_id, contractor_id, form, amount_yen, issued_at, fee::text AS fee, key_digest,
    pepper_id, nullif(content::text, '{}') AS content, nullif(content_sha256, '') AS content_sha256
FROM guarantee ORDER BY contract_number, version
"""
STREAM_DATA_KEYS: Final = """
SELECT application_id, application_id::text AS number, data_key_id, wrapped, shredded_at IS NOT NULL AS shredded
FROM known_data_key ORDER BY application_id
"""
STREAM_MESSAGES: Final = """
SELECT message_id, application_id, application_id::text AS number, direction, sent_at, sent_by, data_key_id, nonce,
    ciphertext
FROM message ORDER BY message_id
"""
#: $1 applications that move: what they added is taken away on both sides.
SELECT_EXPOSURES: Final = """
SELECT surety_id, contractor_id, accepted_yen - coalesce((
        SELECT sum(amount_yen) FROM guarantee
        WHERE guarantee.surety_id = exposure.surety_id AND guarantee.contractor_id = exposure.contractor_id
            AND application_id = ANY($1::uuid[])), 0)::bigint AS yen
FROM exposure
"""
SELECT_SERIES: Final = "SELECT surety_id, branch_id, fiscal_year, drawn FROM number_series"
#: What drew numbers: what was accepted, and applications for which a series had none left (NUM-5). $1 as above
SELECT_ACCEPTED: Final = """
SELECT submitted, decided_at,
    (SELECT count(*) FROM jsonb_array_elements(outcomes) AS told WHERE told ->> 'outcome' = 'accepted') AS accepted
FROM application WHERE id = ANY($1::uuid[]) AND outcomes IS NOT NULL
"""
SELECT_WITHOUT_NUMBER: Final = """
SELECT submitted, queued_at FROM application WHERE findings @> jsonb_build_array(jsonb_build_object('rule', $1::text))
"""
SELECT_DECIDED: Final = "SELECT id, submitted, outcomes FROM application WHERE id = ANY($1::uuid[])"
#: Repeats of a certificate are the same one.
SELECT_HAVE: Final = "SELECT certificate_id FROM guarantee WHERE certificate_id = ANY($1::uuid[])"

#: Of a certificate on paper whose words nobody can make again.
NO_CONTENT: Final = "{}"
_SEALED: Final = frozenset({"wrapped", "nonce", "ciphertext"})

APPLICATION: Final = KeptTable(
    "application",
    STREAM_APPLICATIONS,
    ("id",),
    lambda row: f"application {row['id']}",
    untold=frozenset({"submitted", "search_text", "findings", "desk_message", "outcomes"}),
    changing=frozenset(
        {
            "status",
            "findings",
            "queued_at",
            "decided_at",
            "decided_by",
            "decider",
            "desk_outcome",
            "desk_message",
            "outcomes",
            "withdrawal",
        }
    ),
    read={
        "submitted": lambda text: ApplicationSubmitted.model_validate_json(text, extra="forbid"),
        "outcomes": lambda text: OUTCOMES.validate_json(text, extra="forbid"),
    },
    is_own=lambda row: row["queued_at"] is not None or row["decided_at"] is not None,
)
GUARANTEE: Final = KeptTable(
    "guarantee",
    STREAM_GUARANTEES,
    ("contract_number", "version"),
    lambda row: f"{row['product']} of application {row['application_id']}",
    # What a certificate on paper says follows from the reference data of its day, which may be gone.
    partly=frozenset({"content", "content_sha256"}),
    left_out=frozenset({"printed_at"}),
    is_own=lambda _: True,
)
DATA_KEY: Final = KeptTable(
    "known_data_key",
    STREAM_DATA_KEYS,
    ("application_id",),
    lambda row: f"data key of {row['application_id']}",
    untold=_SEALED,
    changing=frozenset({"data_key_id", "wrapped", "shredded"}),
    left_out=frozenset({"shredded_at"}),
)
MESSAGE: Final = KeptTable(
    "message",
    STREAM_MESSAGES,
    ("message_id",),
    lambda row: f"message {row['message_id']}",
    untold=_SEALED,
    left_out=frozenset({"person"}),
    is_own=lambda row: row["direction"] == "to_contractor",
)

TABLES: Final = (APPLICATION, GUARANTEE, DATA_KEY, MESSAGE)
