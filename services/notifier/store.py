"""Every SQL statement of the notifier. Those of a poll take any number of rows, sorted by key against deadlocks."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from aiokafka import ConsumerRecord
from asyncpg import Record

from chassis import outbox, sealing
from chassis.decoding import Received
from chassis.postgres import Transaction
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped
from schemas.event import Event
from services.notifier.domain import Wishes

#: A row as it came. Others name the type by this, so that only this module knows the driver.
Row = Record

#: "letter"
TURN_LOCK = 0x6C65_7474_6572

# One poll at a time. The handlers of a poll run one after the other, so rows sorted within each would still cross
# between two polls: P holds A's wish and wants B's registration while Q holds B's wish and wants A's.
TAKE_TURN = "SELECT pg_advisory_xact_lock($1)"

# $1 ids, $2 now, $3 sureties, $4 branches, $5 contractors, $6 works, $7 to $9 which letters are wanted, $10 nonces,
# $11 ciphertexts
UPSERT_WISHES = """
INSERT INTO delivery (application_id, wished_at, surety_id, branch_id, contractor_name, works_name,
    wanted, returned_wanted, viewed_wanted, contact_nonce, contact_ciphertext)
SELECT application_id, $2::timestamptz, surety_id, branch_id, contractor_name, works_name,
    wanted, returned_wanted, viewed_wanted, contact_nonce, contact_ciphertext
FROM unnest($1::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::boolean[], $9::boolean[],
    $10::bytea[], $11::bytea[])
    AS w (application_id, surety_id, branch_id, contractor_name, works_name, wanted, returned_wanted, viewed_wanted,
    contact_nonce, contact_ciphertext)
ORDER BY application_id
ON CONFLICT (application_id) DO UPDATE SET
    wished_at = excluded.wished_at, surety_id = excluded.surety_id, branch_id = excluded.branch_id,
    contractor_name = excluded.contractor_name, works_name = excluded.works_name, wanted = excluded.wanted,
    returned_wanted = excluded.returned_wanted, viewed_wanted = excluded.viewed_wanted,
    contact_nonce = CASE WHEN delivery.shredded_at IS NULL THEN excluded.contact_nonce END,
    contact_ciphertext = CASE WHEN delivery.shredded_at IS NULL THEN excluded.contact_ciphertext END
WHERE delivery.wished_at IS NULL
"""
UPSERT_DATA_KEYS = """
INSERT INTO delivery (application_id, key_at, data_key_id, wrapped)
SELECT application_id, $2::timestamptz, data_key_id, wrapped
FROM unnest($1::uuid[], $3::uuid[], $4::bytea[]) AS k (application_id, data_key_id, wrapped)
ORDER BY application_id
ON CONFLICT (application_id) DO UPDATE SET
    key_at = excluded.key_at, data_key_id = excluded.data_key_id, wrapped = excluded.wrapped
WHERE delivery.wrapped IS NULL AND delivery.shredded_at IS NULL
"""
UPSERT_SHREDDED = """
INSERT INTO delivery (application_id, shredded_at)
SELECT application_id, $2::timestamptz FROM unnest($1::uuid[]) AS s (application_id)
ORDER BY application_id
ON CONFLICT (application_id) DO UPDATE SET
    shredded_at = excluded.shredded_at, wrapped = NULL, contact_nonce = NULL, contact_ciphertext = NULL
WHERE delivery.shredded_at IS NULL
"""
INSERT_DELIVERIES = """
INSERT INTO delivery (application_id)
SELECT application_id FROM unnest($1::uuid[]) AS d (application_id)
ORDER BY application_id
ON CONFLICT (application_id) DO NOTHING
"""
# $1 letter, $2 now, $3 certificates, $4 applications, $5 contract numbers, $6 product, $7 products, $8 when it was,
# $9 Message-IDs, $10 correlation ids, $11 causation ids, $12 traceparents, $13 topics, $14 partitions, $15 offsets,
# $16 keys, $17 values, $18 headers. A repeat changes nothing, except that a parked one waits once more. Of returned and
# viewed letters, which few wish for, nothing is kept where the application has said no already.
UPSERT_LETTERS = """
INSERT INTO letter (certificate_id, letter, application_id, contract_number, product, products, registered_at,
    message_id, correlation_id, causation_id, traceparent, state, arrived_at,
    record_topic, record_partition, record_offset, record_key, record_value, record_headers)
