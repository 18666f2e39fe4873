"""What intake does to erase personal data. As every handler: an open transaction, no commit, nothing published.

What stays is ciphertext that nobody can open, so that events, hashes and proofs stay whole.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.outbox import Outbox
from chassis.postgres import Transaction
from schemas import topics
from schemas.envelope import Message
from services.intake.shredding import store
from services.intake.shredding.store import Concerned, Shredding

log = structlog.get_logger()

#: Later than Kafka takes to close a segment, so that each telling closes the one with the telling before.
TELL_EVERY: Final = topics.DATA_KEYS.compacted_within + timedelta(hours=1)
#: For as long as a repeat of the key from a process that slept is to be thought of.
TELL_FOR: Final = timedelta(days=7)
#: Told again in one transaction.
BATCH: Final = 500


class ApplicationIsUnknown(Exception):
    """Nobody ever sent an application of this id here."""

    def __init__(self, application_id: UUID) -> None:
        super().__init__(f"There is no application {application_id}.")
        self.application_id = application_id


class CopiesMayBeLeft(Exception):
    """The contractor has unsent drafts that may have been made from the application, and nobody said what to do."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} unsent drafts may be copies.")
        self.count = count


async def look(tx: Transaction, application_id: UUID) -> Concerned:
    """What would be shredded. Raises `ApplicationIsUnknown`."""
    return _known(await store.concerned(tx, application_id), application_id)


async def shred(
    tx: Transaction,
    application_id: UUID,
    *,
    by: str,
    reason: str,
    delete_drafts: bool | None,
    outbox: Outbox,
    now: datetime,
) -> Shredding:
    """Destroy the data key of an application: when `tx` commits, intake cannot open its personal data any more, and the
    readers are told to forget their copies.

    A repeat keeps the first note of who and why, and tells the readers again: one of them may have been restored from a
    backup. Raises `ApplicationIsUnknown`, and `CopiesMayBeLeft` where `delete_drafts` is needed and None.
    """
    # Step 11: destroy the key, note who and why, and tell, in one transaction.
    application = _known(await store.concerned(tx, application_id, lock=True), application_id)
    if application.drafts and delete_drafts is None:
        raise CopiesMayBeLeft(application.drafts)
    if delete_drafts:
        await store.delete_copies(tx, application)
    done = await store.note(
        tx, application_id, now=now, by=by, reason=reason, tell_again_at=now + TELL_EVERY, tell_until=now + TELL_FOR
    )
    destroyed = await store.destroy_key(tx, application_id)
    await store.blank_fingerprints(tx, application)
    await outbox.add_messages(tx, _tombstones([application_id]))
    log.info("application.shredded", application_id=str(application_id), repeated=not destroyed)
    return done


async def tell_again(tx: Transaction, *, outbox: Outbox, now: datetime) -> int:
    """Tell the tombstones that are due once more; how many. Several processes may do so at once."""
    due = await store.take_due(tx, now=now, next_at=now + TELL_EVERY, limit=BATCH)
    await outbox.add_messages(tx, _tombstones(due))
    return len(due)


def _known(application: Concerned | None, application_id: UUID) -> Concerned:
    if application is None:
        raise ApplicationIsUnknown(application_id)
    return application


def _tombstones(application_ids: Iterable[UUID]) -> list[Message]:
    """No event: a null value under the application's id, without headers."""
    return [Message(topics.DATA_KEYS.name, str(identity).encode(), None, ()) for identity in application_ids]
