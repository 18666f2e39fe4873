"""Does the live registry hold, row for row and column for column, what the replay made? Read is where they differ."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from console.audit import store
from console.audit.fold import Difference
from console.audit.replay_checkpoints import Signed, signed_from
from console.audit.replay_ranges import Range, differing_ranges
from console.audit.replay_rows import Table, differing, merged, words
from console.store import Connection
from services.registry.log import store as log_store
from transparency.merkle import TILE_HEIGHT, Frontier, leaf_hash
from transparency.signatures import VerifierKey

STREAM_CERTIFICATES: Final = """
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id, purchaser_id,
    issued_at, content, content_sha256, key_digest, pepper_id, registered_at, leaf.index AS place
FROM certificate LEFT JOIN leaf ON leaf.kind = 'registration' AND leaf.subject = certificate_id
ORDER BY certificate_id
"""
STREAM_VIEWS: Final = """
SELECT view_id, certificate_id, account_id, viewed_at, certificate.contract_number AS number,
    certificate_id AS about, leaf.index AS place
FROM view LEFT JOIN certificate USING (certificate_id)
    LEFT JOIN leaf ON leaf.kind = 'view' AND leaf.subject = view_id
ORDER BY view_id
"""
STREAM_LEAVES: Final = """
SELECT leaf.index, kind, subject, salt, commitment, certificate.contract_number AS number,
    coalesce(view.certificate_id, subject) AS about
FROM leaf LEFT JOIN view ON kind = 'view' AND view_id = subject
    LEFT JOIN certificate ON certificate.certificate_id = coalesce(view.certificate_id, subject)
ORDER BY leaf.index
"""
STREAM_TILES: Final = "SELECT level, index, hash FROM tile_node ORDER BY level, index"
SELECT_NUMBER: Final = "SELECT contract_number FROM certificate WHERE certificate_id = $1"
SELECT_HEAD: Final = "SELECT size, frontier FROM log_head"
SELECT_COMMITMENTS: Final = "SELECT commitment FROM leaf WHERE index >= $1 ORDER BY index"

_CHUNK: Final = 1024

CERTIFICATE: Final = Table(
    "certificate",
    STREAM_CERTIFICATES,
    ("certificate_id",),
    lambda row: f"certificate {row['certificate_id']}",
    key_type="uuid",
)
VIEW: Final = Table("view", STREAM_VIEWS, ("view_id",), lambda row: f"view {row['view_id']}", key_type="uuid")
LEAF: Final = Table(
    "leaf", STREAM_LEAVES, ("index",), lambda row: f"leaf {row['index']} ({row['kind']})", key_type="bigint"
)
TILE: Final = Table("tile_node", STREAM_TILES, ("level", "index"), lambda row: f"tile {row['level']}/{row['index']}")
TABLES: Final = (CERTIFICATE, VIEW, LEAF, TILE)


@dataclass
class Beside:
    """The shadow and the live registry, side by side. `size` leaves are in the shadow, `live_size` in the registry."""

    shadow: Connection
    live: Connection
    size: int
    live_size: int
    #: So far something tells of each leaf: what the shadow lacks of these is on its way, or later than asked for.
    told_until: int
    #: Of the log and its witnesses.
    keys: tuple[VerifierKey, ...]
    #: Whether a live row without a leaf is not yet told, or later than what was asked for.
    is_newer: Callable[[UUID], bool]
    advance: Callable[[int], None] = lambda _: None
    #: Rows compared, and live rows that are newer than what was replayed, by table.
    rows: dict[str, int] = field(default_factory=dict)
    newer: dict[str, int] = field(default_factory=dict)
    #: Signed sizes whose root was compared, and what the log signed that is not so.
    checkpoints: int = 0
    contradicted: list[Difference] = field(default_factory=list)
    #: Of the shadow.
    root: bytes = b""

    async def differences(self) -> AsyncIterator[Difference]:
        """What differs in the tables; `contradicted` is known afterwards."""
        signed = Signed(await signed_from(self.live, 0), self.size, self.live_size, self.keys)
        for table in TABLES:
            self.rows[table.name] = self.newer[table.name] = 0
            async for ours, theirs in self._beside(table):
                self.rows[table.name] += ours is not None
                if ours is None and self._newer(table, theirs):
                    self.newer[table.name] += 1
                elif ours != theirs:
                    told = await self._told_number(table, theirs) if ours is None else None
                    for difference in differing(table, ours, theirs, holder="registry", number=told):
                        yield difference
                self.advance(1)
        self.root = (await _grown(self.shadow, _Growing(at=signed.sizes, see=signed.see))).root()
        for difference in (*await self._head(), *signed.altered):
            yield difference
        self.contradicted, self.checkpoints = signed.contradicted, signed.compared
        self.newer["checkpoint"] = signed.newer

    async def _beside(self, table: Table) -> AsyncIterator[tuple[Any, Any]]:
        """Rows of both, but not where many are known to be the same: these are counted."""
        ranges: Sequence[Range | None] = [None]
        if len(table.key) == 1:
            same, ranges = await differing_ranges(self.shadow, self.live, table)
            self.rows[table.name] += same
            self.advance(same)
        for within in ranges:
            async for pair in merged(self.shadow, self.live, table, within):
                yield pair

    async def _told_number(self, table: Table, row: Any) -> str | None:
        """Of the certificate that a view or leaf is about, whatever the live registry calls it now."""
        return await self.shadow.fetchval(SELECT_NUMBER, row["about"]) if table in (VIEW, LEAF) else None

    def _newer(self, table: Table, row: Any) -> bool:
        edge = min(self.told_until, self.live_size)
        if table is TILE:
            # Complete only with leaves that the shadow does not have.
            return bool(self.size < (row["index"] + 1) << (TILE_HEIGHT * row["level"]) <= edge)
        if table is LEAF or row["place"] is not None:
            return bool(self.size <= row["index" if table is LEAF else "place"] < edge)
        return self.is_newer(row[table.key[0]])

    async def _head(self) -> list[Difference]:
        """The right edge: the shadow's where both have as many leaves, else the one that the live leaves make."""
        rows = await self.live.fetch(SELECT_HEAD)
        if len(rows) != 1:
            return [Difference("log_head_is_missing", "log_head", f"{len(rows)} rows where there is one")]
        if self.size >= self.live_size:
            ours = (await self.shadow.fetch(SELECT_HEAD))[0]
            expected = (ours["size"], tuple(ours["frontier"]))
        else:
            grown = await _grown(self.live, _Growing())
            expected = (grown.size, grown.hashes)
        found = (rows[0]["size"], tuple(rows[0]["frontier"]))
        names = ("size", "frontier")
        return [
            Difference(f"log_head.{name}_differs", "log_head", f"log and registry: {words(name, mine, theirs)}")
            for name, mine, theirs in zip(names, expected, found, strict=True)
            if mine != theirs
        ]


