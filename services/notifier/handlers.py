"""What the notifier does when the world speaks to it. Each gets an open transaction; none commits or publishes.

A letter is queued when the wish, the data key and what it tells (a registration, a decision that returns, a first view)
are all there, whichever comes last, and it is wanted. Every handler notes its half and then joins, under the turn: the
other halves are committed or still to come.
"""

from collections.abc import Collection, Sequence
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
from schemas.decisions import ApplicationDecided
from schemas.envelope import Cause
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.notifier import domain, store, telling
from services.notifier.domain import GivenUp, Wishes
from services.notifier.metrics import MAILS_UNDELIVERABLE

log = structlog.get_logger()

READER = "notifier"


@dataclass(frozen=True)
class Noticing:
    """What the handlers need besides a transaction."""

    reference: Reference
    clock: Clock
    outbox: Outbox
    #: Opens data keys; None in a replay, where what was taken once is not opened again.
    private_key: bytes | None = field(repr=False)


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
    if noticing.private_key is not None:
        for event, wrapped in ours.values():
            try:
                open_data_key(noticing.private_key, event.application_id, event.data_key_id, wrapped)
            except sealing.CannotOpen:
                raise Refused("data_key_cannot_be_opened") from None
    await store.take_turn(tx)
    await store.add_data_keys(tx, list(ours.values()), noticing.clock.now())
    await _join(tx, ours, noticing)


async def note_wishes(tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]], *, noticing: Noticing) -> None:
    """Note who wants which letters, and what they have to say of the works."""
    wishes = {
        received.event.application_id: (received.event, _wishes(received.event, noticing.reference))
        for received in batch
    }
    await store.take_turn(tx)
    await store.add_wishes(tx, list(wishes.values()), noticing.clock.now())
    await _join(tx, wishes, noticing)


async def open_letters(
    tx: Transaction, batch: Sequence[Received[CertificateRegistered]], *, noticing: Noticing
) -> None:
    """Note that a certificate can be viewed: its letter may go out now. A repeat finds its row in the ledger."""
    openings = {
        received.event.certificate_id: store.Opening(
            received,
            application_id=received.event.application_id,
            certificate_id=received.event.certificate_id,
            contract_number=received.event.contract_number,
            happened_at=received.event.registered_at,
            product=_known(received.event.product),
            message_id=_message_id(
                received.event.certificate_id, domain.COMPLETION, received.event.surety_id, noticing.reference
            ),
        )
        for received in batch
    }
    await _open(tx, domain.COMPLETION, list(openings.values()), noticing)


async def note_returns(tx: Transaction, batch: Sequence[Received[ApplicationDecided]], *, noticing: Noticing) -> None:
    """Note that products of an application were returned. A decision that returns nothing leaves no trace, nor does
    one of an application that has said no; the desk's reasons and message are not taken over.
    """
    openings = {
        received.event.application_id: store.Opening(
            received,
            application_id=received.event.application_id,
            certificate_id=None,
            contract_number=None,
            happened_at=received.event.decided_at,
            products=returned,
        )
        for received in batch
        if (returned := tuple(_known(made.product) for made in received.event.outcomes if made.outcome == "returned"))
    }
    await _open(tx, domain.RETURNED, list(openings.values()), noticing)


async def note_views(tx: Transaction, batch: Sequence[Received[CertificateViewed]], *, noticing: Noticing) -> None:
    """Note a certificate's first view. Later ones find its row, or an application that has said no."""
    openings: dict[UUID, store.Opening] = {}
    for received in sorted(batch, key=lambda received: received.event.viewed_at):
        event = received.event
        openings.setdefault(
            event.certificate_id,
            store.Opening(
                received,
                application_id=event.application_id,
                certificate_id=event.certificate_id,
                contract_number=event.contract_number,
                happened_at=event.viewed_at,
            ),
        )
    await _open(tx, domain.VIEWED, list(openings.values()), noticing)


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


async def _open(tx: Transaction, letter: str, openings: Sequence[store.Opening], noticing: Noticing) -> None:
    if openings:
        await store.take_turn(tx)
        await store.add_letters(tx, letter, openings, noticing.clock.now())
        await _join(tx, {opening.application_id for opening in openings}, noticing)


async def _join(tx: Transaction, application_ids: Collection[UUID], noticing: Noticing) -> None:
    """Move on the letters that wait for nothing more, name those that have no name yet, tell of those that can never
    be sent.
    """
    now = noticing.clock.now()
    moved = [row for row in await store.join_halves(tx, application_ids, now) if row["state"] != "not_wished"]
    named = [(row, row["message_id"] or _message_id_of(row, noticing.reference)) for row in moved]
    unnamed = [(row["about_id"], row["letter"], name) for row, name in named if row["message_id"] is None]
    await store.name_letters(tx, unnamed)

    told = []
    given_up = [(row, name) for row, name in named if row["state"] == "undeliverable"]
    for row, name in given_up:
        outcome = GivenUp("shredded", row["smtp_code"])
        if event := telling.event_of(row, outcome, attempts=row["attempts"], message_id=name, now=now):
            told.append((event, Cause(row["correlation_id"], row["causation_id"], row["traceparent"])))
        MAILS_UNDELIVERABLE.labels("shredded", row["letter"]).inc()
    await noticing.outbox.add(tx, told)
    await telling.tell_surety(tx, (row for row, _ in given_up), noticing.reference, now)


def _surety(reference: Reference, surety_id: str) -> Surety:
    try:
        return reference.surety(surety_id)
    except UnknownSurety:
        raise Refused("surety_is_unknown") from None


def _wishes(event: ApplicationSubmitted, reference: Reference) -> Wishes:
    surety = _surety(reference, event.surety_id)
    try:
        surety.branch(event.branch_id)
    except UnknownBranch:
        raise Refused("branch_is_unknown") from None
    return Wishes(
        completion=event.completion_mail_wanted,
        returned=event.returned_mail_wanted,
        viewed=event.viewed_mail_wanted,
    )


def _known(product: str) -> str:
    if product not in codes.PRODUCTS:
        raise Refused("product_is_unknown")
    return product


def _message_id(about_id: UUID, letter: str, surety_id: str, reference: Reference) -> str:
    return domain.message_id(about_id, letter, mail_from=_surety(reference, surety_id).mail_from)


def _message_id_of(row: store.Row, reference: Reference) -> str:
    return _message_id(row["about_id"], row["letter"], row["surety_id"], reference)


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise Refused("key_is_not_an_application") from None
