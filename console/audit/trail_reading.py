"""Where does a trail come from? Topics by key, and what the services note without an event. Nothing is changed."""

import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from chassis import dead_letters as parked
from chassis.decoding import ORIGIN_TOPIC, Forgotten, Received, Refused, decode
from console import dead_letters
from console.audit import store, wording
from console.audit.trail import Entry, Trail, in_order, once
from console.audit.trail_notes import noted
from console.environment import Stack
from console.kafka_reading import Reader, open_reader
from console.store import connect
from deploy.local.problem import Problem
from schemas import contract_number, topics
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided
from schemas.event import Event

#: What is about an application, and what is about a contract number.
_BY_APPLICATION: Final = (topics.APPLICATIONS, topics.DATA_KEYS, topics.DECISIONS, topics.NOTIFICATIONS)
_BY_NUMBER: Final = (topics.CERTIFICATES, topics.REGISTRATIONS, topics.VIEWS)
_TOPICS: Final = {topic.name: topic for topic in (*_BY_APPLICATION, *_BY_NUMBER)}
#: Topic → group, and whether it holds what the group parked or what was given back to it.
_OWN: Final = {topics.dead_letters(group): (group, True) for group in topics.GROUPS} | {
    topics.redrive(group): (group, False) for group in topics.GROUPS
}


class NothingFound(Problem):
    """Nobody knows of it."""


async def trail(stack: Stack, wanted: str) -> Trail:
    """Everything that is known of a contract number with its application, or of an application with all its numbers.

    Raises `NothingFound`, and `Problem` where Kafka or a database can't be read.
    """
    application_id, number = _read_wanted(wanted)
    async with open_reader(stack.kafka, [*_TOPICS, *_OWN]) as reader:
        log = _Log(reader, await reader.ends(*_TOPICS, *_OWN))
        if number is not None:
            application_id = await _application_of(stack, log, number)
            numbers = {number}
        else:
            assert application_id is not None
            numbers = await _numbers_of(stack, log, application_id)
        records = await log.about(application_id, numbers)
    told = _Telling(application_id, frozenset(numbers))
    entries = once([pair for record in records for pair in told.of_record(record)])
    entries += await noted(stack, application_id, numbers, entries)
    if not entries:
        raise _nothing(wanted)
    return Trail(application_id, tuple(sorted(numbers)), in_order(entries))


def _read_wanted(wanted: str) -> tuple[UUID | None, str | None]:
    number = contract_number.normalise(wanted)
    if contract_number.is_well_formed(number):
        return None, number
    try:
        return UUID(wanted.strip()), None
    except ValueError:
        raise NothingFound(
            f"{wanted} is neither a contract number nor an application's id: check it for a typing error."
        ) from None


def _nothing(wanted: str) -> NothingFound:
    return NothingFound(f"Nothing is known of {wanted}: no topic and no database tells of it.")


async def _application_of(stack: Stack, log: "_Log", number: str) -> UUID:
    """Whose a number is. Told by its own topics; of one on paper by the issuer, and in the application's decision."""
    for record in await log.read(_BY_NUMBER, {number}):
        if (event := _event(record)) is not None:
            identity: UUID = event.application_id  # type: ignore[attr-defined]  # all of these topics have it
            return identity
    for service, statement in store.SELECT_APPLICATION_BY_NUMBER.items():
        async with connect(stack, service) as connection:
            for row in await store.about(connection, statement, number):
                found: UUID = row["application_id"]
                return found
    async for record in log.search(topics.DECISIONS, number):
        event = _event(record)
        if isinstance(event, ApplicationDecided) and number in {told.contract_number for told in event.outcomes}:
            return event.application_id
    raise _nothing(number)


async def _numbers_of(stack: Stack, log: "_Log", application_id: UUID) -> set[str]:
    """Every number of an application: the whole of `certificates.v1` says, and so do the databases."""
    numbers: set[str] = set()
    async for record in log.search(topics.CERTIFICATES, str(application_id)):
        event = _event(record)
        if isinstance(event, CertificateIssued) and event.application_id == application_id:
            numbers.add(event.contract_number)
    for service, statement in store.SELECT_NUMBERS.items():
        async with connect(stack, service) as connection:
            numbers |= {row["contract_number"] for row in await store.about(connection, statement, application_id)}
    return numbers


