"""What does the notifier keep, and what of it is told? Wishes and letters, and what became of them; no letter leaves.

Its own handlers open the letters. Each that is told to have come to its end is brought to where that attempt began, and
its own ledger notes the outcome, tells it (to nobody) and writes to the surety, as it did. There is no SMTP anywhere.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

from chassis.consumer import Handler
from chassis.decoding import Received
from chassis.postgres import Pool, Transaction
from console.audit.fold import Difference
from console.audit.keeping import AsTold, Keeping, KeptTable
from console.audit.replay_facts import told_otherwise
from console.audit.replay_feeding import Collecting
from console.environment import find_reference
from console.store import Connection
from schemas import topics
from schemas.applications import ApplicationSubmitted
from schemas.event import Event
from schemas.notifications import ApplicationMailSent, ApplicationMailUndeliverable, MailSent, MailUndeliverable
from services.notifier import app, handlers
from services.notifier.domain import BackOff, GivenUp, Outcome, Sent, told_by
from services.notifier.ledger import Ledger

MailTold = MailSent | MailUndeliverable | ApplicationMailSent | ApplicationMailUndeliverable

STREAM_DELIVERIES: Final = """
SELECT application_id, application_id::text AS number, surety_id, branch_id, contractor_name, works_name, wanted,
    returned_wanted, viewed_wanted, contact_nonce, contact_ciphertext, wrapped, wished_at IS NOT NULL AS wished,
    shredded_at IS NOT NULL AS shredded,
    -- Kafka lets go of a key that was shredded
    CASE WHEN shredded_at IS NULL THEN data_key_id END AS data_key_id,
    CASE WHEN shredded_at IS NULL THEN key_at IS NOT NULL END AS has_key
FROM delivery ORDER BY application_id
"""
#: What became of a letter to the surety nobody is told, and neither is how far one is that has not left. Letters that
#: nobody wished for are forgotten some time.
STREAM_LETTERS: Final = """
SELECT about_id, letter, certificate_id, application_id, contract_number,
    coalesce(contract_number, application_id::text) AS number, product, products, registered_at,
    -- its domain is that of the surety's address, which reference data may change
    split_part(message_id, '@', 1) AS message_id,
    correlation_id, causation_id, traceparent, given_up_reason, reason, ended_at, state, attempts, smtp_code
FROM (
    SELECT about_id, letter, certificate_id, application_id, contract_number, product, products, registered_at,
        message_id, correlation_id, causation_id, traceparent, given_up_reason,
        CASE WHEN told THEN reason END AS reason,
        CASE WHEN told AND ended THEN ended_at END AS ended_at,
        CASE WHEN NOT told THEN NULL WHEN ended OR state = 'not_wished' THEN state
            WHEN state IN ('waiting', 'parked') THEN 'waits for its halves' ELSE 'to be sent' END AS state,
        CASE WHEN told AND ended THEN attempts END AS attempts,
        CASE WHEN told AND ended THEN smtp_code END AS smtp_code
    FROM letter CROSS JOIN LATERAL (
        SELECT letter NOT LIKE 'undeliverable.%' AS told, state IN ('sent', 'undeliverable') AS ended
    ) AS is_it
    WHERE NOT (state = 'not_wished' AND letter IN ('returned', 'viewed'))
) AS kept
ORDER BY about_id, letter
"""
#: Brings a letter to where the attempt begins that is told to have been the last: next to be claimed, and in no other
#: way. Also one whose key was shredded before it had all its halves. $3 attempts, $4 Message-ID: its domain is as told.
PREPARE_LAST_ATTEMPT: Final = """
UPDATE letter SET state = 'queued', due_at = '-infinity', queued_at = coalesce(queued_at, registered_at),
    attempts = $3 - 1,
    message_id = CASE WHEN split_part(message_id, '@', 1) <> split_part($4, '@', 1) THEN message_id ELSE $4 END,
    record_topic = NULL, record_partition = NULL,
    record_offset = NULL, record_key = NULL, record_value = NULL, record_headers = NULL
