"""The log as an export carries it: every leaf with its document, up to a checkpoint that the registry signed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from console import store
from console.audit.export_folder import TEMPORARY, settle
from deploy.local.problem import Problem
from services.registry.log import documents
from transparency.checkpoints import Checkpoint, SignedCheckpoint, Trust, open_checkpoint
from transparency.commitments import commitment
from transparency.errors import DoesNotVerify, WrongField
from transparency.export import Leaf
from transparency.leaves import CERTIFICATE, REGISTRATION, VIEW, Document
from transparency.merkle import Frontier, leaf_hash
from transparency.notes import Note
from transparency.signatures import VerifierKey

#: Lines of a file.
LEAVES_OF_A_FILE: Final = 250_000
#: So long an export waits for what witnesses are asked at once.
COSIGNED_WITHIN_SECONDS: Final = 10.0


async def newest_checkpoint(
    connection: store.Connection, key: VerifierKey, *, wait_seconds: float = COSIGNED_WITHIN_SECONDS
) -> SignedCheckpoint:
    """What the log signed last. `Problem` where there is nothing yet, or another key signed.

    Where those before it bear more signatures, its witnesses are given a while: they are asked within a second.
    """
    give_up_at = time.monotonic() + wait_seconds
    while True:
        rows = await store.newest_checkpoints(connection)
        if not rows:
            raise Problem("The log has no checkpoint yet: start the registry, and export when it has signed one.")
        try:
            signatures = [len(Note.parse(row["note"]).signatures) for row in rows]
            if signatures[0] == max(signatures) or time.monotonic() >= give_up_at:
                origin = Checkpoint.parse(Note.parse(rows[0]["note"]).text).origin
                return open_checkpoint(rows[0]["note"], Trust(origin, (key,)))
        except DoesNotVerify as error:
            raise Problem(f"The log's newest checkpoint does not fit the secret registry/log_key: {error}.") from None
        await asyncio.sleep(0.2)


async def leaves_of(connection: store.Connection, first: int, end: int) -> AsyncIterator[Sequence[Leaf]]:
    """Leaves in their order. `Problem` for one that is missing, or whose document is not what the log committed to."""
    index = first
    async for rows in store.leaves_of(connection, first, end):
        leaves = []
        for row in rows:
            if row["index"] != index:
                break
            leaves.append(_leaf(row))
            index += 1
        yield leaves
        if len(leaves) < len(rows):
            break
    if index != end:
        raise Problem(f"The registry's database has no leaf {index} of a log of {end}: restore it to its last commit.")


async def write_leaves(
    folder: Path,
    connection: store.Connection,
    checkpoint: Checkpoint,
    before: Frontier,
    *,
    shown: Callable[[int], None],
) -> dict[str, int]:
    """Write what follows `before`, and return the files with their lines.

    `Problem` unless the tree over all leaves is the one that the checkpoint signs.
    """
    if before.size > checkpoint.size:
        raise Problem(
            f"The log has {checkpoint.size} leaves and the export before had {before.size}: "
            "the registry's database was set back, or it is another one."
        )
    frontier = before
    files = {}
    for first in range(before.size, checkpoint.size, LEAVES_OF_A_FILE):
        end = min(first + LEAVES_OF_A_FILE, checkpoint.size)
        path = f"log/leaves-{first}.jsonl"
        (folder / "log").mkdir(exist_ok=True)
        with (folder / (path + TEMPORARY)).open("wb") as lines:
            async for leaves in leaves_of(connection, first, end):
                lines.writelines(leaf.to_bytes() for leaf in leaves)
                frontier, _ = frontier.extend([leaf_hash(leaf.commitment) for leaf in leaves])
                shown(len(leaves))
        settle(folder / path)
        files[path] = end - first
    if frontier.root() != checkpoint.root:
        raise Problem(
            f"The registry's {checkpoint.size} leaves are not what its checkpoint signs: "
            "keep the database as it is, and find out who changed it."
        )
    return files


def frontier_of(folder: Path, paths: Sequence[str]) -> Frontier:
    """The tree over the leaves of files whose hashes were checked, given in their order."""
    frontier = Frontier()
    for path in paths:
        with (folder / path).open("rb") as lines:
            hashes = [leaf_hash(bytes.fromhex(json.loads(line)["commitment"])) for line in lines]
        frontier, _ = frontier.extend(hashes)
    return frontier


def _leaf(row: Any) -> Leaf:
    if row["salt"] is None:
        return Leaf(row["index"], row["commitment"], None, None)
    try:
        document = _document(row)
    except WrongField:
        document = None
    if document is None or commitment(row["salt"], document) != row["commitment"]:
        raise Problem(
            f"What the registry's database says of leaf {row['index']} ({row['kind']}) is not what the log committed "
            "to: keep it as it is, and find out who changed it."
        )
    return Leaf(row["index"], row["commitment"], row["salt"], document)


def _document(row: Any) -> Document | None:
    """None where the registry does not have what the leaf is about."""
    if row["certificate_id"] is None:
        return None
    if row["kind"] == CERTIFICATE:
        return documents.of_certificate(row)
    if row["kind"] == REGISTRATION:
        return documents.of_registration(**_named(row, "registered_at", "content_sha256"))
    if row["kind"] == VIEW and row["view_id"] is not None:
        return documents.of_view(**_named(row, "view_id", "purchaser_id", "viewed_by", "viewed_at"))
    return None


def _named(row: Any, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in ("certificate_id", "contract_number", "version", *names)}
