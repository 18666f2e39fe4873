"""What a contractor does with a form before it is an application. Sealed at rest: what is typed is personal data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Transaction
from chassis.telemetry import current_cause
from chassis.web.tokens import Principal
from services.intake import handlers
from services.intake.drafts import store
from services.intake.drafts.store import Place
from services.intake.forms import ApplicationForm
from services.intake.handlers import Taking

#: A list of drafts is for people; more than these are not shown.
MOST_LISTED: Final = 100


@dataclass(frozen=True)
class Draft:
    """A form as it was typed: every field is text, and may be anything."""

    id: UUID
    saved_at: datetime
    person: str
    fields: Mapping[str, str] = field(repr=False)
    #: What became of it.
    application_id: UUID | None = None


async def save(
    tx: Transaction, draft_id: UUID, place: Place, fields: Mapping[str, str], *, principal: Principal, taking: Taking
) -> Draft:
    """Keep what was typed, for everyone of the contractor's. A draft that was sent stays sent: see `application_id`.

    The id is drawn with the empty form, so that a form that is sent twice is one draft. Problem 404 for another's.
    """
    text = json.dumps(dict(fields), ensure_ascii=False).encode()
    nonce, ciphertext = taking.at_rest.seal(text, about=draft_id)
    now = taking.clock.now()
    await store.save(tx, draft_id, place, now=now, account_id=principal.account_id, nonce=nonce, ciphertext=ciphertext)
    return await find(tx, draft_id, place, taking=taking)


async def begin(
    tx: Transaction, draft_id: UUID, place: Place, fields: Mapping[str, str], *, principal: Principal, taking: Taking
) -> Draft:
    """As `save`, once: a draft that is there stays as somebody went on with it."""
    row = await store.find(tx, draft_id, place)
    if row is not None:
        return _opened(row, taking)
    return await save(tx, draft_id, place, fields, principal=principal, taking=taking)


async def find(tx: Transaction, draft_id: UUID, place: Place, *, taking: Taking, lock: bool = False) -> Draft:
    """One draft. Problem 404 for another's, or none."""
    row = await store.find(tx, draft_id, place, lock=lock)
    if row is None:
        raise handlers.not_found()
    return _opened(row, taking)


async def newest(tx: Transaction, place: Place, *, taking: Taking, limit: int = MOST_LISTED) -> tuple[int, list[Draft]]:
    """How many there are, and the newest."""
    count, rows = await store.newest(tx, place, limit)
    return count, [_opened(row, taking) for row in rows]


async def send(tx: Transaction, draft: Draft, form: ApplicationForm, *, principal: Principal, taking: Taking) -> UUID:
    """Make a draft that was found with `lock` an application, once; its id. Problems as of `take_application`."""
    if draft.application_id is not None:
        return draft.application_id
    applying = handlers.Applying(form, principal, current_cause())
    application_id = await handlers.take_application(tx, applying, taking=taking)
    await store.consume(tx, draft.id, application_id)
    return application_id


async def delete(tx: Transaction, draft_id: UUID, place: Place) -> None:
    """Forget a draft. One that is not there, or was sent, is left as it is."""
    await store.delete(tx, draft_id, place)


def _opened(row: store.Row, taking: Taking) -> Draft:
    fields: dict[str, str] = {}
    if row.nonce is not None and row.ciphertext is not None:
        fields = json.loads(taking.at_rest.open(row.nonce, row.ciphertext, about=row.id))
    return Draft(row.id, row.saved_at, row.person, fields, row.application_id)
