"""A topic's records as Parquet files: each bounded, each whole or not there, and each says what it holds.

`topics/<topic>/<row>.parquet`; `row` is how many records of the topic the files before it hold, so that names sort as
the records were exported. A partition's records are in their order, from file to file.
"""

import asyncio
import hashlib
import itertools
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

import pyarrow as pa  # type: ignore[import-untyped] # the library says nothing of its types
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from console.audit.export_folder import TEMPORARY, settle
from deploy.local.problem import Problem

FILE: Final = re.compile(r"topics/([a-z0-9.-]{1,200})/([0-9]{12})\.parquet")
SCHEMA: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field(
            "headers",
            pa.list_(
                pa.field(
                    "element",
                    pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())]),
                    nullable=False,
                )
            ),
            nullable=False,
        ),
    ]
)
#: What is in memory at once, and what a kill can lose. Counted before compression.
ROW_GROUP_ROWS: Final = 16_384
ROW_GROUP_BYTES: Final = 16 << 20
FILE_ROWS: Final = 1 << 18
FILE_BYTES: Final = 128 << 20
#: A record's fixed columns and headers, roughly.
_OVERHEAD_BYTES: Final = 512
_READ_ROWS: Final = 2000
_FOOTER: Final = b"akashi"
#: Whole numbers of four and of eight bytes.
_Form = Literal["i", "q"]


class Told(Protocol):
    """A record as Kafka gives it."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Row(NamedTuple):
    """A record as a file holds it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Span:
    """What a file, or a row of files, holds of one partition."""

    first: int
    last: int
    rows: int
    #: Of the last record: whoever goes on looks whether it is still the same.
    last_sha256: str

    def followed_by(self, later: "Span") -> "Span":
        return replace(later, first=self.first, rows=self.rows + later.rows)


@dataclass(frozen=True)
class TopicFile:
    """A file that is whole."""

    path: str
    topic: str
    #: Records of the topic in the files before it.
    row: int
    rows: int
    spans: Mapping[int, Span]


def name(topic: str, row: int) -> str:
    return f"topics/{topic}/{row:012}.parquet"


def digest(record: Told) -> str:
    """Of all that an import has to bring back, and where it was."""
    hashed = hashlib.sha256(struct.pack(">iqq", record.partition, record.offset, record.timestamp))
    parts = itertools.chain((record.key, record.value), *((name.encode(), value) for name, value in record.headers))
    for part in parts:
        hashed.update(struct.pack(">q", -1 if part is None else len(part)))
        hashed.update(part or b"")
    return hashed.hexdigest()


def is_same(one: Told, other: Told) -> bool:
    """Whether they are the same record, wherever they lie."""
    return (one.key, one.timestamp, one.value) == (other.key, other.timestamp, other.value) and list(
        one.headers
    ) == list(other.headers)


class TopicWriter:
    """Writes the records of one topic, as they are given, into files. Given the same, the files are the same."""

    def __init__(self, folder: Path, topic: str, row: int) -> None:
        self._folder = folder
        self._topic = topic
        self._row = row
        self._pending: list[Told] = []
        self._pending_bytes = 0
        self._file: pq.ParquetWriter | None = None
        self._file_rows = self._file_bytes = 0
        self._spans: dict[int, Span] = {}
        self.written: list[TopicFile] = []

    async def add(self, records: Sequence[Told]) -> None:
        for record in records:
            self._pending.append(record)
            self._pending_bytes += len(record.key or b"") + len(record.value or b"") + _OVERHEAD_BYTES
            if len(self._pending) == ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
                # Kafka's answers come in meanwhile.
                await asyncio.to_thread(self._write)
                if self._file_rows >= FILE_ROWS or self._file_bytes >= FILE_BYTES:
                    await asyncio.to_thread(self._finish)

    async def close(self) -> None:
        """When this returns, what was added is in files."""
        if self._pending:
            await asyncio.to_thread(self._write)
        if self._file is not None:
            await asyncio.to_thread(self._finish)

    def abandon(self) -> None:
        """Let go of the file that is not whole; the next export removes it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _path(self) -> Path:
        return self._folder / name(self._topic, self._row)

    def _write(self) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(
                self._path.with_name(self._path.name + TEMPORARY),
                SCHEMA,
                compression="zstd",
                # Keys and values repeat nothing that a dictionary could win.
                use_dictionary=["partition", "headers.list.element.name"],
                write_statistics=["partition", "offset", "timestamp_ms"],
            )
        self._file.write_batch(_batch(self._pending), row_group_size=len(self._pending))
        for partition, records in itertools.groupby(self._pending, key=lambda record: record.partition):
            told = list(records)
            span = Span(told[0].offset, told[-1].offset, len(told), digest(told[-1]))
            before = self._spans.get(partition)
            self._spans[partition] = before.followed_by(span) if before else span
        self._file_rows += len(self._pending)
        self._file_bytes += self._pending_bytes
        self._pending, self._pending_bytes = [], 0

    def _finish(self) -> None:
        assert self._file is not None
        file = TopicFile(name(self._topic, self._row), self._topic, self._row, self._file_rows, self._spans)
        self._file.add_key_value_metadata({_FOOTER: _footer(file)})
        self._file.close()
        settle(self._path)
        self.written.append(file)
        self._row += self._file_rows
        self._file, self._file_rows, self._file_bytes, self._spans = None, 0, 0, {}


def read_footer(folder: Path, path: str) -> TopicFile:
    """What a file says that it holds. `Problem` when it is none of ours."""
    found = FILE.fullmatch(path)
    try:
        assert found is not None
        footer = pq.read_metadata(folder / path)
        said = json.loads(footer.metadata[_FOOTER])
        spans = {int(number): Span(**span) for number, span in said["partitions"].items()}
        file = TopicFile(path, said["topic"], said["row"], footer.num_rows, spans)
        if (file.topic, file.row) != (found[1], int(found[2])) or file.rows != sum(one.rows for one in spans.values()):
            raise ValueError("it says otherwise")  # noqa: TRY301 - said once, below
    except (OSError, ValueError, TypeError, KeyError, AssertionError):
        raise Problem(f"{path} is not a file that an export wrote: remove the folder and export again.") from None
    return file


def totals(files: Sequence[TopicFile]) -> dict[int, Span]:
    """What the files of a topic hold of each partition. `Problem` when one is missing between them."""
    spans: dict[int, Span] = {}
    row = 0
    for file in files:
        if file.row != row:
            raise Problem(f"{name(file.topic, row)} is missing: remove the folder and export again.")
        row += file.rows
        for partition, span in file.spans.items():
            before = spans.get(partition)
            if before is not None and span.first <= before.last:
                raise Problem(f"{file.path} repeats partition {partition}: remove the folder and export again.")
            spans[partition] = before.followed_by(span) if before else span
    return spans


def rows_of(folder: Path, files: Sequence[TopicFile]) -> Iterator[list[Row]]:
    """The records of a topic, a partition's in their order, some at a time."""
    for file in files:
        try:
            with pq.ParquetFile(folder / file.path) as opened:
                if not opened.schema_arrow.equals(SCHEMA):
                    raise Problem(f"{file.path} has not the columns of an export.")
                for batch in opened.iter_batches(_READ_ROWS, use_threads=False):
                    yield _rows(batch)
        except pa.ArrowException as error:
            raise Problem(f"{file.path} can't be read ({type(error).__name__}).") from None


