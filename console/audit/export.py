"""The export: every event and the whole log as a folder that an auditor reads and verifies without us.

Given the same folder again it goes on where it ended; killed at any point and run again it ends with the same records.
"""

import hashlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from chassis.kafka import KafkaAccess
from console import store
from console.audit import export_files, export_log
from console.audit.export_files import FILE, Span, Told, TopicFile, TopicWriter
from console.audit.export_folder import Before, lay_ready, locked, present, put_manifest, take_up
from console.audit.export_manifest import compose, describe, list_files
from console.audit.export_progress import Show
from console.audit.export_readme import README
from console.audit.export_topics import Bounds, bounds_of, open_topic
from console.environment import Stack
from deploy.local.problem import Problem
from schemas import publish, topics
from transparency.checkpoints import SignedCheckpoint
from transparency.errors import Malformed
from transparency.export import LEAVES, sign_manifest
from transparency.merkle import Frontier
from transparency.signatures import SignerKey

#: The secret that signs: the log's own.
LOG_KEY: Final = "registry/log_key"
#: Takes records in their order.
Take = Callable[[Sequence[Told]], Awaitable[None]]
_README: Final = "README.txt"
_SCHEMAS: Final = "schemas/"
_TOPICS: Final = {topic.name: topic for topic in topics.BUSINESS}


@dataclass(frozen=True)
class TopicSummary:
    """What the folder holds of a topic."""

    topic: str
    #: Of all exports into this folder, and of this one.
    records: int
    new: int
    #: Offsets between the first and the end that hold no record any more.
    gaps: int


@dataclass(frozen=True)
class Summary:
    folder: Path
    topics: tuple[TopicSummary, ...]
    leaves: int
    new_leaves: int
    #: What `python -m transparency verify` is given; to be told by another way than the export.
    key: str
    origin: str
    manifest_sha256: str
    #: Nothing had happened since the export before, and nothing was written.
    unchanged: bool

    @property
    def records(self) -> int:
        return sum(topic.records for topic in self.topics)

    @property
    def new_records(self) -> int:
        return sum(topic.new for topic in self.topics)

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "records": self.records,
            "new_records": self.new_records,
            "topics": [vars(topic) for topic in self.topics],
            "leaves": self.leaves,
            "new_leaves": self.new_leaves,
            "key": self.key,
            "origin": self.origin,
            "manifest_sha256": self.manifest_sha256,
            "unchanged": self.unchanged,
        }


async def export(stack: Stack, folder: Path, show: Show) -> Summary:
    """Write the export, or what is missing of it. Reads only, by no consumer group.

    When this returns, the folder is whole, on the disk, and verifies. `Problem` where it can't be; what was written is
    then taken up by the next one.
    """
    signer = _signer(stack)
    with locked(folder):
        # Step 1: what is there is what was signed, and nothing else.
        show.begin("Looking through the folder", _bytes_in(folder), bytes_=True)
        before = take_up(folder, signer.verifier, is_ours=_is_ours, hashed=show.done)
        async with store.connect(stack, "registry") as registry:
            # Step 2: the checkpoint first, so that whatever the log says is among the events.
            newest = await export_log.newest_checkpoint(registry, signer.verifier)
            bounds = await bounds_of(stack.kafka, list(_TOPICS))
            # Step 3: the events, up to where the topics ended.
            files, new = await _export_topics(stack.kafka, folder, bounds, show)
            # Step 4: the leaves, up to the checkpoint.
            leaves = await _export_leaves(folder, registry, before, newest, show)
        # Step 5: how to read them.
        lay_ready(folder, _README, README.encode())
        for path, text in publish.documents().items():
            lay_ready(folder, _SCHEMAS + path, text.encode())
        # Step 6: the manifest, which makes it an export.
        described = {topic: describe(files[topic], bounds[topic]) for topic in _TOPICS}
        rows = {file.path: file.rows for each in files.values() for file in each} | leaves
        raw = compose(before, list_files(folder, before, rows, show), newest, described)
        if before is None or raw != before.raw:
            put_manifest(folder, raw, str(sign_manifest(raw, newest.checkpoint.origin, signer)).encode())
    size = newest.checkpoint.size
    return Summary(
        folder=folder,
        topics=tuple(
            TopicSummary(topic, said["records"], new[topic], said["gaps"]) for topic, said in described.items()
        ),
        leaves=size,
        new_leaves=size - (before.manifest.size if before else 0),
        key=str(signer.verifier),
        origin=newest.checkpoint.origin,
        manifest_sha256=hashlib.sha256(raw).hexdigest(),
        unchanged=before is not None and raw == before.raw,
    )


