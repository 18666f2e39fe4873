"""What the notifier does when the world speaks to it. Each gets an open transaction; none commits or publishes.

A letter is queued when the wish, the data key and the registration are all there, whichever comes last, and the mail
is wanted. Every handler notes its half and then joins, under the turn: the other halves are committed or still to come.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from chassis import sealing
from chassis.clock import Clock
from chassis.decoding import Received, Refused
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from reference import codes
from reference.errors import UnknownBranch, UnknownSurety
from reference.model import Surety
from reference.reader import Reference
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped
from schemas.envelope import Cause
from schemas.notifications import MailUndeliverable
from schemas.registrations import CertificateRegistered
from services.notifier import domain, store
from services.notifier.metrics import MAILS_UNDELIVERABLE

log = structlog.get_logger()

READER = "notifier"


@dataclass(frozen=True)
class Noticing:
    """What the handlers need besides a transaction."""

    reference: Reference
    clock: Clock
    outbox: Outbox
    private_key: bytes = field(repr=False)


async def keep_data_keys(tx: Transaction, batch: Sequence[Received[DataKeyWrapped]], *, noticing: Noticing) -> None:
    """Keep the keys that open contact data for the letters. One that we cannot open is refused here, where it is
    parked and can be redriven, and not found out when the letter is due.
    """
    ours = {
        received.event.application_id: (received.event, sealing.unb64(wrapped.wrapped))
        for received in batch
        for wrapped in received.event.wrapped_for
        if wrapped.reader == READER
    }
    for event, wrapped in ours.values():
        try:
            open_data_key(noticing.private_key, event.application_id, event.data_key_id, wrapped)
        except sealing.CannotOpen:
            raise Refused("data_key_cannot_be_opened") from None
    await store.take_turn(tx)
    await store.add_data_keys(tx, list(ours.values()), noticing.clock.now())
    await _join(tx, ours, noticing)


async def note_wishes(tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]], *, noticing: Noticing) -> None:
    """Note who wants a mail, and what it has to say of the works."""
    wishes = {
        received.event.application_id: (received.event, _is_wanted(received.event, noticing.reference))
        for received in batch
    }
    await store.take_turn(tx)
    await store.add_wishes(tx, list(wishes.values()), noticing.clock.now())
    await _join(tx, wishes, noticing)


async def open_letters(
    tx: Transaction, batch: Sequence[Received[CertificateRegistered]], *, noticing: Noticing
) -> None:
    """Note that a certificate can be viewed: its letter may go out now. A repeat finds its row in the ledger."""
    registrations = {
        received.event.certificate_id: store.Registration(received, _message_id(received.event, noticing.reference))
        for received in batch
    }
    await store.take_turn(tx)
    await store.add_letters(tx, domain.COMPLETION, list(registrations.values()), noticing.clock.now())
    await _join(tx, {received.event.application_id for received in batch}, noticing)


async def forget_data_keys(tx: Transaction, keys: Sequence[str], *, noticing: Noticing) -> None:
    """Shredding: address and key are gone, for ever. A letter that has not left is told as undeliverable."""
    ids = {_uuid(key) for key in keys}
    await store.take_turn(tx)
    await store.forget_data_keys(tx, ids, noticing.clock.now())
    await _join(tx, ids, noticing)


def open_data_key(private_key: bytes, application_id: UUID, data_key_id: UUID, wrapped: bytes) -> sealing.DataKey:
    """Raises `CannotOpen` for a key that was not wrapped for the notifier and this application."""
    info = sealing.wrapping_info(application_id, READER)
    return sealing.DataKey(data_key_id, sealing.open_with(private_key, wrapped, info=info))


async def _join(tx: Transaction, application_ids: Collection[UUID], noticing: Noticing) -> None:
    moved = await store.join_halves(tx, application_ids, noticing.clock.now())
    await _tell_undeliverable(tx, (row for row in moved if row["state"] == "undeliverable"), noticing)


async def _tell_undeliverable(tx: Transaction, rows: Iterable[store.Row], noticing: Noticing) -> None:
    told = [
        (
            MailUndeliverable(
                application_id=row["application_id"],
                certificate_id=row["certificate_id"],
                contract_number=row["contract_number"],
                letter=row["letter"],
                message_id=row["message_id"],
                gave_up_at=noticing.clock.now(),
                attempts=row["attempts"],
                reason="shredded",
                smtp_code=row["smtp_code"],
            ),
            Cause(row["correlation_id"], row["causation_id"], row["traceparent"]),
        )
        for row in rows
    ]
    if told:
        await noticing.outbox.add(tx, told)
        MAILS_UNDELIVERABLE.labels("shredded").inc(len(told))


def _surety(reference: Reference, surety_id: str) -> Surety:
    try:
        return reference.surety(surety_id)
    except UnknownSurety:
        raise Refused("surety_is_unknown") from None


def _is_wanted(event: ApplicationSubmitted, reference: Reference) -> bool:
    surety = _surety(reference, event.surety_id)
    try:
        surety.branch(event.branch_id)
    except UnknownBranch:
        raise Refused("branch_is_unknown") from None
    return domain.is_wanted(surety.completion_mail, wished=event.completion_mail_wanted)


def _message_id(event: CertificateRegistered, reference: Reference) -> str:
    surety = _surety(reference, event.surety_id)
    if event.product not in codes.PRODUCTS:
        raise Refused("product_is_unknown")
    return domain.message_id(event.certificate_id, domain.COMPLETION, mail_from=surety.mail_from)


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise Refused("key_is_not_an_application") from None
