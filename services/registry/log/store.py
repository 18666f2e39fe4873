"""Every SQL statement about the log."""

from collections.abc import Collection, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from chassis.postgres import Transaction
from transparency.errors import Malformed
from transparency.leaves import CERTIFICATE, REGISTRATION, VIEW
from transparency.merkle import Frontier, TileHash, leaf_hash
from transparency.strict import HASH_BYTES
from transparency.tiles import Tile

SELECT_HEAD = "SELECT size, frontier FROM log_head"
LOCK_HEAD = f"{SELECT_HEAD} FOR UPDATE"
# $1 size, $2 frontier; $3 level, $4 index, $5 hash of tiles; $6 index, $7 kind, $8 subject, $9 salt, $10 commitment
APPEND = """
WITH head AS (UPDATE log_head SET size = $1, frontier = $2),
tiles AS (
    INSERT INTO tile_node (level, index, hash)
    SELECT level, index, hash FROM unnest($3::smallint[], $4::bigint[], $5::bytea[]) AS t (level, index, hash))
INSERT INTO leaf (index, kind, subject, salt, commitment)
SELECT index, kind, subject, salt, commitment
FROM unnest($6::bigint[], $7::text[], $8::uuid[], $9::bytea[], $10::bytea[])
    AS l (index, kind, subject, salt, commitment)
"""
SELECT_LEAVES = "SELECT subject, index, salt, commitment FROM leaf WHERE kind = $1 AND subject = ANY($2::uuid[])"
SELECT_SUBJECTS = "SELECT subject FROM leaf WHERE kind = $1 AND subject = ANY($2::uuid[])"
SELECT_COMMITMENTS = "SELECT commitment FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index"
# What each tile is made of, one after the other. $1 level, $2 first index, $3 the index after the last, of each
SELECT_TILES = """
SELECT CASE WHEN level = 0
    THEN (SELECT string_agg(commitment, '' ORDER BY index) FROM leaf WHERE index >= first AND index < beyond)
    ELSE (SELECT string_agg(hash, '' ORDER BY index) FROM tile_node
        WHERE tile_node.level = wanted.level AND index >= first AND index < beyond) END
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (level, first, beyond, n) ORDER BY n
"""

_WITHOUT_LEAF = "NOT EXISTS (SELECT FROM leaf WHERE leaf.kind = '{kind}' AND leaf.subject = {subject})"
# What is older than the log, in the order in which it came.
SELECT_CERTIFICATES_WITHOUT = (
    "SELECT certificate_id FROM certificate WHERE "
    + _WITHOUT_LEAF.format(kind=REGISTRATION, subject="certificate_id")
    + " ORDER BY registered_at, certificate_id"
)
SELECT_VIEWS_WITHOUT = (
    "SELECT view_id FROM view WHERE "
    + _WITHOUT_LEAF.format(kind=VIEW, subject="view_id")
    + " ORDER BY viewed_at, view_id"
)
# Some of them, those that still have none.
SELECT_OLD_CERTIFICATES = f"""
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id, purchaser_id,
    issued_at, content_sha256, key_digest, pepper_id, registered_at
FROM certificate
WHERE certificate_id = ANY($1::uuid[]) AND {_WITHOUT_LEAF.format(kind=REGISTRATION, subject="certificate_id")}
ORDER BY registered_at, certificate_id
"""
SELECT_OLD_VIEWS = f"""
SELECT view_id, certificate_id, contract_number, version, purchaser_id, account_id AS viewed_by, viewed_at
FROM view JOIN certificate USING (certificate_id)
WHERE view_id = ANY($1::uuid[]) AND {_WITHOUT_LEAF.format(kind=VIEW, subject="view_id")}
ORDER BY viewed_at, view_id
"""

#: Held by the one process that signs, for its transaction.
SIGNING: Final = 0x7369_676E  # "sign"
LOCK_SIGNING = "SELECT pg_try_advisory_xact_lock($1)"
SELECT_NEWEST = "SELECT size, note, signed_at FROM checkpoint ORDER BY size DESC LIMIT 1"
INSERT_CHECKPOINT = "INSERT INTO checkpoint (size, note, signed_at) VALUES ($1, $2, $3)"
LOCK_CHECKPOINT = "SELECT note FROM checkpoint WHERE size = $1 FOR UPDATE"
UPDATE_CHECKPOINT = "UPDATE checkpoint SET note = $2 WHERE size = $1"


@dataclass(frozen=True)
class StoredLeaf:
    """A leaf as it is kept."""

    index: int
    kind: str
    subject: UUID
    salt: bytes
    commitment: bytes


async def head(tx: Transaction) -> Frontier:
    """The log as it is now. Waits for nobody."""
    row = await tx.fetchrow(SELECT_HEAD)
    assert row is not None, "the migration made it"
    return Frontier(row["size"], tuple(row["frontier"]))


