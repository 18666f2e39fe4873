"""The export, `akashi-export/1`: the log as a folder of files, written by the platform and read by an auditor.

manifest.json            every file with its hash, the log's checkpoint, and what came before
manifest.note            a signed note over the manifest's hash, by the log's key
log/leaves-<first>.jsonl a line for each leaf
…                        whatever else the manifest lists (events as Parquet): hashed, not read
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from transparency import notes
from transparency.commitments import SALT_BYTES, canonical, commitment
from transparency.errors import DoesNotVerify, Malformed, WrongField
from transparency.merkle import Frontier
from transparency.notes import Note
from transparency.signatures import SignerKey
from transparency.strict import HASH_BYTES, LARGEST, from_hex, from_json

FORMAT: Final = "akashi-export/1"
MANIFEST: Final = "manifest.json"
MANIFEST_NOTE: Final = "manifest.note"
LEAVES: Final = re.compile(r"log/leaves-([0-9]{1,19})\.jsonl")
_PART: Final = re.compile(r"[^\x00-\x1f\x7f/\\:]+")
_LEAF_FIELDS: Final = {"index", "salt", "document", "commitment"}


@dataclass(frozen=True)
class File:
    """A line of the manifest."""

    path: str
    sha256: str
    bytes: int
    #: Lines of a leaf file; of others what the writer says, or nothing.
    rows: int | None

    @property
    def first_leaf(self) -> int | None:
        found = LEAVES.fullmatch(self.path)
        return None if found is None else int(found[1])


@dataclass(frozen=True)
class Previous:
    """The state of the log that an export goes on from."""

    checkpoint: str
    #: Of the export that ended there, if there was one.
    manifest_sha256: str | None
    #: The tree at that size; what an export needs that does not begin with leaf 0.
    frontier: Frontier | None


@dataclass(frozen=True)
class Manifest:
    """What an export says of itself."""

    files: tuple[File, ...]
    origin: str
    #: Index of the first leaf: 0, or the size of the previous checkpoint.
    first: int
    size: int
    checkpoint: str
    previous: Previous | None = None

    def to_bytes(self) -> bytes:
        """The file, for people to read; its hash is over these bytes."""
        document = {
            "format": FORMAT,
            "files": [{"path": f.path, "sha256": f.sha256, "bytes": f.bytes, "rows": f.rows} for f in self.files],
            "log": {"origin": self.origin, "first": self.first, "size": self.size, "checkpoint": self.checkpoint},
            "previous": self.previous
            and {
                "checkpoint": self.previous.checkpoint,
                "manifest_sha256": self.previous.manifest_sha256,
                "frontier": self.previous.frontier and [one.hex() for one in self.previous.frontier.hashes],
            },
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, raw: bytes) -> "Manifest":
        """Raises `Malformed` or `WrongField`. Names that are not known here are passed over."""
        document = _Fields(from_json(raw), "")
        if document.text("format") != FORMAT:
            raise WrongField("format", f"is not {FORMAT}")
        log = document.object("log")
        first = log.number("first")
        previous = None if document.get("previous") is None else _previous(document.object("previous"), first)
        if first and (previous is None or previous.frontier is None):
            raise WrongField("previous.frontier", f"is missing, and the export begins with leaf {first}")
        files = tuple(_file(_Fields(one, f"files[{i}].")) for i, one in enumerate(document.list("files")))
        return cls(files, log.text("origin"), first, log.number("size"), log.text("checkpoint"), previous)


@dataclass(frozen=True)
class Leaf:
    """A line of a leaf file. Salt and document are both there, or both erased."""

    index: int
    commitment: bytes
    salt: bytes | None
    document: Mapping[str, Any] | None

    def to_bytes(self) -> bytes:
        """The line, with its newline."""
        salt = self.salt and self.salt.hex()
        line = {"index": self.index, "salt": salt, "document": self.document, "commitment": self.commitment.hex()}
        return canonical(line) + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Leaf":
        """Read a line and compute its commitment again. Raises `Malformed` or `WrongField`."""
        fields = _Fields(from_json(line), "")
        for name in sorted(_LEAF_FIELDS ^ set(fields.document)):
            raise WrongField(name, "is missing" if name in _LEAF_FIELDS else "does not belong to a leaf")
        stated = fields.hash("commitment")
        if fields.get("document") is None and fields.get("salt") is None:
            return cls(fields.number("index"), stated, None, None)
        salt, document = fields.hash("salt", SALT_BYTES), fields.object("document").document
        if commitment(salt, document) != stated:
            raise WrongField("commitment", "is not the one of this salt and document")
        return cls(fields.number("index"), stated, salt, document)


def sign_manifest(manifest: bytes, origin: str, signer: SignerKey) -> Note:
    """`manifest.note`. Its text has no size in its second line, so that it can never be taken for a checkpoint."""
    text = manifest_text(manifest, origin)
    return Note(text, (notes.sign(text, signer),))


def manifest_text(manifest: bytes, origin: str) -> str:
    return f"{FORMAT}\n{origin}\nsha256 {hashlib.sha256(manifest).hexdigest()}\n"


@dataclass(frozen=True)
class _Fields:
    """A JSON object whose fields are read with their type, and named when they have another."""

    document: Any
    prefix: str

    def __post_init__(self) -> None:
        if not isinstance(self.document, dict):
            raise Malformed(f"{self.prefix.rstrip('.') or 'this'} is not a JSON object")

    def get(self, name: str) -> Any:
        if name not in self.document:
            raise WrongField(self.prefix + name, "is missing")
        return self.document[name]

    def object(self, name: str) -> "_Fields":
        value = self.get(name)
        if not isinstance(value, dict):
            raise WrongField(self.prefix + name, "is not an object")
        return _Fields(value, f"{self.prefix}{name}.")

    def list(self, name: str) -> Sequence[Any]:
        value = self.get(name)
        if not isinstance(value, list):
            raise WrongField(self.prefix + name, "is not a list")
        return value

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise WrongField(self.prefix + name, "is not a text")
        return value

    def number(self, name: str) -> int:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise WrongField(self.prefix + name, "is not a whole number")
        return value

    def hash(self, name: str, length: int = HASH_BYTES) -> bytes:
        try:
            return from_hex(self.get(name), length)
        except Malformed:
            raise WrongField(self.prefix + name, f"is not {length} bytes in lower-case hexadecimal") from None


def _file(fields: _Fields) -> File:
    path = fields.text("path")
    parts = path.split("/")
    if path in {MANIFEST, MANIFEST_NOTE} or any(_PART.fullmatch(part) is None or part in {".", ".."} for part in parts):
        raise WrongField(f"{fields.prefix}path", f"{path[:80]!r} is no path inside the export")
    rows = None if fields.get("rows") is None else fields.number("rows")
    return File(path, fields.hash("sha256").hex(), fields.number("bytes"), rows)


def _previous(fields: _Fields, first: int) -> Previous:
    manifest = None if fields.get("manifest_sha256") is None else fields.hash("manifest_sha256").hex()
    frontier = None if fields.get("frontier") is None else _frontier(fields.list("frontier"), first)
    return Previous(fields.text("checkpoint"), manifest, frontier)


def _frontier(hashes: Sequence[Any], size: int) -> Frontier:
    try:
        return Frontier(size, tuple(from_hex(one) for one in hashes))
    except DoesNotVerify as error:
        raise WrongField("previous.frontier", str(error)) from None