SELECT certificate_id, $1::text, application_id, contract_number, product, string_to_array(products, ' '), happened_at,
    message_id, correlation_id, causation_id, traceparent, 'waiting', $2::timestamptz,
    record_topic, record_partition, record_offset, record_key, record_value, record_headers
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::integer[], $15::bigint[], $16::bytea[], $17::bytea[], $18::text[])
    AS l (certificate_id, application_id, contract_number, product, products, happened_at, message_id, correlation_id,
    causation_id, traceparent, record_topic, record_partition, record_offset, record_key, record_value, record_headers)
WHERE NOT EXISTS (
    SELECT FROM delivery WHERE delivery.application_id = l.application_id AND delivery.wished_at IS NOT NULL
        AND (($1 = 'returned' AND NOT delivery.returned_wanted) OR ($1 = 'viewed' AND NOT delivery.viewed_wanted)))
ORDER BY coalesce(certificate_id, application_id)
ON CONFLICT (about_id, letter) DO UPDATE SET
    state = 'waiting', arrived_at = excluded.arrived_at, record_topic = excluded.record_topic,
    record_partition = excluded.record_partition, record_offset = excluded.record_offset,
    record_key = excluded.record_key, record_value = excluded.record_value, record_headers = excluded.record_headers
WHERE letter.state = 'parked'
"""
# Moves on every letter to the contractors of these applications whose halves are all there, or whose key is gone for
# ever. Letters to the surety need no half and no key.
JOIN_HALVES = """
UPDATE letter SET
    state = next.state,
    queued_at = CASE next.state WHEN 'queued' THEN $2::timestamptz END,
    due_at = CASE next.state WHEN 'queued' THEN $2::timestamptz END,
    reason = CASE next.state WHEN 'undeliverable' THEN 'shredded' END,
    ended_at = CASE next.state WHEN 'queued' THEN NULL ELSE $2::timestamptz END,
    record_topic = NULL, record_partition = NULL, record_offset = NULL,
    record_key = NULL, record_value = NULL, record_headers = NULL
FROM (
    SELECT letter.about_id, letter.letter, delivery.surety_id,
        CASE WHEN NOT wish.wanted THEN 'not_wished'
            WHEN delivery.shredded_at IS NOT NULL THEN 'undeliverable'
            ELSE 'queued' END AS state
    FROM letter JOIN delivery ON delivery.application_id = letter.application_id
        CROSS JOIN LATERAL (
            SELECT CASE letter.letter WHEN 'completion' THEN delivery.wanted
                WHEN 'returned' THEN delivery.returned_wanted
                WHEN 'viewed' THEN delivery.viewed_wanted END AS wanted
        ) AS wish
    WHERE letter.application_id = ANY($1::uuid[])
        AND delivery.wished_at IS NOT NULL AND wish.wanted IS NOT NULL
        AND (NOT wish.wanted OR delivery.shredded_at IS NOT NULL OR delivery.wrapped IS NOT NULL)
        AND (letter.state IN ('waiting', 'parked')
            OR (letter.state = 'queued' AND delivery.shredded_at IS NOT NULL))
    ORDER BY letter.about_id, letter.letter
    FOR UPDATE OF letter
) AS next
WHERE letter.about_id = next.about_id AND letter.letter = next.letter
RETURNING letter.about_id, letter.certificate_id, letter.letter, letter.state, letter.application_id,
    letter.contract_number, letter.message_id, letter.attempts, letter.smtp_code, letter.correlation_id,
    letter.causation_id, letter.traceparent, next.surety_id
"""
# $1 what they are about, $2 letters, $3 Message-IDs
NAME_LETTERS = """
UPDATE letter SET message_id = named.message_id
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS named (about_id, letter, message_id)
WHERE letter.about_id = named.about_id AND letter.letter = named.letter
"""
# $1 what the letters that were given up are about, $2 these letters, $3 those to the surety, $4 Message-IDs, $5 now
TELL_SURETY = """
INSERT INTO letter (certificate_id, letter, application_id, contract_number, registered_at, message_id,
    correlation_id, causation_id, traceparent, state, arrived_at, queued_at, due_at, given_up_reason)
