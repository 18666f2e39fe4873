"""What does intake keep, and what of it is told? Applications by itself, and what became of them by everybody else.

Its own handlers follow the others, in a shadow that opens no key: authentication keys stay sealed where they are.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from chassis.consumer import Handler
from chassis.decoding import Received, Refused
from chassis.postgres import Transaction
from console import store as console_store
from console.audit.keeping import SOMEBODY, AsTold, Keeping, KeptTable
from console.store import Connection
from schemas import topics
from schemas.applications import ApplicationSubmitted, MessageToSurety, WithdrawalRequested
from schemas.certificates import CertificateIssued
from schemas.event import Event
from schemas.topics import Topic
from services.intake import app, handlers, store
from services.intake.messages import store as messages
from services.intake.messages.handlers import TO_SURETY, told_message
from services.intake.shredding import store as shredding

STREAM_APPLICATIONS: Final = """
SELECT id, id AS application_id, id::text AS number, contractor_id, surety_id, purchaser_id, replaces,
    submitted::text AS submitted, submitted_at, wrapped_data_key IS NOT NULL AS has_data_key, withdrawal_requested_at
FROM application ORDER BY id
"""
STREAM_PRODUCTS: Final = """
SELECT application_id, application_id::text AS number, product, form, works_key, active
FROM product ORDER BY application_id, product COLLATE "C"
"""
STREAM_QUEUED: Final = """
SELECT application_id, application_id::text AS number, queued_at FROM queued ORDER BY application_id
"""
STREAM_DECIDED: Final = """
SELECT application_id, application_id::text AS number, decided_at, decided_by, message
FROM decided ORDER BY application_id
"""
STREAM_OUTCOMES: Final = """
SELECT application_id, application_id::text AS number, product, outcome, reasons::text AS reasons, contract_number,
    fee::text AS fee
FROM outcome ORDER BY application_id, product COLLATE "C"
"""
STREAM_WITHDRAWALS: Final = """
SELECT application_id, application_id::text AS number, answer, answered_at FROM withdrawal ORDER BY application_id
"""
STREAM_CERTIFICATES: Final = """
SELECT certificate_id, contract_number, version, change_number, application_id, product, issued_at,
    content::text AS content, content_sha256
FROM certificate ORDER BY certificate_id
"""
STREAM_REGISTRATIONS: Final = """
SELECT certificate_id, contract_number, application_id, product, content_sha256, registered_at
FROM registration ORDER BY certificate_id
"""
STREAM_VIEWS: Final = """
SELECT view_id, certificate_id, contract_number, application_id, viewed_at FROM view ORDER BY view_id
"""
STREAM_MAILS: Final = """
SELECT mail.certificate_id, letter, mail.application_id, outcome, message_id, told_at, reason,
    coalesce(registration.contract_number, mail.application_id::text) AS number
FROM mail LEFT JOIN registration ON registration.certificate_id = mail.certificate_id
ORDER BY mail.certificate_id, letter COLLATE "C"
"""
STREAM_MESSAGES: Final = """
SELECT message_id, application_id, application_id::text AS number, direction, sent_at, sent_by, data_key_id, nonce,
    ciphertext