async def lock_head(tx: Transaction) -> Frontier:
    """The log as it is until this transaction ends: others append after it. The last lock that a transaction takes."""
    row = await tx.fetchrow(LOCK_HEAD)
    assert row is not None, "the migration made it"
    return Frontier(row["size"], tuple(row["frontier"]))


async def append(tx: Transaction, grown: Frontier, gained: Sequence[TileHash], leaves: Sequence[StoredLeaf]) -> None:
    """One statement, however many leaves."""
    above = [one for one in gained if one[0] > 0]
    await tx.execute(
        APPEND,
        grown.size,
        list(grown.hashes),
        [level for level, _, _ in above],
        [index for _, index, _ in above],
        [node for _, _, node in above],
        [leaf.index for leaf in leaves],
        [leaf.kind for leaf in leaves],
        [leaf.subject for leaf in leaves],
        [leaf.salt for leaf in leaves],
        [leaf.commitment for leaf in leaves],
    )


async def leaves(tx: Transaction, kind: str, subjects: Collection[UUID]) -> dict[UUID, Any]:
    """Subject → its leaf of that kind."""
    return {row["subject"]: row for row in await tx.fetch(SELECT_LEAVES, kind, list(subjects))}


async def registered(tx: Transaction, certificate_ids: Sequence[UUID]) -> set[UUID]:
    """Those of which the registration is in the log."""
    rows = await tx.fetch(SELECT_SUBJECTS, REGISTRATION, list(certificate_ids))
    return {row["subject"] for row in rows}


async def commitments(tx: Transaction, bundle: Tile) -> list[bytes]:
    """The entries of a bundle. Raises `Malformed` where one is missing."""
    rows = await tx.fetch(SELECT_COMMITMENTS, bundle.first, bundle.first + bundle.width)
    _check_whole(bundle, rows, bundle.width)
    return [row["commitment"] for row in rows]


async def tiles(tx: Transaction, wanted: Sequence[Tile]) -> list[bytes]:
    """The hashes of tiles. One statement, however many. Raises `Malformed` where a hash is missing."""
    rows = await tx.fetch(
        SELECT_TILES,
        [tile.level for tile in wanted],
        [tile.first for tile in wanted],
        [tile.first + tile.width for tile in wanted],
    )
    found = {tile: row[0] or b"" for tile, row in zip(wanted, rows, strict=True)}
    for tile, hashes in found.items():
        _check_whole(tile, hashes, tile.width * HASH_BYTES)
    return [hashes if tile.level else _leaf_hashes(hashes) for tile, hashes in found.items()]


def _check_whole(tile: Tile, found: Sized, length: int) -> None:
    """A row that somebody took out would shift what follows, and a cache keep it for ever."""
    if len(found) != length:
        raise Malformed(f"{tile.path} is not whole in the log's tables")


@lru_cache(maxsize=64)
def _leaf_hashes(commitments: bytes) -> bytes:
    """Of the entries of a whole tile. Proofs are mostly of what is new, so of the same tile again and again."""
    return b"".join(
        leaf_hash(commitments[first : first + HASH_BYTES]) for first in range(0, len(commitments), HASH_BYTES)
    )


async def without_leaf(tx: Transaction, kind: str) -> list[UUID]:
    """Certificates, or views, that are older than the log. Reads the whole table."""
    statement = SELECT_CERTIFICATES_WITHOUT if kind == CERTIFICATE else SELECT_VIEWS_WITHOUT
    return [row[0] for row in await tx.fetch(statement)]


async def old_certificates(tx: Transaction, certificate_ids: Sequence[UUID]) -> list[Any]:
    return list(await tx.fetch(SELECT_OLD_CERTIFICATES, list(certificate_ids)))


async def old_views(tx: Transaction, view_ids: Sequence[UUID]) -> list[Any]:
    return list(await tx.fetch(SELECT_OLD_VIEWS, list(view_ids)))


async def may_sign(tx: Transaction) -> bool:
    """Whether this transaction is the one that signs; another process may be at it."""
    return bool(await tx.fetchval(LOCK_SIGNING, SIGNING))


async def newest(tx: Transaction) -> Any:
    """The newest checkpoint, or None."""
    return await tx.fetchrow(SELECT_NEWEST)


async def add_checkpoint(tx: Transaction, size: int, note: str, signed_at: datetime) -> None:
    await tx.execute(INSERT_CHECKPOINT, size, note, signed_at)


async def lock_checkpoint(tx: Transaction, size: int) -> str:
    return str(await tx.fetchval(LOCK_CHECKPOINT, size))


async def update_checkpoint(tx: Transaction, size: int, note: str) -> None:
    await tx.execute(UPDATE_CHECKPOINT, size, note)