def topic_files(folder: Path) -> dict[str, list[TopicFile]]:
    """The files of each topic in their order, as their footers say."""
    found = [export_files.read_footer(folder, path) for path in present(folder) if FILE.fullmatch(path)]
    by_topic = itertools.groupby(sorted(found, key=attrgetter("topic", "row")), key=attrgetter("topic"))
    return {topic: list(files) for topic, files in by_topic}


def _signer(stack: Stack) -> SignerKey:
    try:
        return SignerKey.parse(stack.secret(LOG_KEY))
    except Malformed:
        raise Problem(f"The secret {LOG_KEY} is not a signer key: bring back the one that was made.") from None


def _is_ours(path: str) -> bool:
    found = FILE.fullmatch(path)
    if found is not None:
        return found[1] in _TOPICS
    return path == _README or path.startswith(_SCHEMAS) or LEAVES.fullmatch(path) is not None


async def _export_topics(
    kafka: KafkaAccess, folder: Path, bounds: Mapping[str, Mapping[int, Bounds]], show: Show
) -> tuple[dict[str, list[TopicFile]], dict[str, int]]:
    """The files of each topic, and how many records are new."""
    files: dict[str, list[TopicFile]] = {topic: [] for topic in _TOPICS} | topic_files(folder)
    held = {topic: export_files.totals(files[topic]) for topic in _TOPICS}
    for topic in _TOPICS:
        _check_bounds(topic, held[topic], bounds[topic])
    ahead = sum(
        bound.end - (held[topic][number].last + 1 if number in held[topic] else bound.begin)
        for topic in _TOPICS
        for number, bound in bounds[topic].items()
    )
    show.begin("Events", ahead)
    new = {}
    for topic in _TOPICS:
        writer = TopicWriter(folder, topic, sum(file.rows for file in files[topic]))
        try:
            await _export_topic(kafka, topic, held[topic], bounds[topic], _shown(writer, show))
            await writer.close()
        finally:
            writer.abandon()
        files[topic] += writer.written
        new[topic] = sum(file.rows for file in writer.written)
    return files, new


async def _export_topic(
    kafka: KafkaAccess, topic: str, held: Mapping[int, Span], bounds: Mapping[int, Bounds], take: Take
) -> None:
    # The last record is read again, to see that this is the Kafka that the folder is of.
    positions = {
        number: held[number].last if number in held else bound.begin
        for number, bound in sorted(bounds.items())
        if bound.begin < bound.end
    }
    if not positions:
        return
    async with open_topic(kafka, topic, positions) as reader:
        for number in positions:
            known = held.get(number)
            async for records in reader.records(number, bounds[number].end):
                await take(records if known is None else _without_known(topic, number, known, records))
                known = None


def _shown(writer: TopicWriter, show: Show) -> Take:
    async def take(records: Sequence[Told]) -> None:
        await writer.add(records)
        show.done(len(records))

    return take


def _without_known(topic: str, number: int, known: Span, records: Sequence[Told]) -> Sequence[Told]:
    """Without the first, which must be the one that the folder ends with."""
    if records and records[0].offset == known.last:
        if export_files.digest(records[0]) != known.last_sha256:
            raise _another_kafka(topic, number, known.last)
        return records[1:]
    if not _TOPICS[topic].compacted:
        raise _another_kafka(topic, number, known.last)
    # A later record of its key came, and Kafka let go of this one.
    return records


def _check_bounds(topic: str, held: Mapping[int, Span], bounds: Mapping[int, Bounds]) -> None:
    """Whether Kafka goes on where the folder ends."""
    for number, span in held.items():
        bound = bounds.get(number)
        if bound is None or bound.end <= span.last or bound.begin > span.last:
            raise _another_kafka(topic, number, span.last)


def _another_kafka(topic: str, number: int, offset: int) -> Problem:
    return Problem(
        f"{topic}, partition {number}, has not the record of offset {offset} with which the folder ends: "
        "this is another Kafka, or it lost records; export into another folder."
    )


async def _export_leaves(
    folder: Path, registry: store.Connection, before: Before | None, newest: SignedCheckpoint, show: Show
) -> dict[str, int]:
    """The leaf files that were added, with their lines."""
    listed = {} if before is None else before.files
    for path in present(folder):
        # Of an export that was cut off: the leaves are quickly read again, up to the checkpoint of now.
        if LEAVES.fullmatch(path) and path not in listed:
            (folder / path).unlink()
    known = sorted((file.first_leaf, path) for path, file in listed.items() if file.first_leaf is not None)
    frontier = export_log.frontier_of(folder, [path for _, path in known]) if known else Frontier()
    show.begin("Log", max(0, newest.checkpoint.size - frontier.size))
    return await export_log.write_leaves(folder, registry, newest.checkpoint, frontier, shown=show.done)


def _bytes_in(folder: Path) -> int:
    return sum((folder / path).stat().st_size for path in present(folder) if not (folder / path).is_symlink())
