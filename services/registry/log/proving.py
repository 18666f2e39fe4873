"""What proves that something is in the log? Read from the tables, against the newest checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from chassis.metrics import MUST_NEVER
from chassis.postgres import Transaction
from services.registry.log import store
from transparency.checkpoints import Checkpoint
from transparency.errors import DoesNotVerify
from transparency.leaves import Document
from transparency.merkle import consistency_proof, inclusion_proof
from transparency.notes import Note
from transparency.proofs import make_proof
from transparency.tiles import Tile, TileReader, tiles_for_consistency, tiles_for_inclusion

log = structlog.get_logger()


@dataclass(frozen=True)
class Signed:
    """A checkpoint of ours, as it is kept."""

    checkpoint: Checkpoint
    note: str
    signed_at: datetime

    @property
    def size(self) -> int:
        return self.checkpoint.size


@dataclass(frozen=True)
class Proof:
    """One leaf, and what leads from it to the newest checkpoint."""

    index: int
    signed: Signed
    #: `akashi-proof/1`
    document: dict[str, Any]


async def newest(tx: Transaction) -> Signed | None:
    row = await store.newest(tx)
    if row is None:
        return None
    return Signed(Checkpoint.parse(Note.parse(row["note"]).text), row["note"], row["signed_at"])


async def prove(tx: Transaction, subject: UUID, document: Document, signed: Signed | None = None) -> Proof | None:
    """None while no checkpoint covers the leaf, which is a matter of seconds, and where its salt was erased.

    None, too, where the log's tables have a hole: who looks up a certificate sees it all the same.
    """
    return (await prove_all(tx, {subject: document}, signed))[subject]


async def prove_all(
    tx: Transaction, documents: Mapping[UUID, Document], signed: Signed | None = None
) -> dict[UUID, Proof | None]:
    """As `prove`, of the documents of several subjects, all of one type. Three statements, however many."""
    if not documents:
        return {}
    (kind,) = {document["type"] for document in documents.values()}
    leaves = await store.leaves(tx, kind, documents.keys())
    signed = signed or await newest(tx)
    if signed is None:
        return dict.fromkeys(documents)
    covered = {
        subject: leaf for subject, leaf in leaves.items() if leaf["salt"] is not None and leaf["index"] < signed.size
    }
    tiles = {tile for leaf in covered.values() for tile in tiles_for_inclusion(leaf["index"], signed.size)}
    try:
        reader = await _reader(tx, list(tiles), signed.size)
    except DoesNotVerify as error:
        MUST_NEVER.labels("log_has_a_hole").inc()
        log.critical("log.not_whole", why=str(error))
        return dict.fromkeys(documents)
    return {subject: _proof(documents[subject], covered.get(subject), signed, reader) for subject in documents}


def _proof(document: Document, leaf: Any, signed: Signed, reader: TileReader) -> Proof | None:
    if leaf is None:
        return None
    inclusion = inclusion_proof(leaf["index"], signed.size, reader.node)
    return Proof(leaf["index"], signed, make_proof(document, leaf["salt"], leaf["index"], inclusion, signed.note))


async def consistency(tx: Transaction, old: int, new: int) -> list[bytes]:
    """That the log of `new` leaves begins with that of `old`. There must be so many."""
    reader = await _reader(tx, tiles_for_consistency(old, new), new)
    return consistency_proof(old, new, reader.node)


async def _reader(tx: Transaction, tiles: Sequence[Tile], size: int) -> TileReader:
    hashes = dict(zip(tiles, await store.tiles(tx, tiles), strict=True))
    return TileReader(hashes.__getitem__, size)
