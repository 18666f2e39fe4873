"""What must be in the rebuilt registry, and how does it come there? Read and fed in rounds, each time what is new.

What waits in the live registry's outbox is a fact like any other: its messages are what the topics will say.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from chassis.outbox import unpack
from console.audit.fold import Difference
from console.audit.replay import Progress
from console.audit.replay_facts import TOPICS, Facts, Told, record_of
from console.audit.replay_feeding import ERASED, Feeding, Waiting
from console.kafka_reading import Reader
from console.store import Connection
from schemas import topics
from services.registry.log import store as log_store
from transparency.leaves import CERTIFICATE, REGISTRATION, VIEW

EFFECTS: Final = (topics.REGISTRATIONS.name, topics.VIEWS.name)
SELECT_OUTBOX: Final = "SELECT topic, key, value, headers FROM outbox WHERE topic = ANY($1::text[]) ORDER BY id"
#: Leaves of what was told without a place: only the registry knows their salts.
SELECT_LEAVES_OF: Final = """
SELECT index, kind, subject, salt, commitment FROM leaf WHERE subject = ANY($1::uuid[])
"""
#: Where messages of an outbox lie, as far as facts are concerned.
_OUTBOX: Final = -1


@dataclass
class CatchingUp:
    """Facts, and how far the shadow has them."""

    reader: Reader
    shadow: Connection
    progress: Progress
    facts: Facts = field(init=False)
    feeding: Feeding = field(init=False)
    #: Leaves of facts without a place, by index.
    old: dict[int, Any] = field(default_factory=dict)
    #: Of what was fed.
    root: bytes = b""
    _fed_without: set[UUID] = field(default_factory=set)

    async def begin(self) -> None:
        """Before anyone looks at the live registry: what is told by now it must hold."""
        held_until = await self.reader.ends(*EFFECTS)
        # What its outbox tells it holds, too.
        self.facts = Facts({**held_until, **{TopicPartition(topic, _OUTBOX): 1 for topic in EFFECTS}})
        self.feeding = Feeding(self.shadow, self.facts, Waiting(), self._taken_over, self.progress.advance)

    async def ahead(self) -> int:
        """How many records there are to read."""
        return sum((await self.reader.ends(*(topic.name for topic in TOPICS))).values())

    async def read(self, live: Connection, *, early: int = 0) -> None:
        """What is told, and what waits. The outbox first: what is gone from it then is on its topic.

        What can be fed before the leaf `early` is fed meanwhile.
        """
        rows = await live.fetch(SELECT_OUTBOX, list(EFFECTS))
        ends = await self.reader.ends(*(topic.name for topic in TOPICS))
        async for records in self.reader.records_until(ends):
            self.facts.take(records)
            await self.feeding.feed_early(early)
            self.progress.advance(len(records))
        self.facts.take([_record(row) for row in rows])
        without = [told.subject for told in self.facts.without_place()]
        leaves = await live.fetch(SELECT_LEAVES_OF, without) if without else []
        self.old = {row["index"]: row for row in leaves}

    def reachable(self) -> int:
        """How far leaf follows leaf."""
        return self.facts.told_until(self.feeding.size, self.old)

    async def _taken_over(self, _first: int, _end: int) -> dict[int, Any]:
        return self.old

    async def feed(self, end: int, without: list[Told]) -> int:
        """How many facts were fed."""
        new = [told for told in without if told.subject not in self._fed_without]
        self._fed_without |= {told.subject for told in new}
        before = self.feeding.size
        await self.feeding.feed_certificates_without_place([told for told in new if told.kind == REGISTRATION])
        await self.feeding.feed(end)
        await self.feeding.feed_views_without_place([told for told in new if told.kind != REGISTRATION])
        self.root = (await log_store.head(self.shadow)).root()
        return self.feeding.size - before + len(new)

    async def feed_all(self) -> int:
        """As `feed`, whatever is known by now."""
        return await self.feed(self.reachable(), self.facts.without_place())

    def refusals(self, *, held_only: bool = False) -> list[Difference]:
        """Why this shadow may not become the registry."""
        gap = self.feeding.size
        words = f"beyond a gap: no event and no leaf of the registry tells of leaf {gap}"
        beyond = [
            Difference(f"{told.kind}_is_missing", told.contract_number, f"told for leaf {place}, {words}")
            for place, told in self.facts.places.items()
            if place >= gap and (told.must_be_held or not held_only)
        ]
        has_leaf = {(row["kind"], row["subject"]) for index, row in self.old.items() if index < gap}
        words = "its event tells no place, and the registry's log does not hold its leaf"
        leafless = [
            Difference("leaf_is_missing", told.contract_number, f"{told.kind} {told.subject}: {words}")
            for told in self.facts.without_place()
            if told.must_be_held or not held_only
            for kind in ((CERTIFICATE, REGISTRATION) if told.kind == REGISTRATION else (VIEW,))
            if (kind, told.subject) not in has_leaf
        ]
        fed = [difference for difference in self.feeding.differences if difference.kind != ERASED]
        return [*self.facts.contradictions, *fed, *beyond, *leafless]


def _record(row: Any) -> ConsumerRecord:
    """A message that waits in the outbox, as its topic will hold it."""
    return record_of(row["topic"], _OUTBOX, row["key"], row["value"], unpack(row["headers"]))
