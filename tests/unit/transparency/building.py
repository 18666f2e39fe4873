"""Logs and exports to look at: built the way the platform builds them, small, and the same in every run."""

import hashlib
import json
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from transparency import checkpoints, leaves
from transparency.checkpoints import Checkpoint, Trust
from transparency.commitments import canonical, commitment
from transparency.export import File, Leaf, Manifest, Previous, sign_manifest
from transparency.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from transparency.notes import Note, sign
from transparency.signatures import COSIGNATURE, SignerKey

ORIGIN = "akashi.example/log"
LOG = SignerKey(ORIGIN, bytes(range(32)))
WITNESS = SignerKey("witness.example/w1", bytes(range(32, 64)), COSIGNATURE)
TRUST = Trust(ORIGIN, (LOG.verifier,))
WATCHED = Trust(ORIGIN, (LOG.verifier,), (WITNESS.verifier,), quorum=1)
NOON = datetime(2026, 4, 1, 3, 0, 0, tzinfo=UTC)
SIGNED_AT = int(NOON.timestamp()) + 86_400


def root_of(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(root_of(hashes[:k]), root_of(hashes[k:]))


def nodes_of(hashes: Sequence[bytes]):
    """`node(height, index)` over leaves in memory."""
    return lambda height, index: root_of(hashes[index << height : (index + 1) << height])


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(8)) for n in range(count)]


def at(seconds: float) -> str:
    return leaves.utc_text(NOON + timedelta(seconds=seconds))


def an_id(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}"))


def content_of(number: int) -> dict[str, Any]:
    return {"amount_yen": 1_000_000 + number, "contractor_name": "株式会社髙﨑建設", "jv_name": None, "title": "𠮷田橋"}


def content_sha256(number: int) -> str:
    content = {name: value for name, value in content_of(number).items() if value is not None}
    return hashlib.sha256(canonical(content)).hexdigest()


def a_certificate(number: int, **changes: Any) -> leaves.Document:
    fields: dict[str, Any] = {
        "certificate_id": an_id("certificate", number),
        "contract_number": f"26001-{number:05d}X",
        "version": 1,
        "change_number": 0,
        "application_id": an_id("application", number),
        "product": "performance",
        "surety_id": "mihon",
        "purchaser_id": "tochigi",
        "content_sha256": content_sha256(number),
        "key_digest": hashlib.sha256(b"key %d" % number).hexdigest(),
        "pepper_id": "pepper-1",
        "issued_at": at(60 * number),
    }
    return leaves.certificate_leaf(**fields | changes)


def a_registration(number: int, **changes: Any) -> leaves.Document:
    fields: dict[str, Any] = {
        "certificate_id": an_id("certificate", number),
        "contract_number": f"26001-{number:05d}X",
        "version": 1,
        "content_sha256": content_sha256(number),
        "registered_at": at(60 * number + 1),
    }
    return leaves.registration_leaf(**fields | changes)


def a_view(number: int, **changes: Any) -> leaves.Document:
    fields: dict[str, Any] = {
        "view_id": an_id("view", number),
        "certificate_id": an_id("certificate", number),
        "contract_number": f"26001-{number:05d}X",
        "version": 1,
        "purchaser_id": "tochigi",
        "viewed_by": an_id("account", number % 3),
        "viewed_at": at(60 * number + 30),
    }
    return leaves.view_leaf(**fields | changes)


def a_log(certificates: int, first: int = 0) -> list[leaves.Document]:
    return [
        document
        for number in range(first, first + certificates)
        for document in (a_certificate(number), a_registration(number), a_view(number))
    ]


def as_leaves(documents: Iterable[leaves.Document], first: int = 0) -> list[Leaf]:
    """Each with a salt of its own."""
    salts = random.Random(first)
    built = []
    for index, document in enumerate(documents, first):
        salt = salts.randbytes(32)
        built.append(Leaf(index, commitment(salt, document), salt, document))
    return built


def frontier_of(log: Iterable[Leaf], after: Frontier | None = None) -> Frontier:
    frontier, _ = (after or Frontier()).extend([leaf_hash(leaf.commitment) for leaf in log])
    return frontier


def a_checkpoint(frontier: Frontier, *, signer: SignerKey = LOG, is_seen: bool = True) -> Note:
    """Signed by the log and seen by the witness."""
    note = checkpoints.sign(Checkpoint.of(ORIGIN, frontier), signer, at=SIGNED_AT)
    return note.with_signatures([sign(note.text, WITNESS, at=SIGNED_AT + 5)] if is_seen else [])


def write_export(
    folder: Path,
    log: Sequence[Leaf],
    *,
    per_file: int = 10,
    after: Frontier | None = None,
    previous: Previous | None = None,
    checkpoint: str | None = None,
) -> Manifest:
    """A whole export with leaf files and a file of events."""
    start = after or Frontier()
    (folder / "log").mkdir(parents=True)
    (folder / "events").mkdir()
    files = [_write(folder, "events/certificates.parquet", b"PAR1" + bytes(range(200)) + b"PAR1", 7)]
    for at_ in range(0, len(log), per_file):
        part = log[at_ : at_ + per_file]
        lines = b"".join(leaf.to_bytes() for leaf in part)
        files.append(_write(folder, f"log/leaves-{part[0].index}.jsonl", lines, len(part)))
    frontier = frontier_of(log, start)
    note = checkpoint or str(a_checkpoint(frontier))
    manifest = Manifest(tuple(files), ORIGIN, start.size, frontier.size, note, previous)
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest, signer: SignerKey = LOG) -> None:
    raw = manifest.to_bytes()
    (folder / "manifest.json").write_bytes(raw)
    (folder / "manifest.note").write_text(str(sign_manifest(raw, ORIGIN, signer)), encoding="utf-8")


def listed_anew(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest with hashes, lengths and rows as the files now are: what a careful forger writes."""
    files = []
    for file in manifest.files:
        raw = (folder / file.path).read_bytes()
        rows = file.rows if file.first_leaf is None else raw.count(b"\n")
        files.append(File(file.path, hashlib.sha256(raw).hexdigest(), len(raw), rows))
    return replace(manifest, files=tuple(files))


def lines_of(folder: Path, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / path).read_text(encoding="utf-8").splitlines()]


def _write(folder: Path, path: str, raw: bytes, rows: int) -> File:
    (folder / path).write_bytes(raw)
    return File(path, hashlib.sha256(raw).hexdigest(), len(raw), rows)