SELECT letter.certificate_id, told.letter, letter.application_id, letter.contract_number, $5::timestamptz,
    told.message_id, letter.correlation_id, letter.causation_id, letter.traceparent,
    'queued', $5::timestamptz, $5::timestamptz, $5::timestamptz, letter.reason
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS told (about_id, given_up, letter, message_id)
    JOIN letter ON letter.about_id = told.about_id AND letter.letter = told.given_up
ORDER BY letter.about_id, told.letter
ON CONFLICT (about_id, letter) DO NOTHING
"""

# A lease runs by the clock of the database, which all processes share: no other clock, however it leaps, ends it. What
# is due is asked for once (MATERIALIZED): for each row of a join it would be another letter, claimed and never sent.
# $1 now, $2 lease, $3 whether a letter whose lease ran out is sent again
CLAIM_ONE = """
WITH due AS MATERIALIZED (
    SELECT about_id, letter, state AS was FROM letter
    WHERE state IN ('queued', 'sending') AND due_at <= greatest($1, now())
        AND CASE state WHEN 'queued' THEN due_at <= $1 ELSE due_at <= now() AND $3 END
    ORDER BY due_at LIMIT 1
    FOR UPDATE SKIP LOCKED)
UPDATE letter SET state = 'sending', attempts = letter.attempts + 1, due_at = now() + $2::interval
FROM due, delivery
WHERE letter.about_id = due.about_id AND letter.letter = due.letter
    AND delivery.application_id = letter.application_id
RETURNING letter.about_id, letter.certificate_id, letter.letter, letter.application_id, letter.contract_number,
    coalesce(letter.products, array_remove(ARRAY[letter.product], NULL)) AS products,
    letter.registered_at AS happened_at, letter.given_up_reason, letter.message_id, letter.correlation_id,
    letter.causation_id, letter.traceparent, letter.attempts, letter.deferrals, letter.queued_at, due.was,
    delivery.surety_id, delivery.branch_id, delivery.contractor_name, delivery.works_name, delivery.data_key_id,
    delivery.wrapped, delivery.contact_nonce, delivery.contact_ciphertext
"""
# $1 what it is about, $2 letter, $3 attempt, $4 state, $5 due, $6 deferrals, $7 SMTP code, $8 reason, $9 now.
# A letter that left is sent, whoever has it by now; everything else is said only by the one whose attempt it was.
NOTE_OUTCOME = """
UPDATE letter SET state = $4, due_at = $5, deferrals = $6, smtp_code = coalesce($7, smtp_code), reason = $8,
    ended_at = CASE WHEN $4 IN ('sent', 'undeliverable') THEN $9::timestamptz END
WHERE about_id = $1 AND letter = $2
    AND ((state = 'sending' AND attempts = $3) OR ($4 = 'sent' AND state IN ('queued', 'sending', 'unknown')))
RETURNING attempts
"""
PARK_UNCLEAR = """
UPDATE letter SET state = 'unknown', due_at = NULL
FROM (
    SELECT about_id, letter FROM letter
    WHERE state IN ('queued', 'sending') AND state = 'sending' AND due_at <= now()
    FOR UPDATE SKIP LOCKED
) AS lost
WHERE letter.about_id = lost.about_id AND letter.letter = lost.letter
RETURNING letter.application_id, letter.certificate_id, letter.letter, letter.correlation_id
"""
# A wait, or a claim, that ends later than any that is given now. $1 now, $2 the latest end of a wait, $3 lease
CALL_BACK = """
UPDATE letter SET due_at = CASE state WHEN 'queued' THEN $1 ELSE now() + $3::interval END
FROM (
    SELECT about_id, letter FROM letter
    WHERE state IN ('queued', 'sending') AND due_at > least($2, now() + $3::interval)
        AND CASE state WHEN 'queued' THEN due_at > $2 ELSE due_at > now() + $3::interval END
    FOR UPDATE SKIP LOCKED
) AS far
WHERE letter.about_id = far.about_id AND letter.letter = far.letter
"""
COUNT_ALONE = """
SELECT
    (SELECT count(*) FROM letter JOIN delivery ON delivery.application_id = letter.application_id
        WHERE letter.state = 'waiting' AND letter.arrived_at <= $1 AND delivery.wished_at IS NULL)
    + (SELECT count(*) FROM delivery WHERE wished_at IS NULL AND wrapped IS NOT NULL AND key_at <= $1)
    AS application,
    (SELECT count(*) FROM delivery WHERE contact_ciphertext IS NOT NULL AND wrapped IS NULL AND wished_at <= $1)
    AS data_key
