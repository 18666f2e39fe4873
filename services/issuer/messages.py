"""What contractor and desk write to each other. Each gets an open transaction; none commits or publishes."""

from collections.abc import Sequence
from uuid import UUID

from chassis import sealing
from chassis.decoding import Received, Refused
from chassis.postgres import Transaction
from chassis.web.idempotency import ANOTHER_TEXT, reused
from chassis.web.problems import FieldError, Problem, invalid
from chassis.web.tokens import Principal
from schemas.applications import MessageToSurety
from schemas.decisions import MessageToContractor
from schemas.sealed import SealedText
from services.issuer import sealed, store
from services.issuer.handlers import cause_of, not_found
from services.issuer.issuance import Issuing
from services.issuer.store import Message
from services.issuer.typed import MESSAGE_LENGTH, lines_of


async def keep_messages(tx: Transaction, batch: Sequence[Received[MessageToSurety]]) -> None:
    """Keep what contractors wrote, sealed as it came. A repeat is the same message."""
    events = [received.event for received in batch]
    if {event.application_id for event in events} - await store.known(tx, (event.application_id for event in events)):
        raise Refused("application_is_unknown")
    await store.add_messages(tx, [told_message(event, direction="from_contractor") for event in events])


def told_message(event: MessageToSurety | MessageToContractor, *, direction: str, person: str | None = None) -> Message:
    """The row of a message as its event tells it, still sealed."""
    return Message(
        message_id=event.message_id,
        application_id=event.application_id,
        direction=direction,
        sent_at=event.sent_at,
        sent_by=event.sent_by,
        person=person,
        data_key_id=event.text.data_key_id,
        nonce=sealing.unb64(event.text.nonce),
        ciphertext=sealing.unb64(event.text.ciphertext),
    )


async def write_to_contractor(
    tx: Transaction,
    application_id: UUID,
    text: str,
    *,
    principal: Principal,
    issuing: Issuing,
    private_key: bytes,
    message_id: UUID,
) -> None:
    """A person of the desk writes to the contractor: sealed, kept and told in one transaction.

    The same `message_id` and text again change nothing. Problem 422 when it is another text's, 409 when the data key is
    not here: shredded, or not yet come.
    """
    lines = lines_of(text, "text", longest=MESSAGE_LENGTH)
    if not lines:
        raise invalid([FieldError("text", "DESK-6", "メッセージを入力してください。", "Write something.")])
    row = await store.data_key(tx, application_id, principal.subject_id)
    if row is None:
        raise not_found()
    if row["wrapped"] is None:
        raise Problem(
            409,
            "data-key-missing",
            "The key under which messages of this application are sealed is not here.",
            detail="この申込の個人情報の鍵がない（消去済み、または未着の）ため、メッセージを送信できません。",
        )
    data_key = sealed.unwrap(application_id, row["data_key_id"], row["wrapped"], private_key)
    told = MessageToContractor(
        message_id=message_id,
        application_id=application_id,
        sent_at=issuing.clock.now(),
        sent_by=principal.account_id,
        text=data_key.seal_as(SealedText, lines.encode(), about=message_id),
    )
    message = told_message(told, direction="to_contractor", person=principal.person)
    if not await store.add_messages(tx, [message]):
        kept = await store.sealed_message(tx, message_id)
        if kept is None or sealed.open_text(data_key, kept["nonce"], kept["ciphertext"], message_id) != lines:
            raise reused(ANOTHER_TEXT)
        return
    await issuing.outbox.add(tx, [(told, cause_of(row))])
