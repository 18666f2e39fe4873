"""Can the event log alone make the registry again, by the registry's own code? The auditor's replay, in a shadow.

1. Where do the effects' topics end? All that they tell so far the registry must hold.
2. A snapshot of the live registry, read only.
3. Where do all three topics end now? What the snapshot holds is told there, or waits in its outbox.
4. Facts in the order of their leaves, through the live code, into the shadow: what raises no question while more is
   read, the rest afterwards.
5. Shadow and snapshot side by side, and every root that was signed.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from aiokafka import TopicPartition

from chassis.clock import JST
from chassis.lifecycle import settled
from console.audit.fold import Difference
from console.audit.replay_checkpoints import public_keys_of
from console.audit.replay_compare import CERTIFICATE, LEAF, VIEW, Beside
from console.audit.replay_facts import TOPICS, Facts, Told
from console.audit.replay_feeding import Feeding, Waiting
from console.audit.shadow import Shadow, open_shadow
from console.environment import Stack
from console.kafka_reading import open_reader
from console.running import explain
from console.store import Connection, Record, connect
from deploy.local.problem import Problem
from schemas import topics
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from transparency.leaves import REGISTRATION

#: Whatever is tried on it afterwards, nothing is written.
READ_ONLY: Final = "SET default_transaction_read_only = on"
#: The first statement of a snapshot makes it. A log whose head was lost is as long as leaf follows leaf.
SELECT_SIZE: Final = """
SELECT clock_timestamp() AS at, coalesce(
    (SELECT size FROM log_head),
    (SELECT min(index) + 1 FROM leaf WHERE NOT EXISTS (SELECT FROM leaf AS next WHERE next.index = leaf.index + 1)),
    0) AS size
"""
SELECT_WAITING: Final = "SELECT topic, value FROM outbox WHERE topic = ANY($1::text[])"
SELECT_LEAVES: Final = "SELECT index, kind, subject, salt, commitment FROM leaf WHERE index >= $1 AND index < $2"
SELECT_PLACES: Final = "SELECT index FROM leaf WHERE subject = ANY($1::uuid[])"
#: Which of these the registry holds, of what was told without a place.
SELECT_HELD: Final = """
SELECT certificate_id AS id FROM certificate WHERE certificate_id = ANY($1::uuid[])
UNION ALL SELECT view_id FROM view WHERE view_id = ANY($1::uuid[])
"""
COUNT_ROWS: Final = """
SELECT (SELECT count(*) FROM certificate) + (SELECT count(*) FROM view) + (SELECT count(*) FROM leaf)
    + (SELECT count(*) FROM tile_node)