"""
PARK_WAITING = """
WITH late AS MATERIALIZED (
    SELECT letter.about_id, letter.letter, delivery.wished_at IS NULL AS without_application,
        record_topic, record_partition, record_offset, record_key, record_value, record_headers
    FROM letter JOIN delivery ON delivery.application_id = letter.application_id
    WHERE letter.state = 'waiting' AND letter.arrived_at <= $1
    ORDER BY letter.arrived_at LIMIT $2
    FOR UPDATE OF letter SKIP LOCKED)
UPDATE letter SET state = 'parked', record_topic = NULL, record_partition = NULL, record_offset = NULL,
    record_key = NULL, record_value = NULL, record_headers = NULL
FROM late
WHERE letter.about_id = late.about_id AND letter.letter = late.letter
RETURNING letter.application_id, letter.certificate_id, letter.letter, letter.correlation_id,
    late.without_application, late.record_topic, late.record_partition, late.record_offset, late.record_key,
    late.record_value, late.record_headers
"""
# A repeat of what made them is not kept: see UPSERT_LETTERS.
FORGET_NOT_WISHED = """
WITH idle AS MATERIALIZED (
    SELECT about_id, letter FROM letter
    WHERE state = 'not_wished' AND letter IN ('returned', 'viewed')
    LIMIT $1 FOR UPDATE SKIP LOCKED)
