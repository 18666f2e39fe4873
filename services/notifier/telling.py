"""Who is told that a letter came to its end: the others by an event, and the surety by a letter if it was given up."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, assert_never

from chassis.postgres import Transaction
from reference.errors import UnknownSurety
from reference.reader import Reference
from schemas.event import Event
from schemas.notifications import ApplicationMailSent, ApplicationMailUndeliverable, MailSent, MailUndeliverable
from services.notifier import domain, store
from services.notifier.domain import GivenUp, Outcome, PutOff, Sent, Unclear


def event_of(row: store.Row, outcome: Outcome, *, attempts: int, message_id: str, now: datetime) -> Event | None:
    """The event that tells what became of a letter to the contractor; None while it goes on."""
    if domain.told_by(row["letter"]):
        # A letter to the surety is between the notifier and the surety: ledger and metrics have its outcome. An event
        # under the certificate's id would read, to who follows these, as news of the contractor's letter.
        return None
    about: dict[str, Any] = {
        "application_id": row["application_id"],
        "letter": row["letter"],
        "message_id": message_id,
        "attempts": attempts,
    }
    of_certificate = {"certificate_id": row["certificate_id"], "contract_number": row["contract_number"]}
    as_a_whole = row["certificate_id"] is None
    match outcome:
        case Sent():
            if as_a_whole:
                return ApplicationMailSent(**about, sent_at=now)
            return MailSent(**about, **of_certificate, sent_at=now)
        case GivenUp():
            about |= {"gave_up_at": now, "reason": outcome.reason, "smtp_code": outcome.smtp_code}
            return ApplicationMailUndeliverable(**about) if as_a_whole else MailUndeliverable(**about, **of_certificate)
        case PutOff() | Unclear():
            return None
        case _:
            assert_never(outcome)


async def tell_surety(tx: Transaction, rows: Iterable[store.Row], reference: Reference, now: datetime) -> None:
    """Write to the sureties that want it about letters that were given up, in the transaction that gave them up. A
    letter to a surety that was given up is told to nobody.
    """
    letters = []
    for row in rows:
        if domain.told_by(row["letter"]):
            continue
        try:
            surety = reference.surety(row["surety_id"])
        except UnknownSurety:
            # Removed from reference data. What became of the letter must be noted all the same.
            continue
        if surety.undeliverable_mail_to is not None:
            letter = domain.undeliverable(row["letter"])
            name = domain.message_id(row["about_id"], letter, mail_from=surety.mail_from)
            letters.append((row["about_id"], row["letter"], letter, name))
    await store.tell_surety(tx, letters, now)
