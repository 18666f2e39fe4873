"""How a service reads: a poll is a transaction, set-based; one bad record never takes the good ones with it.

Two kinds of failure. *Never*: what decoding, a handler's `Refused` or the database's own checks refuse; the record
is parked in the transaction that skips it. *Again*: everything else, our bugs included; tried again with back-off
inside the handler, then by redelivery, for ever. Nothing is skipped because we could not cope with it.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.security import SASLPlaintext

from chassis.clock import Clock
from chassis.dead_letters import park
from chassis.decoding import Forgotten, Received, Refused, decode
from chassis.kafka import KafkaAccess
from chassis.lifecycle import Progress
from chassis.metrics import BATCH_RETRIES, BATCH_SECONDS, CONSUMER_STOPPED, EVENTS_HANDLED
from chassis.outbox import Outbox
from chassis.polling import Damaged, Polled, poll
from chassis.postgres import REFUSED, Pool, Transaction, transaction
from chassis.tls import trusting
from schemas import topics
from schemas.event import Event

log = structlog.get_logger()

#: A handler takes all events of its type in a poll, in their order, inside the poll's transaction.
Handler = Callable[[Transaction, Sequence[Received[Any]]], Awaitable[None]]
#: Asks others about all events of its type in a poll, before the transaction opens: no row is locked while a network
#: is waited for. Returns the handler that knows the answers.
Gatherer = Callable[[Sequence[Received[Any]]], Awaitable[Handler]]
#: Forgets what is kept under the keys of a topic's tombstones.
Forgetter = Callable[[Transaction, Sequence[str]], Awaitable[None]]

MAX_POLL_SECONDS: Final = 300
#: Retried inside the handler for less than `MAX_POLL_SECONDS`, so that the group keeps the member.
RETRY_SECONDS: Final = 120.0


class TooManyParked(Exception):
    """Parked records rose suddenly: more likely our fault than theirs, so the consumer waits for a person."""


class ParkingGuard:
    """Counts parked records of the last minute, and trips for good when there are too many."""

    def __init__(self, limit: int, group: str) -> None:
        self._limit = limit
        self._group = group
        self._recent: deque[tuple[float, int]] = deque()
        self.tripped = False

    def check(self, parked: int) -> None:
        """Raise `TooManyParked` before `parked` more records would pass the limit."""
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > 60:  # noqa: PLR2004 - a minute
            self._recent.popleft()
        if self.tripped or sum(count for _, count in self._recent) + parked > self._limit:
            self.tripped = True
            CONSUMER_STOPPED.labels(self._group).set(1)
            raise TooManyParked(f"{self._group}: more than {self._limit} records parked within a minute.")

    def count(self, parked: int) -> None:
        if parked:
            self._recent.append((time.monotonic(), parked))


@dataclass(frozen=True)
class Reading:
    """What a service does with the topics it reads.

    Handlers are called in the order they are listed here, so a type that another depends on comes first.
    An event type without a handler is checked and let go.
    """

    group: str
    handlers: Mapping[type[Event], Handler]
    forget: Forgetter | None = None
    #: Instead of a type's handler, where it needs facts from outside.
    gatherers: Mapping[type[Event], Gatherer] = field(default_factory=dict)


@dataclass(frozen=True)
class Sorted:
    """A poll, record by record: what to handle, what to forget, what to park and why."""

    received: list[Received[Event]] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    refused: list[tuple[ConsumerRecord, str]] = field(default_factory=list)


def sort_out(records: Sequence[ConsumerRecord], group: str) -> Sorted:
    """Decode each record by itself."""
    poll = Sorted()
    for record in records:
        try:
            decoded = decode(record, group)
        except Refused as error:
            poll.refused.append((record, error.reason))
        else:
            if isinstance(decoded, Forgotten):
                poll.forgotten.append(decoded)
            else:
                poll.received.append(decoded)
    return poll


def by_kind(
    kinds: Iterable[type[Event]], received: Iterable[Received[Event]]
) -> dict[type[Event], list[Received[Event]]]:
    """What came of each kind, where any came, in the order of `kinds`; what is of no such kind is let go."""
    came = list(received)
    of_kinds = {kind: [each for each in came if type(each.event) is kind] for kind in kinds}
    return {kind: batch for kind, batch in of_kinds.items() if batch}


class Consumer:
    """Takes polls of one group. Returns when their effect is durable; raises only to have them delivered again."""

    def __init__(
        self,
        reading: Reading,
        *,
        pool: Callable[[], Pool],
        outbox: Outbox,
        clock: Clock,
        progress: Progress,
        parked_per_minute_limit: int,
    ) -> None:
        self.reading = reading
        self._pool = pool
        self._outbox = outbox
        self._clock = clock
        self._progress = progress
        self.guard = ParkingGuard(parked_per_minute_limit, reading.group)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Try nothing again: what is not durable now is delivered again to who comes next."""
        self._stopping.set()

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        started = time.monotonic()
        try:
            await self._until_durable(self._take_together, records)
        except (Refused, *REFUSED):
            # Find the one that cannot be taken; the others go on, in their order.
            for record in records:
                await self._until_durable(self._take_alone, [record])
        finally:
            self._progress.rest()
        self._outbox.wake()
        BATCH_SECONDS.labels(self.reading.group).observe(time.monotonic() - started)

    async def _until_durable(
        self, attempt: Callable[[Sequence[ConsumerRecord]], Awaitable[None]], records: Sequence[ConsumerRecord]
    ) -> None:
        give_back_at = time.monotonic() + RETRY_SECONDS
        delay = 0.1
        while True:
            self._progress.beat()
            try:
                await attempt(records)
            except (Refused, *REFUSED):
                raise
            except Exception as error:
                BATCH_RETRIES.labels(self.reading.group, type(error).__name__).inc()
                log.warning(
                    "batch.retrying",
                    group=self.reading.group,
                    error=type(error).__name__,
                    exc_info=time.monotonic() > give_back_at - RETRY_SECONDS + 5,
                )
                if self._stopping.is_set() or time.monotonic() + delay > give_back_at:
                    raise
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._stopping.wait()
                delay = min(delay * 2, 5.0)
            else:
                return

    async def _take_together(self, records: Sequence[ConsumerRecord]) -> None:
        poll = sort_out(records, self.reading.group)
        self.guard.check(len(poll.refused))
        batches = by_kind(self.reading.handlers, poll.received)
        informed = {
            kind: await gather(batches[kind]) for kind, gather in self.reading.gatherers.items() if kind in batches
        }
        async with transaction(self._pool()) as tx:
            for kind, batch in batches.items():
                await informed.get(kind, self.reading.handlers[kind])(tx, batch)
            # Last, because what a tombstone forgets may have come in the same poll, before it.
            if poll.forgotten and self.reading.forget is not None:
                await self.reading.forget(tx, [tombstone.key for tombstone in poll.forgotten])
            await park(tx, self._outbox, poll.refused, group=self.reading.group, now=self._clock.now())
        self._account_for(poll)

    async def _take_alone(self, records: Sequence[ConsumerRecord]) -> None:
        try:
            await self._take_together(records)
        except (Refused, *REFUSED) as error:
            reason = error.reason if isinstance(error, Refused) else f"database:{type(error).__name__}"
            self.guard.check(1)
            async with transaction(self._pool()) as tx:
                parked = [(record, reason) for record in records]
                await park(tx, self._outbox, parked, group=self.reading.group, now=self._clock.now())
            self._account_for(Sorted(refused=parked))

    def _account_for(self, poll: Sorted) -> None:
        group = self.reading.group
        self.guard.count(len(poll.refused))
        for kind, handled in Counter(type(received.event).__name__ for received in poll.received).items():
            EVENTS_HANDLED.labels(group, kind).inc(handled)
        for received in poll.received:
            log.info(
                "event.handled",
                type=type(received.event).__name__,
                key=received.event.key,
                correlation_id=received.cause.correlation_id,
                traceparent=received.cause.traceparent,
                origin=_origin(received.record),
            )
        for record, reason in poll.refused:
            log.error("event.parked", group=group, reason=reason, origin=_origin(record))


