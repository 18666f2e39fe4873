"""What lies in the dead-letter topics, and how it is given back to the group that could not take it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaConnectionError, KafkaError

from chassis import dead_letters as parked
from chassis.decoding import ORIGIN_TOPIC
from chassis.kafka import KafkaAccess
from console.kafka_reading import open_reader, unreachable
from deploy.local.problem import Problem
from schemas import topics
from schemas.topics import MAX_DEAD_LETTER_BYTES

#: How often one record is given back before a person has to insist.
MAX_REDRIVES: Final = 3

_SEND_SECONDS: Final = 30.0

Origin = tuple[str, str, str, str]


@dataclass(frozen=True)
class Letter:
    """One parking of one record, without its bytes."""

    id: str
    group: str
    reason: str
    origin_topic: str
    origin_partition: str
    origin_offset: str
    parked_at: str
    #: How often the group tried the record until then.
    attempts: int
    size_bytes: int
    #: Where it lies on the dead-letter topic.
    partition: int
    offset: int
    #: How often its record was given back so far, as this letter or as another.
    redriven: int = 0
    #: Whether it still waits: not given back since it was parked, nor parked again later, nor settled.
    waiting: bool = True
    #: Why and by whom, where it would wait else. Nobody takes its record.
    settled: str = ""
    headers: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    @property
    def origin(self) -> str:
        return f"{self.origin_topic}:{self.origin_partition}:{self.origin_offset}"

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "group": self.group,
            "reason": self.reason,
            "origin": self.origin,
            "parked_at": self.parked_at,
            "attempts": self.attempts,
            "redriven": self.redriven,
            "waiting": self.waiting,
            "settled": self.settled or None,
            "size_bytes": self.size_bytes,
        }


def letter_of(record: ConsumerRecord, group: str) -> Letter:
    """What the headers of a parked record say; a question mark where they say nothing."""
    headers = dict(record.headers)
    attempts = _text(headers, parked.ATTEMPTS)
    return Letter(
        id=_text(headers, parked.ID),
        group=group,
        reason=_text(headers, parked.REASON),
        origin_topic=_text(headers, ORIGIN_TOPIC),
        origin_partition=_text(headers, parked.ORIGIN_PARTITION),
        origin_offset=_text(headers, parked.ORIGIN_OFFSET),
        parked_at=_text(headers, parked.PARKED_AT),
        attempts=int(attempts) if attempts.isdecimal() else 0,
        size_bytes=len(record.value or b""),
        partition=record.partition,
        offset=record.offset,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )


def join(
    parked_letters: Iterable[Letter], redriven: Iterable[Letter], settled: Mapping[str, str] = MappingProxyType({})
) -> list[Letter]:
    """Letters in the order of their parking, each once, with what became of them. `settled`: ids, and why."""
    letters: dict[str, Letter] = {}
    for letter in parked_letters:
        # The relay may tell a parking twice; it is one all the same.
        letters.setdefault(letter.id, letter)
    given_back = list(redriven)
    ids = {letter.id for letter in given_back}
    times = Counter(origin_of(letter) for letter in given_back)
    last: dict[Origin, int] = {}
    for letter in letters.values():
        last[origin_of(letter)] = max(letter.attempts, last.get(origin_of(letter), 0))
    joined = []
    for letter in letters.values():
        waits = letter.id not in ids and letter.attempts == last[origin_of(letter)]
        why = settled.get(letter.id, "") if waits else ""
        joined.append(replace(letter, redriven=times[origin_of(letter)], waiting=waits and not why, settled=why))
    return sorted(joined, key=lambda letter: (letter.parked_at, letter.partition, letter.offset))


async def letters_of(kafka: KafkaAccess, group: str) -> list[Letter]:
    """All that a group ever parked, without the bytes."""
    parked_letters, settled = [], {}
    async for record in _records(kafka, topics.dead_letters(group)):
        if why := settled_of(record):
            settled[_text(dict(record.headers), parked.ID)] = why
        else:
            parked_letters.append(letter_of(record, group))
    given_back = [letter_of(record, group) async for record in _records(kafka, topics.redrive(group))]
    return join(parked_letters, given_back, settled)


def settled_of(record: ConsumerRecord) -> str:
    """Why and by whom, where a record of a dead-letter topic is the note that one was settled."""
    headers = dict(record.headers)
    if parked.SETTLED_BY not in headers:
        return ""
    return f"{_text(headers, parked.SETTLED_WHY)} ({_text(headers, parked.SETTLED_BY)})"


async def value_of(kafka: KafkaAccess, letter: Letter) -> bytes | None:
    """The record's bytes."""
    async with contextlib.aclosing(_records(kafka, topics.dead_letters(letter.group))) as records:
        async for record in records:
            if (record.partition, record.offset) == (letter.partition, letter.offset):
                value: bytes | None = record.value
                return value
    raise Problem(f"Dead letter {letter.id} is no longer on its topic: list them again.")


