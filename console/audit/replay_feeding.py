"""How are facts fed to the registry's own code, so that nothing comes of it but rows of the shadow?

What could act on the world is not given: no producer, no mail, no pepper, no clock, no dice; the outbox only collects.
"""

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn
from uuid import UUID

from chassis.decoding import Refused
from chassis.outbox import Outbox
from chassis.postgres import REFUSED, Transaction
from console.audit.fold import Difference
from console.audit.replay_facts import Facts, Issued, Told, told_otherwise
from console.store import Connection
from schemas.envelope import Cause, Message
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from services.registry import handlers
from services.registry import store as registry_store
from services.registry.domain import Certificate, Limits
from services.registry.log import documents
from services.registry.log import store as log_store
from services.registry.log.appending import Arrival
from transparency.commitments import commitment
from transparency.errors import DoesNotVerify
from transparency.leaves import CERTIFICATE, REGISTRATION, Document
from transparency.merkle import leaf_hash

BATCH: Final = 500
#: A view names an account, and accounts are not on the topics.
INSERT_ACCOUNTS: Final = """
INSERT INTO account (id, role, subject_id, person)
SELECT id, 'purchaser', subject_id, 'replay' FROM unnest($1::uuid[], $2::text[]) AS a (id, subject_id)
ON CONFLICT (id) DO NOTHING
"""
#: A leaf that cannot be judged any more.
ERASED: Final = "leaf.salt_is_erased"
_CAUSE: Final = Cause("replay")
#: Why a fact cannot be taken: what the live code refuses, and what the database does.
_NEVER: Final = (Refused, handlers.PlaceDiffers, DoesNotVerify, *REFUSED)


class _Later(Exception):
    """Whether it is a finding can only be said when everything was read."""


class WouldAct(Exception):
    """A replay would have had an effect, or would have asked what no event tells. It ends at once."""


class Collecting(Outbox):
    """Takes what would be told, and keeps it for comparison. Nothing relays it."""

    def __init__(self) -> None:
        super().__init__("registry")
        self.collected: list[Event] = []

    async def add(self, tx: Transaction, events: Iterable[tuple[Event, Cause]]) -> None:  # noqa: ARG002 - no row
        self.collected += [event for event, _ in events]

    async def add_messages(self, tx: Transaction, messages: Sequence[Message]) -> NoReturn:  # noqa: ARG002 - no row
        raise WouldAct("a message for a topic")


class Unasked:
    """A clock that nobody may ask: every time is in an event."""

    def now(self) -> datetime:
        raise WouldAct("the present time")


def no_dice() -> NoReturn:
    """Every salt is in an event."""
    raise WouldAct("chance")


@dataclass
class AsTold:
    """When certificates arrived, and with which salt, as the registry told it."""

    registrations: Mapping[UUID, CertificateRegistered]

    def of(self, certificate: Certificate) -> Arrival:
        told = self.registrations[certificate.certificate_id]
        return Arrival(told.registered_at, base64.b64decode(told.salt or ""))


@dataclass(frozen=True)
class Waiting:
    """What the live registry had not published yet when it was looked at."""

    #: Indexes of leaves, and certificate or view ids.
    places: frozenset[int] = frozenset()
    subjects: frozenset[UUID] = frozenset()


#: The live registry's leaves from one index to before another, by index.
LiveLeaves = Callable[[int, int], Awaitable[Mapping[int, Any]]]