def _origin(record: ConsumerRecord) -> str:
    return f"{record.topic}:{record.partition}:{record.offset}"


async def _parse_originals(message: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    """Let FastStream see no headers: it decodes them before its acknowledgement logic exists, so one header that is
    not UTF-8 would lose the whole poll (ag2ai/faststream#2458). We read the originals ourselves, and it needs no more
    than the ends of a poll to name it.
    """
    parsed = await original(tuple(_without_headers(record) for record in (message[0], message[-1])))
    parsed.raw_message = message
    parsed.consumer = _Committing(parsed.consumer, message)
    return parsed


class _Committing:
    """The consumer as FastStream acknowledges a poll with it: commits the partitions that the poll is of.

    aiokafka by itself commits every partition that it has (intake: 160), with each poll.
    """

    def __init__(self, consumer: AIOKafkaConsumer, records: Sequence[ConsumerRecord]) -> None:
        self._consumer = consumer
        self._records = records
        self.seek = consumer.seek

    async def commit(self) -> None:
        ends = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in self._records}
        # What was taken away meanwhile is for the next one to commit.
        held = self._consumer.assignment()
        if ours := {partition: end for partition, end in ends.items() if partition in held}:
            await self._consumer.commit(ours)


async def _committed(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """How far all partitions were taken: a poll is committed before the next one."""
    begins = {partition: await consumer.committed(partition) for partition in consumer.assignment()}
    first = await consumer.beginning_offsets([partition for partition, begin in begins.items() if begin is None])
    return {partition: first[partition] if begin is None else begin for partition, begin in begins.items()}


def _without_headers(record: ConsumerRecord) -> ConsumerRecord:
    return replace(record, headers=())


async def _keep_records(message: KafkaMessage) -> Any:
    return message.raw_message


@dataclass(frozen=True)
class ReadingLoop:
    """What turns while a group is read: FastStream's loop, which ends silently where a cancellation comes out of the
    client, and the client's own tasks, of which it tells nobody.
    """

    name: str
    _subscriber: Any

    @property
    def is_stale(self) -> bool:
        """Whether nothing will be read any more. To be asked of what was started only."""
        consumer = self._subscriber.consumer
        own = (
            consumer._fetcher._fetch_task,  # noqa: SLF001
            consumer._coordinator._coordination_task,  # noqa: SLF001
            consumer._client._sync_task,  # noqa: SLF001
        )
        return all(task.done() for task in self._subscriber.tasks) or any(task.done() for task in own)


def subscribe(broker: KafkaBroker, consumer: Consumer, *, batch_records: int) -> ReadingLoop:
    """Attach a consumer to all topics of its group, and to the group's own redrive topic."""
    group = consumer.reading.group
    names = [*(topic.name for topic in topics.read_by(group)), topics.redrive(group)]

    subscriber = broker.subscriber(
        *names,
        group_id=group,
        batch=True,
        auto_offset_reset="earliest",
        max_poll_interval_ms=MAX_POLL_SECONDS * 1000,
        # A record comes at once; partitions that are given to us wait so long for what was asked before, and whoever is
        # idle asks anew so often.
        fetch_max_wait_ms=400,
        parser=_parse_originals,
        decoder=_keep_records,
        title=group,
    )

    async def next_poll(consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        # FastStream's own asks for a while, and then sleeps for as long: what comes then waits, and who is idle turns
        # twenty times a second.
        found: Polled = {}
        begins = partial(_committed, consumer)
        while not found:
            try:
                found = await poll(consumer, timeout_ms=1000, max_records=batch_records, begins=begins)
            except Damaged:
                raise
            except KafkaError:
                # The client raises what once ended its heartbeats or its look at offsets at every poll, for ever, and
                # begins neither anew, but when it joins its group.
                consumer._coordinator.request_rejoin()  # noqa: SLF001 - nothing public does
                raise
        return tuple(chain.from_iterable(found.values()))

    subscriber.get_msg = next_poll  # type: ignore[method-assign]

    @subscriber
    async def take(records: Sequence[ConsumerRecord]) -> None:
        await consumer.take(records)

    return ReadingLoop(f"reading {group}", subscriber)


def _security(kafka: KafkaAccess) -> SASLPlaintext | None:
    """As FastStream wants to be told it."""
    if kafka.protocol == "PLAINTEXT":
        return None
    context = trusting(kafka.ca_file) if kafka.protocol == "SASL_SSL" else None
    return SASLPlaintext(kafka.user, kafka.password, ssl_context=context, use_ssl=context is not None)


def make_broker(kafka: KafkaAccess, *, client_id: str, drain_seconds: float) -> KafkaBroker:
    """The broker object of a service: at-least-once for every subscriber, nothing created behind our back."""
    return KafkaBroker(
        kafka.bootstrap.split(","),
        security=_security(kafka),
        client_id=client_id,
        consumer_only=True,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        allow_auto_create_topics=False,
        graceful_timeout=drain_seconds,
        apply_types=False,
        # Not its own logger, which writes lines of its own format. What it logs are its failures.
        logger=logging.getLogger("akashi.faststream"),
        log_level=logging.DEBUG,
    )
