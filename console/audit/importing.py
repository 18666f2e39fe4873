"""The way back: an export's records into an empty Kafka, to the same partitions, in the same order, byte for byte."""

import asyncio
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer

from chassis.kafka import KafkaAccess
from console.audit import export_files
from console.audit.export import topic_files
from console.audit.export_files import Row, Told, TopicFile, is_same
from console.audit.export_folder import check_note, locked
from console.audit.export_manifest import partitions_of
from console.audit.export_progress import Show
from console.audit.export_topics import Bounds, bounds_of, open_topic
from deploy.local.problem import Problem
from schemas import topics
from transparency.checkpoints import Trust
from transparency.errors import DoesNotVerify
from transparency.export import MANIFEST_NOTE
from transparency.reading import check_hash, check_listing, read_manifest, read_small
from transparency.signatures import VerifierKey
from transparency.verify import verify

T = TypeVar("T")

_BATCH_BYTES: Final = 512 << 10
#: The largest record that a topic takes, and what is around it.
_REQUEST_BYTES: Final = 2 << 20
#: Batches that the broker has not confirmed.
_UNDER_WAY: Final = 16
_UNKNOWN: Final = -1
_LOG_APPEND_TIME: Final = 1
_COMPACTED: Final = {topic.name for topic in topics.BUSINESS if topic.compacted}


@dataclass(frozen=True)
class Summary:
    folder: Path
    #: In the export, and of these what an import that was cut off had brought before.
    records: int
    there_before: int
    #: Topic → records whose offset is another one than in the Kafka that was exported.
    other_offsets: Mapping[str, int]
    #: Whether signatures were checked, too.
    verified: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "records": self.records,
            "there_before": self.there_before,
            "other_offsets": dict(self.other_offsets),
            "verified": self.verified,
        }


async def import_(kafka: KafkaAccess, folder: Path, keys: Sequence[str], show: Show) -> Summary:
    """Produce what the export holds and Kafka does not. `Problem`, and nothing is written, where that makes no sense.

    Killed at any point and run again it goes on after what is there. When it returns, Kafka holds the export.
    """
    if not folder.is_dir():
        raise Problem(f"{folder} is no folder: name one that `akashi audit export` wrote.")
    with locked(folder):
        # Step 1: the export is what was signed.
        exported = _check_export(folder, keys, show)
        files = topic_files(folder)
        for topic, partitions in exported.items():
            held = export_files.totals(files.get(topic, []))
            if partitions != {n: held[n].rows if n in held else 0 for n in partitions.keys() | held.keys()}:
                raise Problem(f"The files of {topic} are not what the manifest says that they hold.")
        # Step 2: Kafka is empty, or holds the beginning of it.
        bounds = await bounds_of(kafka, list(exported))
        for topic, partitions in exported.items():
            _check_bounds(topic, partitions, bounds[topic])
        there = {topic: {n: bound.end for n, bound in bounds[topic].items()} for topic in exported}
        before = sum(map(_sum, there.values()))
        show.begin("Comparing what is there", before)
        for topic in exported:
            rows = export_files.rows_of(folder, files.get(topic, []))
            await _check_beginning(kafka, topic, rows, there[topic], show)
        # Step 3: what follows.
        records = sum(map(_sum, exported.values()))
        show.begin("Events", records - before)
        moved = Counter[str]()
        async with AIOKafkaProducer(
            **kafka.options(),
            client_id="akashi-console",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
        ) as producer:
            for topic in exported:
                if there[topic] == exported[topic] and not _has_gaps(files.get(topic, [])):
                    continue
                moved[topic] = await _Topic(producer, topic, there[topic], show).fill(folder, files.get(topic, []))
        # Step 4: nobody else wrote meanwhile.
        for topic, found in (await bounds_of(kafka, list(exported))).items():
            if {number: bound.end for number, bound in found.items()} != exported[topic]:
                raise _disturbed(topic)
    return Summary(folder, records, before, {topic: n for topic, n in moved.items() if n}, bool(keys))


def _check_export(folder: Path, keys: Sequence[str], show: Show) -> dict[str, dict[int, int]]:
    """Records of each partition of each topic, when every hash is right, and with keys the signatures."""
    try:
        raw, manifest = read_manifest(folder)
        check_listing(folder, manifest)
        check_note(raw, manifest, read_small(folder / MANIFEST_NOTE, MANIFEST_NOTE), None)
        show.begin("Looking through the folder", sum(file.bytes for file in manifest.files), bytes_=True)
        for file in manifest.files:
            check_hash(folder, file)
            show.done(file.bytes)
        if keys:
            show.begin("Verifying the log", 0)
            trusted = tuple(VerifierKey.parse(key) for key in keys)
            verify([folder], Trust(manifest.origin, trusted))
    except DoesNotVerify as error:
        raise Problem(f"The export in {folder} does not verify, so nothing is imported. {error}") from None
    return partitions_of(raw)


def _check_bounds(topic: str, exported: Mapping[int, int], bounds: Mapping[int, Bounds]) -> None:
    if exported.keys() != bounds.keys():
        raise Problem(
            f"{topic} has {len(bounds)} partitions here and {len(exported)} in the export: "
            "make the topic with as many, for keys stay on their partition."
        )
    for number, bound in bounds.items():
        if bound.begin:
            raise Problem(f"{topic}, partition {number}, was emptied and begins with offset {bound.begin}: {_NEW}.")
        if bound.end > exported[number]:
            raise _not_empty(topic, number, exported[number])