def find(letters: Sequence[Letter], wanted: str) -> Letter:
    """The letter whose id begins so. `Problem` where there is none, or more than one."""
    found = [letter for letter in letters if letter.id.startswith(wanted.lower())] if wanted else []
    if not found:
        raise Problem(f"There is no dead letter {wanted}: look it up with `akashi dead-letters list`.")
    if len(found) > 1:
        raise Problem(f"{len(found)} dead letters begin with {wanted}: give more of the id.")
    return found[0]


def refuse_exhausted(letters: Iterable[Letter]) -> None:
    """`Problem` where a record was given back as often as makes sense."""
    exhausted = [letter.id[:8] for letter in letters if letter.redriven >= MAX_REDRIVES]
    if exhausted:
        raise Problem(
            f"{', '.join(exhausted)} had {MAX_REDRIVES} more attempts already: "
            "find the cause first, or insist with --force."
        )


async def redrive(kafka: KafkaAccess, group: str, letters: Sequence[Letter]) -> int:
    """Give letters back to their group alone, byte for byte, in the order of the dead-letter topic.

    Durable on all replicas when it returns. Whether a cancelled or failed one was given back, `letters_of` says.
    """
    async with _sending(kafka) as send:
        return await _each(
            kafka,
            group,
            letters,
            lambda record: send(topics.redrive(group), record.key, record.value, redrive_headers(record)),
        )


async def settle(kafka: KafkaAccess, group: str, letters: Sequence[Letter], *, by: str, why: str, now: datetime) -> int:
    """Note beside letters that nobody will take them: they wait no more, and stay where they are. Durable as above."""

    def headers(record: ConsumerRecord) -> tuple[tuple[str, bytes], ...]:
        identity = dict(record.headers).get(parked.ID) or b""
        said = ((parked.SETTLED_BY, by), (parked.SETTLED_WHY, why), (parked.SETTLED_AT, now.isoformat()))
        return ((parked.ID, identity), *((name, text.encode()) for name, text in said))

    async with _sending(kafka) as send:
        return await _each(
            kafka, group, letters, lambda record: send(topics.dead_letters(group), record.key, b"", headers(record))
        )


async def _each(
    kafka: KafkaAccess, group: str, letters: Sequence[Letter], send: Callable[[ConsumerRecord], Awaitable[None]]
) -> int:
    wanted = {(letter.partition, letter.offset) for letter in letters}
    sent = 0
    async for record in _records(kafka, topics.dead_letters(group)):
        if (record.partition, record.offset) in wanted:
            await send(record)
            sent += 1
    return sent


Send = Callable[[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]], Awaitable[None]]


@contextlib.asynccontextmanager
async def _sending(kafka: KafkaAccess) -> AsyncIterator[Send]:
    """Sends to a topic a key, a value and headers; each has its own time to be acknowledged."""
    producer = AIOKafkaProducer(
        **kafka.options(),
        client_id="akashi-console",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_DEAD_LETTER_BYTES + 64 * 1024,
    )
    try:
        async with asyncio.timeout(_SEND_SECONDS) as deadline:
            await producer.start()

            async def send(
                topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
            ) -> None:
                await producer.send_and_wait(topic, key=key, value=value, headers=list(headers))
                deadline.reschedule(asyncio.get_running_loop().time() + _SEND_SECONDS)

            yield send
    except TimeoutError:
        raise Problem(
            f"Kafka did not acknowledge within {_SEND_SECONDS:.0f} s: "
            "look at `akashi dead-letters list` before you try again."
        ) from None
    except KafkaConnectionError as error:
        raise await unreachable(kafka, error) from None
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                await producer.stop()


def redrive_headers(record: ConsumerRecord) -> tuple[tuple[str, bytes], ...]:
    """The headers of the parked record, all of them: from `akashi_*` the group knows origin and attempts again."""
    return tuple((name, value or b"") for name, value in record.headers)


async def _records(kafka: KafkaAccess, topic: str) -> AsyncGenerator[ConsumerRecord, None]:
    async with open_reader(kafka, [topic]) as reader:
        async for records in reader.records_until(await reader.ends(topic)):
            for record in records:
                yield record


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers.get(name) or b"?").decode("utf-8", "backslashreplace")


def origin_of(letter: Letter) -> Origin:
    return (letter.group, letter.origin_topic, letter.origin_partition, letter.origin_offset)


def hexdump(value: bytes, *, limit: int = 2048) -> str:
    """The beginning of the bytes, sixteen to a line."""
    lines = [
        f"{start:08x}  {chunk.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in chunk)}"  # noqa: PLR2004 - ASCII
        for start in range(0, min(len(value), limit), 16)
        for chunk in [value[start : min(start + 16, limit)]]
    ]
    if len(value) > limit:
        lines.append(f"… {len(value) - limit} more bytes")
    return "\n".join(lines)