"""
#: As PostgreSQL counts.
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
#: What no event tells, so that no replay makes it.
NOT_REPLAYED: Final = "accounts, tokens, sign-ins, sessions, opened certificates, throttles, outbox and checkpoints"


class Progress(Protocol):
    """Who is told how far it is."""

    def stage(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None: ...


class Silent:
    def stage(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None: ...


@dataclass(frozen=True)
class Replayed:
    """What one replay found."""

    differences: tuple[Difference, ...]
    #: What the shadow holds.
    certificates: int
    views: int
    size: int
    root: bytes
    #: Live rows later than what was replayed, and told facts later than the snapshot, by table or kind.
    newer: Mapping[str, int]
    #: Signed sizes whose root is the shadow's.
    checkpoints: int
    repeats: int
    unreadable: Mapping[str, int]
    #: Certificates on certificates.v1 that were not registered yet.
    unregistered: int
    #: Leaves older than the log's events, taken from the registry's own table and checked against the topics.
    taken_over: int
    #: The moment of the snapshot.
    at: datetime
    until: datetime | None = None
    #: Facts fed, how long reading and feeding took, and all of it.
    facts: int = 0
    feeding_seconds: float = 0.0
    seconds: float = 0.0
    #: The shadow's schema, if it was kept.
    kept: str | None = None
    not_replayed: str = NOT_REPLAYED

    @property
    def equal(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            **asdict(self),
            "root": self.root.hex(),
            "differences": [difference._asdict() for difference in self.differences],
        }


def read_moment(typed: str) -> datetime:
    """A time as a person types it, in Japan unless it says where. Raises `Problem`."""
    try:
        moment = datetime.fromisoformat(typed.strip().upper())
    except ValueError:
        raise Problem(f'"{typed}" is no time: write 2026-11-20T17:15 (Japan), or 2026-11-20T08:15Z.') from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=JST)


async def replay(
    stack: Stack, *, until: datetime | None = None, keep: bool = False, progress: Progress | None = None
) -> Replayed:
    """Replay the registry into a shadow and compare. The live registry and the topics are only read.

    Raises `Problem` where Kafka, the registry or a shadow can't be had.
    """
    try:
        with settled():
            async with open_shadow(stack) as shadow, snapshots(stack, "registry") as live:
                found = await _Replay(stack, shadow, live, until, progress or Silent()).run(keep=keep)
                shadow.keep = keep
                return found
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        raise problem from None


def _moment(raw: tuple[int]) -> datetime | str:
    try:
        return _EPOCH + timedelta(microseconds=raw[0])
    except OverflowError:
        return f"{raw[0]} µs after {_EPOCH:%Y-%m-%d}"


def _microseconds(moment: datetime) -> tuple[int]:
    return ((moment - _EPOCH) // timedelta(microseconds=1),)


@contextlib.asynccontextmanager
async def snapshots(stack: Stack, service: str) -> AsyncIterator[Connection]:
    """A live database, for transactions that must outlast a replay, and cannot write."""
    async with connect(stack, service, idle_in_transaction_timeout="0") as connection:
        # PostgreSQL knows later years than Python: whoever moved a date there must be found, and ends nothing.
        await connection.set_type_codec(
            "timestamptz", schema="pg_catalog", format="tuple", encoder=_microseconds, decoder=_moment
        )
        await connection.execute(READ_ONLY)
        yield connection


async def now_and_size(live: Connection) -> Record:
    """The moment `at` of the snapshot that this makes, and how many leaves it holds: `size`."""
    row = await live.fetchrow(SELECT_SIZE)
    assert row is not None, "it selects from nothing"
    return row


async def chosen(
    live: Connection, facts: Facts, live_size: int, until: datetime | None = None
) -> tuple[int, list[Told], set[UUID]]:
    """Before which leaf to stop; what has no place and is to be fed, by time; what has none and is later."""
    # The log's lock makes leaves visible in their order: what is before the snapshot's size, it holds.
    end = max([live_size, *(at + told.width for at, told in facts.places.items() if told.must_be_held)])
    without = facts.without_place()
    held = {row["id"] for row in await live.fetch(SELECT_HELD, [told.subject for told in without])}
    old, newer = [], set()
    for told in without:
        is_later = until is not None and told.at > until
        if is_later or not (told.must_be_held or told.subject in held):
            newer.add(told.subject)
        else:
            old.append(told)
    return end, old, newer


@dataclass
class _Replay:
    stack: Stack
    shadow: Shadow
    live: Connection
    until: datetime | None
    progress: Progress
    _began: float = field(default_factory=time.monotonic)

    async def run(self, *, keep: bool) -> Replayed:
        names = [topic.name for topic in TOPICS]
        # Evenly: the less waits for its turn to be fed.
        async with open_reader(self.stack.kafka, names, fetch_bytes=topics.MAX_EVENT_BYTES) as reader:
            held_until: dict[TopicPartition, int] = await reader.ends(topics.REGISTRATIONS.name, topics.VIEWS.name)
            async with self.live.transaction(isolation="repeatable_read", readonly=True):
                head = await now_and_size(self.live)
                waiting = await self._waiting()
                facts = Facts(held_until)
                feeding = Feeding(
                    self.shadow.connection, facts, waiting, self._live_leaves, self.progress.advance, self.until
                )
                ends = await reader.ends(*names)
                self.progress.stage("reading 読込", sum(ends.values()))
                began = time.monotonic()
                async for records in reader.records_until(ends):
                    facts.take(records)
                    await feeding.feed_early(head["size"])
                    self.progress.advance(len(records))
                return await self._feed_and_compare(feeding, began, head["at"], head["size"], kept=keep)

    async def _feed_and_compare(
        self, feeding: Feeding, began: float, at: datetime, live_size: int, *, kept: bool
    ) -> Replayed:
        facts, waiting = feeding.facts, feeding.waiting
        end, old, newer = await chosen(self.live, facts, live_size, self.until)
        self.progress.stage("replaying 再生", feeding.left() + len(old))
        await feeding.feed_certificates_without_place([told for told in old if told.kind == REGISTRATION])
        await feeding.feed(end)
        await feeding.feed_views_without_place([told for told in old if told.kind != REGISTRATION])
        feeding_seconds = time.monotonic() - began
        left_out = self._left_out(facts, feeding.size, end)
        beside = Beside(
            self.shadow.connection,
            self.live,
            feeding.size,
            live_size,
            facts.told_until(feeding.size, waiting.places | await self._without_place(facts)),
            public_keys_of(self.stack),
            is_newer=lambda subject: subject in waiting.subjects or subject in newer,
            advance=self.progress.advance,
        )
        self.progress.stage("comparing 照合", int(await self.live.fetchval(COUNT_ROWS)))
        async with self.shadow.connection.transaction():
            found = [difference async for difference in beside.differences()]
        return Replayed(
            differences=(*facts.contradictions, *feeding.differences, *left_out, *found, *beside.contradicted),
            certificates=beside.rows[CERTIFICATE.name],
            views=beside.rows[VIEW.name],
            size=beside.rows[LEAF.name],
            root=beside.root,
            newer=beside.newer | {"told": self._told_later(facts, feeding.size, newer)},
            checkpoints=beside.checkpoints,
            repeats=facts.repeats,
            unreadable=dict(facts.unreadable),
            unregistered=facts.unregistered,
            taken_over=feeding.taken_over,
            at=at,
            until=self.until,
            facts=beside.rows[CERTIFICATE.name] + beside.rows[VIEW.name],
            feeding_seconds=feeding_seconds,
            seconds=time.monotonic() - self._began,
            kept=self.shadow.name if kept else None,
        )

    async def _waiting(self) -> Waiting:
        """What the snapshot's outbox would tell."""
        places: set[int] = set()
        subjects: set[UUID] = set()
        for row in await self.live.fetch(SELECT_WAITING, [topics.REGISTRATIONS.name, topics.VIEWS.name]):
            if row["topic"] == topics.REGISTRATIONS.name:
                registered = CertificateRegistered.model_validate_json(row["value"], strict=True)
                subjects.add(registered.certificate_id)
                if registered.leaf_index is not None:
                    places |= {registered.leaf_index, registered.leaf_index + 1}
            else:
                viewed = CertificateViewed.model_validate_json(row["value"], strict=True)
                subjects.add(viewed.view_id)
                if viewed.leaf_index is not None:
                    places.add(viewed.leaf_index)
        return Waiting(frozenset(places), frozenset(subjects))

    async def _without_place(self, facts: Facts) -> frozenset[int]:
        """Leaves of what was told before there was a log."""
        without = [told.subject for told in facts.without_place()]
        return frozenset(row["index"] for row in await self.live.fetch(SELECT_PLACES, without))

    def _left_out(self, facts: Facts, size: int, end: int) -> list[Difference]:
        """Facts that the registry must hold, and that no replay reached."""
        if self.until is not None:
            return []
        return [
            Difference(f"{told.kind}_is_missing", told.contract_number, f"told for leaf {place}, beyond a gap")
            for place, told in facts.places.items()
            if size <= place < end and told.must_be_held
        ]

    @staticmethod
    def _told_later(facts: Facts, size: int, newer: set[UUID]) -> int:
        return sum(place >= size for place in facts.places) + len(newer)

    async def _live_leaves(self, first: int, end: int) -> Mapping[int, Any]:
        return {row["index"]: row for row in await self.live.fetch(SELECT_LEAVES, first, end)}