async def contradicted_since(
    shadow: Connection, live: Connection, verified: Frontier, keys: tuple[VerifierKey, ...]
) -> tuple[int, list[Difference]]:
    """How many sizes were signed beyond those that `Beside` compared, and which of them the shadow contradicts."""
    size = (await log_store.head(shadow)).size
    first = verified.size + 1
    signed = Signed(await signed_from(live, first), size, size, keys, first)
    growing = _Growing(at=signed.sizes, see=signed.see, _frontier=verified)
    for leaf in await shadow.fetch(SELECT_COMMITMENTS, verified.size):
        growing.take(leaf)
    return signed.compared, signed.contradicted


async def _grown(connection: Connection, growing: "_Growing") -> Frontier:
    """The tree that the leaves there make."""
    async for leaf in store.stream(connection, SELECT_COMMITMENTS, 0):
        growing.take(leaf)
    return growing.grown()


@dataclass
class _Growing:
    """A tree made from leaves as they pass; tells its root at certain sizes."""

    at: Iterator[int] = field(default_factory=lambda: iter(()))
    see: Callable[[int, bytes], None] = lambda _size, _root: None
    _frontier: Frontier = field(default_factory=Frontier)
    _row: list[bytes] = field(default_factory=list)
    _next: int | None = None

    def __post_init__(self) -> None:
        self._next = next(self.at, None)
        self._tell()

    def take(self, leaf: Any) -> None:
        self._row.append(leaf_hash(leaf["commitment"]))
        if len(self._row) >= _CHUNK:
            self.grown()
        self._tell()

    def grown(self) -> Frontier:
        if self._row:
            self._frontier, _ = self._frontier.extend(self._row)
            self._row = []
        return self._frontier

    def _tell(self) -> None:
        while self._next is not None and self._frontier.size + len(self._row) == self._next:
            self.see(self._next, self.grown().root())
            self._next = next(self.at, None)