@dataclass
class Feeding:
    """Feeds facts in the order of their leaves; knows what it found on the way."""

    shadow: Connection
    facts: Facts
    waiting: Waiting
    live_leaves: LiveLeaves
    advance: Callable[[int], None] = lambda _: None
    until: datetime | None = None
    differences: list[Difference] = field(default_factory=list)
    #: Leaves so far.
    size: int = 0
    #: Leaves of which no event tells place and salt: they were taken from the registry's own table.
    taken_over: int = 0
    _batch: list[Told] = field(default_factory=list, repr=False)
    _goes_early: bool = True
    #: The first leaf that could not be fed early when it was last looked for.
    _missing_at: int = 0

    async def feed(self, end: int) -> None:
        """Feed what lies before the leaf `end`: until one is on its way yet, or is later than `until`."""
        while self.size < end:
            told = self.facts.places.get(self.size)
            if told is None:
                if not await self._flush() or not await self._take_over(self.size, end):
                    break
                continue
            if self.until is not None and told.at > self.until:
                break
            full = self._batch and (self._batch[0].kind != told.kind or len(self._batch) >= BATCH)
            if full and not await self._flush():
                break
            self._batch.append(told)
            self.size += told.width
        await self._flush()

    async def feed_early(self, end: int) -> None:
        """Feed what can be before the leaf `end`, while more is read. What raises a question waits until all is."""
        while self._goes_early and (batch := self._ready(end)):
            try:
                await self._take_quietly(batch)
            except (*_NEVER, _Later):
                self._goes_early = False
            else:
                self.size += sum(told.width for told in batch)
                self._let_go(batch)

    def left(self) -> int:
        """How many facts with a place are known and not fed."""
        return sum(place >= self.size for place in self.facts.places)

    def _ready(self, end: int) -> list[Told]:
        """A batch that is full, or that one of another kind follows; else nothing."""
        batch: list[Told] = []
        if self._feedable(self._missing_at, end) is None:
            return batch
        at = self.size
        while len(batch) < BATCH:
            told = self._feedable(at, end)
            if told is None:
                self._missing_at = at
                return []
            if batch and batch[0].kind != told.kind:
                break
            batch.append(told)
            at += told.width
        self._missing_at = at
        return batch

    def _feedable(self, at: int, end: int) -> Told | None:
        told = self.facts.places.get(at)
        if told is None or at >= end or (self.until is not None and told.at > self.until):
            return None
        return told if self.facts.may_be_fed(told) else None

    async def feed_certificates_without_place(self, old: Sequence[Told]) -> None:
        """Rows of certificates that were told before there was a log. Their leaves are taken over."""
        for begin in range(0, len(old), BATCH):
            batch = old[begin : begin + BATCH]
            try:
                await self._add_rows(batch)
            except _NEVER:
                for told in batch:
                    try:
                        await self._add_rows([told])
                    except _NEVER as error:
                        self._refused(told, error)
            self.advance(len(batch))

    async def _add_rows(self, batch: Sequence[Told]) -> None:
        issued = [(self._issued(told.registration()).certificate, told.at) for told in batch]
        async with self.shadow.transaction():
            await registry_store.add_certificates(self.shadow, issued)

    async def feed_views_without_place(self, old: Sequence[Told]) -> None:
        """After everything else: their certificates must be there."""
        for told in old:
            await self._one(told)

    async def _flush(self) -> bool:
        """Whether the log can go on after these."""
        batch, self._batch = self._batch, []
        if not batch:
            return True
        try:
            found = await self._transaction(batch)
        except _NEVER:
            for told in batch:
                if not await self._one(told):
                    # Whatever follows would get another place.
                    self.size = told.place or 0
                    return False
        else:
            self.differences += found
            self.advance(len(batch))
            self._let_go(batch)
        return True

    def _let_go(self, batch: Sequence[Told]) -> None:
        for told in batch:
            # Of what has no place the leaf is still to be judged.
            if told.place is not None:
                self.facts.let_go(told)

    async def _one(self, told: Told) -> bool:
        self.advance(1)
        try:
            self.differences += await self._transaction([told])
        except _NEVER as error:
            self._refused(told, error)
            return told.place is None or await self._take_over(told.place, told.place + told.width, refused=True)
        self._let_go([told])
        return True

    def _refused(self, told: Told, error: Exception) -> None:
        why = error.reason if isinstance(error, Refused) else type(error).__name__
        self.differences.append(
            Difference(f"{told.kind}_refused", told.contract_number, f"the registry's code refuses it: {why}")
        )

    async def _transaction(self, batch: Sequence[Told]) -> list[Difference]:
        async with self.shadow.transaction():
            return await self._take(batch)

    async def _take_quietly(self, batch: Sequence[Told]) -> None:
        async with self.shadow.transaction():
            if await self._take(batch):
                raise _Later

    async def _take(self, batch: Sequence[Told]) -> list[Difference]:
        return await (self._register(batch) if batch[0].kind == REGISTRATION else self._view(batch))

    async def _register(self, batch: Sequence[Told]) -> list[Difference]:
        told = {one.subject: one.registration() for one in batch}
        outbox = Collecting()
        await handlers.register_checked(
            self.shadow,
            [(self._issued(registered).checked(), _CAUSE) for registered in told.values()],
            registering=handlers.Registering(
                clock=Unasked(),
                outbox=outbox,
                limits=_NO_LOOKING_UP,
                arrivals=AsTold(told),
                # Digests are compared with keys when somebody looks up.
                peppers={},
                draw=no_dice,
            ),
        )
        again = {event.certificate_id: event for event in outbox.collected if isinstance(event, CertificateRegistered)}
        return [
            Difference(f"registration.{name}_differs", registered.contract_number, f"told then and now: {words}")
            for identity, registered in told.items()
            if registered != again[identity]
            for name, words in told_otherwise(registered, again[identity])
        ]

    async def _view(self, batch: Sequence[Told]) -> list[Difference]:
        views = [told.view() for told in batch]
        purchasers = {view.viewed_by: view.purchaser_id for view in views}
        await self.shadow.execute(INSERT_ACCOUNTS, list(purchasers), list(purchasers.values()))
        await handlers.replay_views(self.shadow, views)
        return []

    def _issued(self, registered: CertificateRegistered) -> Issued:
        issued = self.facts.issued(registered)
        if issued is None:
            raise Refused("certificate_was_never_issued")
        return issued

    async def _take_over(self, first: int, end: int, *, refused: bool = False) -> bool:
        """Append the live registry's own leaves, where no fact can. Whether there was one to append."""
        rows = await self.live_leaves(first, min(end, first + BATCH))
        stored: list[log_store.StoredLeaf] = []
        for index in range(first, min(end, first + BATCH)):
            if not refused and (index in self.facts.places or index in self.waiting.places):
                break
            row = rows.get(index)
            if row is None:
                self.differences.append(
                    Difference("leaf_is_missing", f"leaf {index}", "told by no event, and not in the registry's log")
                )
                break
            told = None if refused else self._without_place(row)
            if told is not None and self.until is not None and told.at > self.until:
                break
            if not refused:
                self.differences += self._judge(row, told)
            stored.append(
                log_store.StoredLeaf(index, row["kind"], row["subject"], row["salt"] or b"", row["commitment"])
            )
        if not stored or (refused and len(stored) < end - first):
            return False
        try:
            async with self.shadow.transaction():
                head = await log_store.lock_head(self.shadow)
                grown, gained = head.extend([leaf_hash(leaf.commitment) for leaf in stored])
                await log_store.append(self.shadow, grown, gained, stored)
        except REFUSED:
            words = "what the registry has there stands elsewhere in the replay: nothing after it could be replayed"
            self.differences.append(Difference("leaf_differs", f"leaf {first}", words))
            return False
        self.taken_over += len(stored)
        self.size = max(self.size, first + len(stored))
        return True

    def _without_place(self, row: Any) -> Told | None:
        facts = self.facts.registrations if row["kind"] in {CERTIFICATE, REGISTRATION} else self.facts.views
        told = facts.get(row["subject"])
        return told if told is not None and told.place is None else None

    def _judge(self, row: Any, told: Told | None) -> list[Difference]:
        """A leaf whose salt only the registry knows: it must still be of what the topics say."""
        if told is None:
            return [Difference("leaf_is_untold", f"leaf {row['index']}", f"no event tells of this {row['kind']}")]
        if row["salt"] is None:
            words = f"leaf {row['index']} ({row['kind']}): its salt was erased, so nothing tells what it is of"
            return [Difference(ERASED, told.contract_number, words)]
        try:
            fits = commitment(row["salt"] or b"", self._document(row["kind"], told)) == row["commitment"]
        except (DoesNotVerify, Refused):
            fits = False
        if fits:
            return []
        words = f"leaf {row['index']} ({row['kind']}) is not of what the topics say"
        return [Difference("leaf.commitment_differs", told.contract_number, words)]

    def _document(self, kind: str, told: Told) -> Document:
        if told.kind != REGISTRATION:
            return documents.of_viewed(told.view())
        registered = told.registration()
        if kind == CERTIFICATE:
            return documents.of_issued(self._issued(registered).certificate)
        return documents.of_registration(
            certificate_id=registered.certificate_id,
            contract_number=registered.contract_number,
            version=registered.version,
            content_sha256=registered.content_sha256,
            registered_at=registered.registered_at,
        )


#: Nobody looks anything up in a replay.
_NO_LOOKING_UP: Final = Limits(per_number=0, per_account=0, window=timedelta())