FROM message ORDER BY message_id
"""
#: With what only a newer release knows, as it wrote it.
UPDATE_SUBMITTED: Final = "UPDATE application SET submitted = $2::jsonb WHERE id = $1"
#: A repeat is the same application.
SELECT_KNOWN: Final = "SELECT id FROM application WHERE id = ANY($1::uuid[])"

_APPLICATION: Final = ("application_id",)
_PRODUCT: Final = ("application_id", "product")
_CERTIFICATE: Final = ("certificate_id",)

TABLES: Final = (
    KeptTable(
        "application",
        STREAM_APPLICATIONS,
        ("id",),
        lambda row: f"application {row['id']}",
        untold=frozenset({"submitted"}),
        changing=frozenset({"has_data_key", "withdrawal_requested_at"}),
        read={"submitted": lambda text: ApplicationSubmitted.model_validate_json(text, extra="forbid")},
        left_out=frozenset({"wrapped_data_key"}),
        is_own=lambda _: True,
    ),
    KeptTable(
        "product",
        STREAM_PRODUCTS,
        _PRODUCT,
        lambda row: f"{row['product']} of application {row['application_id']}",
        untold=frozenset({"works_key"}),
        changing=frozenset({"active"}),
        is_own=lambda _: True,
    ),
    KeptTable("queued", STREAM_QUEUED, _APPLICATION, lambda _: "that it was queued"),
    KeptTable("decided", STREAM_DECIDED, _APPLICATION, lambda _: "the decision", untold=frozenset({"message"})),
    KeptTable(
        "outcome",
        STREAM_OUTCOMES,
        _PRODUCT,
        lambda row: f"decision on {row['product']}",
        untold=frozenset({"reasons"}),
    ),
    KeptTable("withdrawal", STREAM_WITHDRAWALS, _APPLICATION, lambda _: "the answer to the withdrawal"),
    KeptTable(
        "certificate",
        STREAM_CERTIFICATES,
        _CERTIFICATE,
        lambda row: f"certificate {row['certificate_id']}",
        left_out=frozenset({"key_nonce", "key_ciphertext"}),
    ),
    KeptTable(
        "registration", STREAM_REGISTRATIONS, _CERTIFICATE, lambda row: f"registration of {row['certificate_id']}"
    ),
    KeptTable("view", STREAM_VIEWS, ("view_id",), lambda row: f"view {row['view_id']}"),
    KeptTable("mail", STREAM_MAILS, ("certificate_id", "letter"), lambda row: f"mail {row['letter']}"),
    KeptTable(
        "message",
        STREAM_MESSAGES,
        ("message_id",),
        lambda row: f"message {row['message_id']}",
        untold=frozenset({"nonce", "ciphertext"}),
        left_out=frozenset({"person", "seen_at"}),
        is_own=lambda row: row["direction"] == TO_SURETY,
    ),
)


class IntakeKeeps(Keeping):
    """Applications, and what the others told of them."""

    service = "intake"
    topics = (
        topics.DATA_KEYS,
        topics.APPLICATIONS,
        topics.DECISIONS,
        topics.CERTIFICATES,
        topics.REGISTRATIONS,
        topics.VIEWS,
        topics.NOTIFICATIONS,
    )
    tables = TABLES
    not_replayed = (
        "secrets (authentication keys and intake's data keys; nothing sealed is opened), contractors as registered, "
        "accounts, tokens, sign-ins, sessions, drafts, answers to repeat, who looked at a key, who wrote a message and "
        "when it was seen, who had data erased and why, and the outbox"
    )

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        super().__init__(shadow, clock)
        self._reading = app.make_reading(_keep_sealed)
        #: Applications in place of others, each with what is told of it: they need what became of those.
        self._replacing: dict[UUID, list[Received[Event]]] = {}
        self._released = False

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        return {
            ApplicationSubmitted: self._submitted,
            WithdrawalRequested: self._withdrawal_requested,
            MessageToSurety: self._written,
            **self._reading.handlers,
        }

    async def take(self, tx: Transaction, batch: Sequence[Received[Event]]) -> None:
        await super().take(
            tx, batch if self._released else [received for received in batch if not self._holds(received)]
        )

    def _holds(self, received: Received[Event]) -> bool:
        event = received.event
        if isinstance(event, ApplicationSubmitted) and event.replaces is not None:
            self._replacing.setdefault(event.application_id, [])
        about: UUID = event.application_id  # type: ignore[attr-defined]  # all of these topics have it
        if about in self._replacing:
            self._replacing[about].append(received)
        return about in self._replacing

    def held_back(self, topic: Topic) -> Sequence[Received[Event]]:
        """What was decided is known then: applications in place of others, in the order in which they were sent."""
        if topic is not topics.DECISIONS:
            return ()
        self._released = True
        told = sorted(self._replacing.values(), key=lambda told: told[0].event.occurred_at)
        return [received for each in told for received in each]

    async def forget(self, tx: Transaction, keys: Sequence[str]) -> None:
        for key in keys:
            await shredding.destroy_key(tx, UUID(key))

    async def _submitted(self, tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]]) -> None:
        told = {received.event.application_id: received for received in batch}
        known = {row["id"] for row in await tx.fetch(SELECT_KNOWN, list(told))}
        for received in (received for identity, received in told.items() if identity not in known):
            event = received.event
            company = event.contractor
            await tx.execute(
                console_store.INSERT_CONTRACTOR, company.id, company.name, company.address, company.representative
            )
            if await handlers.keep_applications(tx, [(event, b"")]):
                raise Refused("already_applied")
            await tx.execute(UPDATE_SUBMITTED, event.application_id, (received.record.value or b"").decode())

    async def _withdrawal_requested(self, tx: Transaction, batch: Sequence[Received[WithdrawalRequested]]) -> None:
        for event in (received.event for received in batch):
            await store.set_withdrawal_requested(tx, event.application_id, event.requested_at)

    async def _written(self, tx: Transaction, batch: Sequence[Received[MessageToSurety]]) -> None:
        await messages.add(
            tx,
            [told_message(received.event, direction=TO_SURETY, person=SOMEBODY) for received in batch],
        )


def _keep_sealed(_: CertificateIssued) -> tuple[bytes, bytes]:
    """No key is opened in a replay."""
    return b"", b""
