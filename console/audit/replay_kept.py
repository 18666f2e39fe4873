"""Can the event log alone make again what issuer, intake and notifier keep, by their own code? In a shadow.

1. How far has the service taken what it reads, and where does end what it writes? All told before, it must hold.
2. A snapshot of its database, read only.
3. Where do all these topics end now? What the snapshot holds is told there, or waits in its outbox.
4. One topic after the other through the service's code into the shadow; tombstones last of all.
5. Shadow and snapshot side by side.

An application of which something is on its way, or later than asked for, *moves*: what it may have changed meanwhile is
counted as newer. Everything else must be equal, row for row and column for column; and what the service itself told of,
and tells nothing newer of, must be there.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from chassis.decoding import Forgotten, Received, Refused, decode
from chassis.postgres import REFUSED
from console.audit import store
from console.audit.fold import Difference
from console.audit.keeping import AsTold, Keeping, KeptTable
from console.audit.replay import Progress, Silent, snapshots
from console.audit.replay_rows import differing, merged
from console.audit.shadow import Shadow, open_shadow
from console.environment import Stack
from console.kafka_reading import committed, open_reader
from console.running import explain
from console.store import Connection, Record
from schemas.event import Event
from schemas.topics import Topic

SELECT_WAITING: Final = "SELECT key, value FROM outbox WHERE topic = ANY($1::text[])"
#: Why a fact cannot be taken: the service parks it then, and the replay counts it.
_NEVER: Final = (Refused, *REFUSED)


@dataclass(frozen=True)
class ReplayedKept:
    """What one replay of issuer, intake or notifier found."""

    service: str
    differences: tuple[Difference, ...]
    #: Rows of the shadow, by table.
    rows: Mapping[str, int]
    #: Live rows that differ by what is on its way or later, by table; `told`: facts that need not be held yet.
    newer: Mapping[str, int]
    unreadable: Mapping[str, int]
    #: Facts that the service's code refuses, by reason: it parked them, too.
    refused: Mapping[str, int]
    #: Rows that one side lacks because reference data have changed since, by table.
    of_other_data: Mapping[str, int]
    #: The moment of the snapshot.
    at: datetime
    until: datetime | None
    #: Facts fed, how long feeding took, and all of it.
    facts: int
    feeding_seconds: float
    seconds: float
    #: The shadow's schema, if it was kept.
    kept: str | None
    not_replayed: str

    @property
    def equal(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            **asdict(self),
            "differences": [difference._asdict() for difference in self.differences],
        }


async def replay_kept(
    stack: Stack,
    keeps: type[Keeping],
    *,
    until: datetime | None = None,
    keep: bool = False,
    progress: Progress | None = None,
) -> ReplayedKept:
    """Replay what a service keeps into a shadow and compare. Its database and the topics are only read.

    Raises `Problem` where Kafka, the database or a shadow can't be had.
    """
    try:
        async with open_shadow(stack, keeps.service) as shadow, snapshots(stack, keeps.service) as live:
            with _without_its_words():
                found = await _Replay(stack, shadow, live, keeps, until, progress or Silent()).run(keep=keep)
            shadow.keep = keep
            return found
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        raise problem from None


@contextlib.contextmanager
def _without_its_words() -> Iterator[None]:
    """What a service's code logs while it does again what it did is no news."""

    def drop(*_: object) -> Any:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    try:
        yield
    finally:
        structlog.configure(**before)