async def _check_beginning(
    kafka: KafkaAccess, topic: str, exported: Iterable[Sequence[Row]], there: Mapping[int, int], show: Show
) -> None:
    """Whether what is there is the beginning of what the export holds of each partition."""
    ends = {number: end for number, end in there.items() if end}
    if not ends:
        return
    async with AsyncExitStack() as opened:
        reader = await opened.enter_async_context(open_topic(kafka, topic, dict.fromkeys(ends, 0)))
        polls = {n: await opened.enter_async_context(aclosing(reader.records(n, end))) for n, end in ends.items()}
        found = {number: _Found(poll) for number, poll in polls.items()}
        seen = Counter[int]()
        for rows in exported:
            for row in rows:
                offset, number = seen[row.partition], row.partition
                seen[number] += 1
                if offset >= ends.get(number, 0):
                    continue
                told = await found[number].at(offset)
                # Kafka lets go of what a later record of the same key replaced.
                if told is None and topic in _COMPACTED:
                    continue
                if told is None or not is_same(told, row):
                    raise _not_empty(topic, number, offset)
            show.done(sum(1 for row in rows if row.partition in ends))
            if all(seen[number] >= end for number, end in ends.items()):
                break


class _Found:
    """What Kafka holds of a partition, asked for by ascending offsets."""

    def __init__(self, polls: AsyncIterator[Sequence[Told]]) -> None:
        self._polls = polls
        self._records: Iterator[Told] = iter(())
        self._next: Told | None = None

    async def at(self, offset: int) -> Told | None:
        while self._next is None or self._next.offset < offset:
            self._next = next(self._records, None)
            if self._next is None:
                try:
                    self._records = iter(await anext(self._polls))
                except StopAsyncIteration:
                    return None
        return self._next if self._next.offset == offset else None


class _Topic:
    """Fills one topic. Each partition has one batch on its way and one that is sent next."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, there: Mapping[int, int], show: Show) -> None:
        self._producer = producer
        self._topic = topic
        self._there = there
        self._show = show
        #: The next offset of each partition.
        self._next: dict[int, int] = dict(there)
        self._under_way: deque[tuple[asyncio.Future[Any], int]] = deque()

    async def fill(self, folder: Path, files: Sequence[TopicFile]) -> int:
        """When this returns, everything is confirmed. How many records got another offset than they had."""
        seen: defaultdict[int, int] = defaultdict(int)
        moved = 0
        try:
            async for rows in _in_thread(export_files.rows_of(folder, files)):
                missing = []
                for row in rows:
                    moved += row.offset != seen[row.partition]
                    if seen[row.partition] >= self._there[row.partition]:
                        missing.append(row)
                    seen[row.partition] += 1
                for partition, told in itertools.groupby(missing, key=lambda row: row.partition):
                    await self._send(partition, list(told))
                self._show.done(len(missing))
            while self._under_way:
                await self._confirm()
        finally:
            await asyncio.gather(*(future for future, _ in self._under_way), return_exceptions=True)
        return moved

    async def _send(self, partition: int, rows: Sequence[Row]) -> None:
        batch = self._producer.create_batch()
        for row in rows:
            if not _append(batch, row):
                await self._send_batch(partition, batch)
                batch = self._producer.create_batch()
                _append(batch, row)
        await self._send_batch(partition, batch)

    async def _send_batch(self, partition: int, batch: Any) -> None:
        batch.close()
        first = self._next[partition]
        self._next[partition] += batch.record_count()
        self._under_way.append((await self._producer.send_batch(batch, self._topic, partition=partition), first))
        while len(self._under_way) > _UNDER_WAY:
            await self._confirm()

    async def _confirm(self) -> None:
        future, first = self._under_way.popleft()
        confirmed = await future
        # A broker that had it already may not know where.
        if confirmed.offset not in {first, _UNKNOWN}:
            raise _disturbed(self._topic)
        if confirmed.timestamp_type == _LOG_APPEND_TIME:
            raise Problem(
                f"{self._topic} gives records times of its own: set its message.timestamp.type to CreateTime."
            )


def _append(batch: Any, row: Row) -> bool:
    appended = batch.append(timestamp=row.timestamp, key=row.key, value=row.value, headers=row.headers)
    return appended is not None


async def _in_thread(iterator: Iterator[T]) -> AsyncIterator[T]:
    """What the iterator gives, made while the loop does something else."""
    while (given := await asyncio.to_thread(next, iterator, None)) is not None:
        yield given


def _has_gaps(files: Sequence[TopicFile]) -> bool:
    return any(span.first or span.last + 1 != span.rows for span in export_files.totals(files).values())


def _sum(counts: Mapping[int, int]) -> int:
    return sum(counts.values())


_NEW: Final = "import into a new Kafka, whose topics `akashi topics create` made"


def _not_empty(topic: str, number: int, offset: int) -> Problem:
    return Problem(
        f"{topic} is not empty, and what is there is not the beginning of the export "
        f"(partition {number}, offset {offset}): {_NEW}."
    )


def _disturbed(topic: str) -> Problem:
    return Problem(f"Somebody else wrote to {topic} meanwhile: stop the services, and {_NEW}.")