def _batch(records: Sequence[Told]) -> Any:
    headers = [header for record in records for header in record.headers]
    ends = itertools.accumulate((len(record.headers) for record in records), initial=0)
    element = SCHEMA.field("headers").type.value_type
    listed = pa.ListArray.from_arrays(
        pa.array(list(ends), pa.int32()),
        pa.StructArray.from_arrays(
            [
                pa.array([name for name, _ in headers], pa.string()),
                pa.array([value for _, value in headers], pa.binary()),
            ],
            fields=list(element),
        ),
        type=SCHEMA.field("headers").type,
    )
    columns = [
        pa.array([record.partition for record in records], pa.int32()),
        pa.array([record.offset for record in records], pa.int64()),
        pa.array([record.timestamp for record in records], pa.int64()),
        pa.array([record.key for record in records], pa.binary()),
        pa.array([record.value for record in records], pa.binary()),
        listed,
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def _rows(batch: Any) -> list[Row]:
    listed = batch.column("headers")
    element = listed.values
    headers = list(zip(_texts(element.field("name")), _bytes(element.field("value")), strict=True))
    ends = _whole(listed.buffers()[1], "i", listed.offset, len(listed) + 1)
    return list(
        map(
            Row,
            _numbers(batch.column("partition"), "i"),
            _numbers(batch.column("offset"), "q"),
            _numbers(batch.column("timestamp_ms"), "q"),
            _bytes(batch.column("key")),
            _bytes(batch.column("value")),
            [headers[first:end] for first, end in itertools.pairwise(ends)],
        )
    )


# Columns as Python's own: by way of the library's scalars it takes ten times as long.


def _whole(buffer: Any, form: _Form, offset: int, length: int) -> list[int]:
    return memoryview(buffer).cast(form)[offset : offset + length].tolist() if buffer is not None else [0] * length


def _numbers(column: Any, form: _Form) -> list[int]:
    return _whole(column.buffers()[1], form, column.offset, len(column))


def _bytes(column: Any) -> list[bytes | None]:
    _, ends, content = column.buffers()
    bounds = _whole(ends, "i", column.offset, len(column) + 1)
    # Of this batch only: others may share the buffer.
    held = b"" if content is None else bytes(memoryview(content)[bounds[0] : bounds[-1]])
    base = bounds[0]
    found: list[bytes | None] = [held[first - base : end - base] for first, end in itertools.pairwise(bounds)]
    if column.null_count:
        return [one if there else None for one, there in zip(found, column.is_valid().to_pylist(), strict=True)]
    return found


def _texts(column: Any) -> list[str]:
    """Names are few, and come again and again."""
    known: dict[bytes, str] = {}
    return [known.get(one) or known.setdefault(one, one.decode()) for one in _bytes(column) if one is not None]


def _footer(file: TopicFile) -> bytes:
    spans = {number: asdict(span) for number, span in sorted(file.spans.items())}
    return json.dumps({"topic": file.topic, "row": file.row, "partitions": spans}).encode()