DELETE FROM letter USING idle
WHERE letter.about_id = idle.about_id AND letter.letter = idle.letter
"""


@dataclass(frozen=True)
class Opening:
    """A letter on its way into the ledger, with the event that makes it."""

    received: Received[Event]
    application_id: UUID
    #: Absent where the letter is about the application as a whole.
    certificate_id: UUID | None
    contract_number: str | None
    happened_at: datetime
    product: str | None = None
    products: tuple[str, ...] | None = None
    #: Absent where only the application says which surety it is.
    message_id: str | None = None


async def take_turn(tx: Transaction) -> None:
    """Be the only poll that writes, until the transaction ends."""
    await tx.execute(TAKE_TURN, TURN_LOCK)


async def add_wishes(tx: Transaction, wishes: Sequence[tuple[ApplicationSubmitted, Wishes]], now: datetime) -> None:
    """Rows of (application, which letters are wanted), each application once. Contact data is kept where any is."""
    await tx.execute(
        UPSERT_WISHES,
        [event.application_id for event, _ in wishes],
        now,
        [event.surety_id for event, _ in wishes],
        [event.branch_id for event, _ in wishes],
        [event.contractor.name for event, _ in wishes],
        [event.works.name for event, _ in wishes],
        [wanted.completion for _, wanted in wishes],
        [wanted.returned for _, wanted in wishes],
        [wanted.viewed for _, wanted in wishes],
        [sealing.unb64(event.contact.nonce) if any(wanted) else None for event, wanted in wishes],
        [sealing.unb64(event.contact.ciphertext) if any(wanted) else None for event, wanted in wishes],
    )


async def add_data_keys(tx: Transaction, keys: Sequence[tuple[DataKeyWrapped, bytes]], now: datetime) -> None:
    """Rows of (event, our wrapped copy), each application once."""
    await tx.execute(
        UPSERT_DATA_KEYS,
        [event.application_id for event, _ in keys],
        now,
        [event.data_key_id for event, _ in keys],
        [wrapped for _, wrapped in keys],
    )


async def forget_data_keys(tx: Transaction, application_ids: Collection[UUID], now: datetime) -> None:
    await tx.execute(UPSERT_SHREDDED, list(application_ids), now)


async def add_letters(tx: Transaction, letter: str, openings: Sequence[Opening], now: datetime) -> None:
    """Open the ledger for these letters, each certificate or application once."""
    causes = [opening.received.cause for opening in openings]
    records = [opening.received.record for opening in openings]
    await tx.execute(INSERT_DELIVERIES, sorted({opening.application_id for opening in openings}))
    await tx.execute(
        UPSERT_LETTERS,
        letter,
        now,
        [opening.certificate_id for opening in openings],
        [opening.application_id for opening in openings],
        [opening.contract_number for opening in openings],
        [opening.product for opening in openings],
        [None if opening.products is None else " ".join(opening.products) for opening in openings],
        [opening.happened_at for opening in openings],
        [opening.message_id for opening in openings],
        [cause.correlation_id for cause in causes],
        [cause.causation_id for cause in causes],
        [cause.traceparent for cause in causes],
        [record.topic for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [outbox.pack(tuple((name, value or b"") for name, value in record.headers)) for record in records],
    )


async def join_halves(tx: Transaction, application_ids: Iterable[UUID], now: datetime) -> list[Row]:
    """Move on the letters that wait for nothing more; the answer is what moved."""
    return await tx.fetch(JOIN_HALVES, list(application_ids), now)


async def name_letters(tx: Transaction, names: Sequence[tuple[UUID, str, str]]) -> None:
    """Rows of (what it is about, letter, Message-ID)."""
    if names:
        await tx.execute(NAME_LETTERS, *map(list, zip(*names, strict=True)))


async def tell_surety(tx: Transaction, letters: Sequence[tuple[UUID, str, str, str]], now: datetime) -> None:
    """Rows of (what it is about, letter that was given up, letter to the surety, its Message-ID). Due at once."""
    if letters:
        await tx.execute(TELL_SURETY, *map(list, zip(*letters, strict=True)), now)


async def claim_one(tx: Transaction, *, now: datetime, lease: timedelta, resend: bool) -> Row | None:
    return await tx.fetchrow(CLAIM_ONE, now, lease, resend)


async def note_outcome(
    tx: Transaction,
    about_id: UUID,
    letter: str,
    *,
    attempt: int,
    state: str,
    deferrals: int,
    now: datetime,
    due_at: datetime | None = None,
    smtp_code: int | None = None,
    reason: str | None = None,
) -> int | None:
    """How many attempts there were; None when the letter had come to its end before."""
    attempts: int | None = await tx.fetchval(
        NOTE_OUTCOME, about_id, letter, attempt, state, due_at, deferrals, smtp_code, reason, now
    )
    return attempts


async def park_unclear(tx: Transaction) -> list[Row]:
    return await tx.fetch(PARK_UNCLEAR)


async def call_back(tx: Transaction, now: datetime, *, latest: datetime, lease: timedelta) -> int:
    """What waits beyond `latest` is due now, and what is claimed for longer than a lease, at its end; how many."""
    return int((await tx.execute(CALL_BACK, now, latest, lease)).split()[-1])


async def count_alone(tx: Transaction, now: datetime, after: timedelta) -> dict[str, int]:
    """By what is missing: how many halves have waited longer than `after`."""
    row = await tx.fetchrow(COUNT_ALONE, now - after)
    assert row is not None
    return dict(row)


async def park_waiting(tx: Transaction, now: datetime, after: timedelta, limit: int) -> list[Row]:
    return await tx.fetch(PARK_WAITING, now - after, limit)


async def forget_not_wished(tx: Transaction, limit: int) -> None:
    await tx.execute(FORGET_NOT_WISHED, limit)


def record_of(row: Row) -> ConsumerRecord:
    """The Kafka record that a row keeps, as far as a dead letter needs it."""
    key, value = row["record_key"], row["record_value"]
    return ConsumerRecord(
        topic=row["record_topic"],
        partition=row["record_partition"],
        offset=row["record_offset"],
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=tuple(outbox.unpack(row["record_headers"])),
    )
