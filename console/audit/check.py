"""The comparison itself: topics and registry read side by side, at points that fit together."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import ConsumerRecord, TopicPartition

from chassis.decoding import Received, Refused, decode
from console import store
from console.audit.compare import Comparison, Report, report
from console.audit.fold import Difference, Fold
from console.dead_letters import Origin, letters_of, origin_of
from console.environment import Stack
from console.kafka_reading import Reader, open_reader
from console.running import explain
from schemas import topics

TOPICS: Final = (topics.REGISTRATIONS, topics.CERTIFICATES, topics.DECISIONS, topics.APPLICATIONS)

_AGAIN_SECONDS: Final = 0.5


async def compare(stack: Stack, *, settle_seconds: float = 0.0) -> Report:
    """Fold the event log and compare the registry with it; with `settle_seconds`, again until they are equal.

    Reads only. Raises `Problem` where Kafka or the registry can't be read.
    """
    try:
        return await _until_equal(stack, time.monotonic() + settle_seconds)
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        raise problem from None


async def _until_equal(stack: Stack, give_up_at: float) -> Report:
    while True:
        parked = await _parked(stack)
        log = _Log(parked)
        async with open_reader(stack.kafka, [topic.name for topic in TOPICS]) as reader:
            while True:
                found = await _compare_now(stack, reader, log)
                if found.equal or time.monotonic() >= give_up_at:
                    return found
                await asyncio.sleep(min(_AGAIN_SECONDS, max(0.0, give_up_at - time.monotonic())))
                if await _parked(stack) != parked:
                    break


async def _parked(stack: Stack) -> dict[Origin, str]:
    """Where the records stand that the readers of these topics parked and nobody took since, and why."""
    return {
        origin_of(letter): letter.reason
        for group in sorted(set(_READER.values()))
        for letter in await letters_of(stack.kafka, group)
        if letter.waiting or letter.settled
    }


async def _compare_now(stack: Stack, reader: Reader, log: "_Log") -> Report:
    """One comparison. The log is read on from where the last one stopped; the registry always whole."""
    # The snapshot must outlast the reading of the log.
    async with store.connect(stack, "registry", idle_in_transaction_timeout="0") as connection:
        # Effects before their causes: whatever is seen, what it follows from is seen too. What then differs is
        # either wrong, or an effect that is still on its way, which another look will find.
        ends: dict[TopicPartition, int] = await reader.ends(topics.REGISTRATIONS.name)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SELECT 1")
            for topic in TOPICS[1:]:
                ends |= await reader.ends(topic.name)
            async for records in reader.records_until(ends):
                log.take(records)
            differences: list[Difference] = []
            comparison = Comparison(log.fold)
            async for row in store.registry_rows(connection):
                differences.extend(comparison.take(row))
    differences.extend(comparison.rest())
    return report(log.fold, tuple(differences), registry_rows=comparison.rows, unreadable=log.unreadable)


class _Log:
    """The fold, and the records that never got into it: no effect was to come of those."""

    def __init__(self, parked: Mapping[Origin, str]) -> None:
        self._parked = parked
        self.fold = Fold()
        self.unreadable: Counter[str] = Counter()

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            origin = (_READER[record.topic], record.topic, str(record.partition), str(record.offset))
            if origin in self._parked:
                self.unreadable[self._parked[origin]] += 1
                continue
            try:
                received = decode(record, _READER[record.topic])
            except Refused as error:
                self.unreadable[error.reason] += 1
            else:
                if isinstance(received, Received):
                    self.fold.take(received.event)


#: Who turns a topic's records into what is compared; what that group parked has no effect.
_READER: Final[Mapping[str, str]] = {
    topics.APPLICATIONS.name: "issuer",
    topics.DECISIONS.name: "intake",
    topics.CERTIFICATES.name: "registry",
    topics.REGISTRATIONS.name: "intake",
}