WHERE about_id = $1 AND letter = $2 AND state IN ('waiting', 'queued') RETURNING true
"""

_HALVES: Final = frozenset(
    {
        "surety_id",
        "branch_id",
        "contractor_name",
        "works_name",
        "wanted",
        "returned_wanted",
        "viewed_wanted",
        "contact_nonce",
        "contact_ciphertext",
        "wrapped",
        "wished",
        "shredded",
        "data_key_id",
        "has_key",
    }
)
_SEALED: Final = frozenset({"contact_nonce", "contact_ciphertext", "wrapped"})

DELIVERY: Final = KeptTable(
    "delivery",
    STREAM_DELIVERIES,
    ("application_id",),
    lambda row: f"wishes of {row['application_id']}",
    untold=_SEALED,
    changing=_HALVES,
    left_out=frozenset({"wished_at", "key_at", "shredded_at"}),
)
LETTER: Final = KeptTable(
    "letter",
    STREAM_LETTERS,
    ("about_id", "letter"),
    lambda row: f"letter {row['letter']} about {row['about_id']}",
    changing=frozenset({"message_id", "state", "attempts", "smtp_code", "reason", "ended_at"}),
    # The server's code of an earlier attempt stays, and is told only with the attempt that it answered.
    partly=frozenset({"smtp_code"}),
    is_own=lambda row: row["ended_at"] is not None,
    left_out=frozenset(
        {
            "arrived_at",
            "queued_at",
            "due_at",
            "deferrals",
            "record_topic",
            "record_partition",
            "record_offset",
            "record_key",
            "record_value",
            "record_headers",
        }
    ),
)


class NotifierKeeps(Keeping):
    """Wishes, data keys and letters."""

    service = "notifier"
    topics = (
        topics.DATA_KEYS,
        topics.APPLICATIONS,
        topics.DECISIONS,
        topics.REGISTRATIONS,
        topics.VIEWS,
        topics.NOTIFICATIONS,
    )
    tables = (DELIVERY, LETTER)
    not_replayed = (
        "the key that opens contacts (no contact is opened), when a wish, key or letter was read, queued or put off, "
        "what became of letters to the surety, letters that nobody wished for, and the outbox"
    )

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        super().__init__(shadow, clock)
        reference = find_reference()
        self._reference_version = reference.version
        #: Applications that came under other reference data.
        self._of_other_data: set[UUID] = set()
        self._outbox = Collecting()
        self._reading = app.make_reading(handlers.Noticing(reference, clock, self._outbox, private_key=None))
        self._ledger = Ledger(
            pool=lambda: cast("Pool", _OneConnection(shadow)),
            outbox=self._outbox,
            clock=clock,
            reference=reference,
            private_key=b"",
            contractor_url="",
            back_off=BackOff((), 0),
            lease_seconds=0,
            resend_unknown=False,
        )

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        ends = (MailSent, MailUndeliverable, ApplicationMailSent, ApplicationMailUndeliverable)
        return {**self._reading.handlers, **dict.fromkeys(ends, self._note_ends)}

    async def take(self, tx: Transaction, batch: Sequence[Received[Event]]) -> None:
        submitted = (received.event for received in batch if isinstance(received.event, ApplicationSubmitted))
        self._of_other_data |= {
            event.application_id for event in submitted if event.reference_version != self._reference_version
        }
        await super().take(tx, batch)

    def is_of_its_day(self, table: KeptTable, row: Mapping[str, Any]) -> bool:
        """Whether a surety is told of letters that were given up, its profile says."""
        return table is LETTER and told_by(row["letter"]) is not None and row["application_id"] in self._of_other_data

    async def forget(self, tx: Transaction, keys: Sequence[str]) -> None:
        assert self._reading.forget is not None
        await self._reading.forget(tx, keys)

    async def _note_ends(self, tx: Transaction, batch: Sequence[Received[MailTold]]) -> None:
        for received in batch:
            await self._note_end(tx, received.event)

    async def _note_end(self, tx: Transaction, event: MailTold) -> None:
        """A repeat, and what is told of a letter that was never opened, finds none to be sent."""
        about_id: UUID = (
            event.certificate_id if isinstance(event, MailSent | MailUndeliverable) else event.application_id
        )
        if not await tx.fetchval(PREPARE_LAST_ATTEMPT, about_id, event.letter, event.attempts, event.message_id):
            return
        claimed = await self._ledger.claim()
        assert claimed is not None, "it was just made due"
        self.clock.at = event.occurred_at
        self._outbox.collected.clear()
        await self._ledger.note(claimed, _outcome(event))
        number = getattr(event, "contract_number", str(event.application_id))
        for again in self._outbox.collected:
            self.found += [
                Difference(f"mail.{name}_differs", number, f"told then and now: {words}")
                for name, words in told_otherwise(event, again)
            ]


def _outcome(event: MailTold) -> Outcome:
    if isinstance(event, MailSent | ApplicationMailSent):
        return Sent()
    return GivenUp(event.reason, event.smtp_code)


class _OneConnection:
    """A pool of the shadow's one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextlib.asynccontextmanager
    async def acquire(self, *, timeout: float) -> AsyncIterator[Any]:  # noqa: ARG002, ASYNC109 - as a pool's
        yield self._connection
