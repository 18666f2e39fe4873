"""Contractor and surety write to each other about an application. Texts are sealed under its data key throughout."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from uuid_utils.compat import uuid7

from chassis import sealing
from chassis.decoding import Received
from chassis.postgres import Transaction
from chassis.telemetry import current_cause
from chassis.web.idempotency import ANOTHER_TEXT, Answer, reused
from chassis.web.problems import FieldError, Problem, field_errors, invalid
from chassis.web.tokens import Principal
from schemas.applications import ApplicationSubmitted, MessageToSurety
from schemas.decisions import MessageToContractor
from schemas.sealed import SealedText
from services.intake import domain, handlers
from services.intake import store as applications
from services.intake.handlers import Taking
from services.intake.messages import store

log = structlog.get_logger()

TO_SURETY: Final = "to_surety"
TO_CONTRACTOR: Final = "to_contractor"


class Written(BaseModel):
    """One message, opened."""

    message_id: UUID
    direction: str = Field(description="`to_surety` or `to_contractor`")
    sent_at: datetime
    person: str | None = Field(description="The contractor's person; None for the surety's")
    text: str | None = Field(description="None once shredded")


class Letter(BaseModel):
    """What a contractor writes."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    text: str = Field(description=f"At most {domain.MESSAGE_LENGTH} characters")


class Talk(BaseModel):
    """What was written about an application, oldest first."""

    items: list[Written]


async def write_to_surety(
    tx: Transaction, application_id: UUID, text: str, *, message_id: UUID, principal: Principal, taking: Taking
) -> None:
    """A person of the contractor's writes to the surety: sealed, kept and told in one transaction.

    The same `message_id` and text again change nothing. Problem 404 for another's application, 409 once it is shredded,
    422 for what cannot be sent, or under the id of another text.
    """
    row = await applications.application(tx, application_id, principal.subject_id)
    if row is None:
        raise handlers.not_found()
    lines = _checked(text)
    submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
    data_key = handlers.open_data_key(submitted, row["wrapped_data_key"], taking=taking)
    if data_key is None:
        raise Problem(
            409,
            "data-key-missing",
            "The personal data of this application was erased; nothing can be written about it any more.",
            detail="この申込の個人情報は消去されているため、連絡事項を送信できません。",
        )
    told = MessageToSurety(
        message_id=message_id,
        application_id=application_id,
        sent_at=taking.clock.now(),
        sent_by=principal.account_id,
        text=data_key.seal_as(SealedText, lines.encode(), about=message_id),
    )
    message = told_message(told, direction=TO_SURETY, person=principal.person)
    if not await store.add(tx, [message]):
        kept = {one.message_id: one for one in await store.of(tx, application_id)}
        if message_id not in kept or _opened(kept[message_id], data_key) != lines:
            raise reused(ANOTHER_TEXT)
        return
    await taking.outbox.add(tx, [(told, current_cause())])


async def answer_letter(
    tx: Transaction, application_id: UUID, document: Any, *, principal: Principal, taking: Taking
) -> Answer:
    """As `write_to_surety`, for a JSON document."""
    try:
        letter = Letter.model_validate(document)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None
    message_id = uuid7()
    await write_to_surety(tx, application_id, letter.text, message_id=message_id, principal=principal, taking=taking)
    return Answer(202, {"message_id": str(message_id)})


async def follow_messages(tx: Transaction, batch: Sequence[Received[MessageToContractor]]) -> None:
    """Keep what the surety wrote, sealed as it came. A repeat is the same message."""
    await store.add(tx, [told_message(received.event, direction=TO_CONTRACTOR) for received in batch])


def told_message(
    event: MessageToSurety | MessageToContractor, *, direction: str, person: str | None = None
) -> store.Message:
    """The row of a message as its event tells it, still sealed."""
    return store.Message(
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


async def read(tx: Transaction, application_id: UUID, *, principal: Principal, taking: Taking) -> Talk:
    """Everything that was written; the surety's messages count as seen from now on. Problem 404 for another's."""
    row = await applications.application(tx, application_id, principal.subject_id)
    if row is None:
        raise handlers.not_found()
    messages = await store.of(tx, application_id)
    data_key = None
    if messages:
        submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
        data_key = handlers.open_data_key(submitted, row["wrapped_data_key"], taking=taking)
        await store.mark_seen(tx, application_id, taking.clock.now())
    return Talk(
        items=[
            Written(
                message_id=message.message_id,
                direction=message.direction,
                sent_at=message.sent_at,
                person=message.person,
                text=_opened(message, data_key),
            )
            for message in messages
        ]
    )


def _checked(text: str) -> str:
    """A text as it is kept. Problem 422 for none, one that is too long, or what cannot be printed."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not lines:
        raise invalid([FieldError("text", "E", "連絡事項を入力してください。", "Write something.")])
    faults = domain.check_message("text", "E", lines)
    if faults:
        raise invalid([FieldError(f.field, f.rule, f.message_ja, f.message_en) for f in faults])
    return lines


def _opened(message: store.Message, data_key: sealing.DataKey | None) -> str | None:
    """None for a text that this key does not open, so that it hides none of the others."""
    if data_key is None:
        return None
    try:
        return data_key.open(message.nonce, message.ciphertext, about=message.message_id).decode()
    except (sealing.CannotOpen, UnicodeDecodeError):
        log.error("message.cannot_be_opened", message_id=str(message.message_id))  # noqa: TRY400 - the id tells all
        return None