class _Log:
    """The topics as they stood at one point. What was read is kept, since a reader goes on only."""

    def __init__(self, reader: Reader, ends: Mapping[TopicPartition, int]) -> None:
        self._reader = reader
        self._ends = ends
        self._kept: list[ConsumerRecord] = []

    async def about(self, application_id: UUID, numbers: Collection[str]) -> list[ConsumerRecord]:
        """Every record under the application's id or one of the numbers, parked and redriven ones as well."""
        await self.read(_BY_NUMBER, numbers)
        await self.read(_BY_APPLICATION, {str(application_id)})
        await self.read(_OWN, {str(application_id), *numbers})
        keys = {key.encode() for key in (str(application_id), *numbers)}
        found = {(r.topic, r.partition, r.offset): r for r in self._kept if r.key in keys}
        return [found[place] for place in sorted(found)]

    async def read(self, of: Iterable[topics.Topic | str], keys: Collection[str]) -> list[ConsumerRecord]:
        """The records under these keys that were not read before, from the partitions where they can be."""
        ends: dict[TopicPartition, int] = {}
        for topic in of:
            for key in keys:
                ends |= self._where(topic if isinstance(topic, str) else topic.name, key.encode())
        wanted = {key.encode() for key in keys}
        found = [r async for records in self._reader.records_until(ends) for r in records if r.key in wanted]
        self._kept += found
        return found

    async def search(self, topic: topics.Topic, words: str) -> AsyncIterator[ConsumerRecord]:
        """The records of a whole topic in which the words stand somewhere."""
        needle = words.encode()
        ends = {place: end for place, end in self._ends.items() if place.topic == topic.name}
        async for records in self._reader.records_until(ends):
            for record in records:
                if needle in (record.value or b"") or record.key == needle:
                    self._kept.append(record)
                    yield record

    def _where(self, topic: str, key: bytes) -> dict[TopicPartition, int]:
        places = sorted(place for place in self._ends if place.topic == topic)
        declared = _TOPICS[topic].partitions if topic in _TOPICS else topics.OWN_TOPIC_PARTITIONS
        if len(places) == declared:
            # As every producer of ours chooses; a topic of another size has seen other times.
            places = [DefaultPartitioner()(key, places, [])]
        return {place: self._ends[place] for place in places}


class _Telling:
    """Turns what was read into entries, leaving out what is about other guarantees of the application."""

    def __init__(self, application_id: UUID, numbers: frozenset[str]) -> None:
        self.application_id = application_id
        self.numbers = numbers

    def of_record(self, record: ConsumerRecord) -> Iterable[tuple[Entry, object]]:
        """An entry, and what makes another record the same; nothing for what is about another guarantee."""
        if record.topic in _OWN:
            yield _of_own(record)
            return
        topic = _TOPICS[record.topic]
        place = {"source": f"{record.topic}:{record.partition}:{record.offset}", "offset": record.offset}
        same = (record.topic, record.key, hashlib.sha256(record.value or b"").digest())
        try:
            received = decode(record, topic.readers[0])
        except Refused as refused:
            said = f"読めない記録 unreadable: {refused.reason}"
            yield Entry(_moment(record), topic.writer, "RecordUnreadable", said, **place), (*same, record.offset)
            return
        if isinstance(received, Forgotten):
            said = "連絡先の鍵を破棄 data key shredded"
            yield Entry(_moment(record), topic.writer, "DataKeyShredded", said, **place), same
        elif self._is_about(received.event):
            event = received.event
            entry = Entry(
                event.occurred_at,
                topic.writer,
                type(event).__name__,
                wording.line_of(event),
                correlation_id=received.cause.correlation_id,
                event_id=event.event_id,
                caused_by=_text(record, "ce_causationid"),
                **place,
            )
            yield entry, same

    def _is_about(self, event: Event) -> bool:
        number = getattr(event, "contract_number", None)
        application_id = getattr(event, "application_id", None)
        return application_id == self.application_id and (number is None or number in self.numbers)


def _of_own(record: ConsumerRecord) -> tuple[Entry, object]:
    group, is_parked = _OWN[record.topic]
    origin = ":".join(
        _text(record, name) or "?" for name in (ORIGIN_TOPIC, parked.ORIGIN_PARTITION, parked.ORIGIN_OFFSET)
    )
    identity = _text(record, parked.ID)
    # The relay may tell a parking twice; whatever an operator did is one of its own.
    same: object = (record.partition, record.offset)
    if why := dead_letters.settled_of(record):
        kind, words = "RecordSettled", f"処置済 settled: {why}; dead letter {(identity or '?')[:8]}"
    elif is_parked:
        kind, words, same = "RecordParked", f"保留 parked: {_text(record, parked.REASON) or '?'}; {origin}", identity
    else:
        kind, words = "RecordRedriven", f"再投入 redriven; {origin}"
    entry = Entry(
        _moment(record),
        group,
        kind,
        words,
        f"{record.topic}:{record.partition}:{record.offset}",
        correlation_id=_text(record, "ce_correlationid"),
        offset=record.offset,
    )
    return entry, (record.topic, same)


def _event(record: ConsumerRecord) -> Event | None:
    """What the record says; None where no reader can take it."""
    try:
        received = decode(record, _TOPICS[record.topic].readers[0])
    except Refused:
        return None
    return received.event if isinstance(received, Received) else None


def _moment(record: ConsumerRecord) -> datetime:
    """When the broker got it: for records that tell no time of their own."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def _text(record: ConsumerRecord, name: str) -> str | None:
    value = dict(record.headers).get(name)
    return value.decode("utf-8", "backslashreplace") if value else None