@dataclass
class _Replay:
    stack: Stack
    shadow: Shadow
    live: Connection
    keeps: type[Keeping]
    until: datetime | None
    progress: Progress
    #: Applications of which something is on its way, or later than asked for.
    moving: set[UUID] = field(default_factory=set)
    #: Those of which that is the service's own.
    moving_itself: set[UUID] = field(default_factory=set)
    newer: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    of_other_data: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    _held_until: dict[TopicPartition, int] = field(default_factory=dict)
    _tombstones: list[Forgotten] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._clock = AsTold()
        self._keeping = self.keeps(self.shadow.connection, self._clock)

    async def run(self, *, keep: bool) -> ReplayedKept:
        names = [topic.name for topic in self.keeps.topics]
        own = [topic.name for topic in self.keeps.topics if topic.writer == self.keeps.service]
        async with open_reader(self.stack.kafka, names) as reader:
            taken = await committed(self.stack.kafka, self.keeps.service, set(names) - set(own))
            self._held_until = taken | await reader.ends(*own)
            async with self.live.transaction(isolation="repeatable_read", readonly=True):
                at: datetime = await self.live.fetchval(store.SELECT_NOW)
                ends = await reader.ends(*names)
                self._note_waiting(await self.live.fetch(SELECT_WAITING, own))
                self.progress.stage("replaying 再生", sum(ends.values()))
                began = time.monotonic()
                for topic in self.keeps.topics:
                    of_topic = {place: end for place, end in ends.items() if place.topic == topic.name}
                    async for records in reader.records_until(of_topic):
                        await self._feed(self._readable(records, topic))
                        self.progress.advance(len(records))
                    for received in self._keeping.held_back(topic):
                        await self._feed([received])
                await self._forget()
                feeding_seconds = time.monotonic() - began
                differences = [*self._keeping.found, *await self._compare()]
        return ReplayedKept(
            service=self.keeps.service,
            differences=tuple(differences),
            rows=dict(self.rows),
            newer=dict(self.newer),
            unreadable=dict(self.unreadable),
            refused=dict(self.refused),
            of_other_data=dict(self.of_other_data),
            at=at,
            until=self.until,
            facts=self.facts,
            feeding_seconds=feeding_seconds,
            seconds=time.monotonic() - self._began,
            kept=self.shadow.name if keep else None,
            not_replayed=self.keeps.not_replayed,
        )

    def _note_waiting(self, outbox: Iterable[Record]) -> None:
        """What the snapshot's outbox would tell moves."""
        for row in outbox:
            told = json.loads(row["value"]) if row["value"] is not None else {"application_id": row["key"].decode()}
            self.moving_itself |= {UUID(told[name]) for name in ("application_id", "replaces") if told.get(name)}
        self.moving |= self.moving_itself

    def _readable(self, records: Sequence[ConsumerRecord], topic: Topic) -> list[Received[Event]]:
        """The facts that are to be fed now; notes what moves, and tombstones for later."""
        facts: list[Received[Event]] = []
        for record in records:
            try:
                decoded = decode(record, topic.readers[0])
                concerned = _concerned(decoded)
            except (Refused, ValueError) as error:
                self.unreadable[error.reason if isinstance(error, Refused) else "key_is_not_an_application"] += 1
                continue
            later = self.until is not None and _moment(decoded) > self.until
            if later or record.offset >= self._held_until.get(TopicPartition(record.topic, record.partition), 0):
                self.moving |= concerned
                if topic.writer == self.keeps.service:
                    self.moving_itself |= concerned
                self.newer["told"] += 1
            if later:
                continue
            if isinstance(decoded, Forgotten):
                self._tombstones.append(decoded)
            else:
                facts.append(decoded)
        return facts

    async def _feed(self, batch: Sequence[Received[Event]]) -> None:
        if not batch:
            return
        try:
            await self._take(batch)
        except _NEVER:
            # As the service does: find the one that cannot be taken; the others go on, in their order.
            for received in batch:
                try:
                    await self._take([received])
                except _NEVER as error:
                    self.refused[error.reason if isinstance(error, Refused) else type(error).__name__] += 1

    async def _take(self, batch: Sequence[Received[Event]]) -> None:
        self._clock.at = max(received.event.occurred_at for received in batch)
        async with self.shadow.connection.transaction():
            await self._keeping.take(self.shadow.connection, batch)
        self.facts += len(batch)

    async def _forget(self) -> None:
        for tombstone in self._tombstones:
            self._clock.at = _moment(tombstone)
            async with self.shadow.connection.transaction():
                await self._keeping.forget(self.shadow.connection, [tombstone.key])
        self.facts += len(self._tombstones)

    async def _compare(self) -> list[Difference]:
        counts = [await self.live.fetchval(store.count_rows(table.name)) for table in self.keeps.tables]
        self.progress.stage("comparing 照合", sum(counts))
        async with self.shadow.connection.transaction():
            found = [difference async for difference in self._differences()]
            return [*found, *await self._keeping.sums(self.live, frozenset(self.moving))]

    async def _differences(self) -> AsyncIterator[Difference]:
        for table in self.keeps.tables:
            self.rows[table.name] = 0
            async for ours, theirs in merged(self.shadow.connection, self.live, table):
                self.rows[table.name] += ours is not None
                self.progress.advance(1)
                if ours != theirs:
                    for difference in self._judge(table, ours, theirs):
                        yield difference

    def _judge(self, table: KeptTable, ours: Any, theirs: Any) -> Iterator[Difference]:
        application_id = (theirs if ours is None else ours)["application_id"]
        moves = application_id in self.moving
        if ours is None or theirs is None:
            is_told = theirs is None and table.is_own(ours) and application_id not in self.moving_itself
            if moves and not is_told:
                self.newer[table.name] += 1
                return
            if self._keeping.is_of_its_day(table, theirs if ours is None else ours):
                self.of_other_data[table.name] += 1
                return
        else:
            theirs = table.as_told(ours, theirs)
            if moves:
                settled = {name: ours[name] if name in table.changing else value for name, value in theirs.items()}
                self.newer[table.name] += settled != theirs
                theirs = settled
        yield from differing(table, ours, theirs, holder=self.keeps.service)


def _concerned(decoded: Received[Event] | Forgotten) -> set[UUID]:
    """The applications that a record is about. Raises `ValueError` for a tombstone of something else."""
    if isinstance(decoded, Forgotten):
        return {UUID(decoded.key)}
    named = (getattr(decoded.event, name, None) for name in ("application_id", "replaces"))
    return {identity for identity in named if identity is not None}


def _moment(decoded: Received[Event] | Forgotten) -> datetime:
    """When it was; a tombstone tells no time, and the broker does."""
    if isinstance(decoded, Received):
        return decoded.event.occurred_at
    return datetime.fromtimestamp(decoded.record.timestamp / 1000, UTC)
