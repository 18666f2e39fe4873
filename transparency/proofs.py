"""A proof that one document is in the log, complete in itself: a purchaser keeps it, and needs us no more.

JSON, `"format": "akashi-proof/1"`, with the document and its salt, its index, the hashes from its leaf to the root
(hexadecimal, RFC 6962 §2.1.1) and the checkpoint as a signed note.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from transparency import merkle
from transparency.checkpoints import SignedCheckpoint, Trust, open_checkpoint
from transparency.commitments import SALT_BYTES, commitment
from transparency.errors import Malformed
from transparency.leaves import Document
from transparency.strict import LARGEST, from_hex

FORMAT: Final = "akashi-proof/1"
_FIELDS: Final = {"format", "index", "salt", "document", "inclusion", "checkpoint"}


@dataclass(frozen=True)
class Proven:
    """What a proof proved."""

    document: Document
    index: int
    commitment: bytes
    signed: SignedCheckpoint


def make_proof(
    document: Mapping[str, Any], salt: bytes, index: int, inclusion: Sequence[bytes], checkpoint: str
) -> dict[str, Any]:
    """`inclusion` must be of the tree of `checkpoint`. Nothing is checked here; `verify_proof` does."""
    return {
        "format": FORMAT,
        "index": index,
        "salt": salt.hex(),
        "document": dict(document),
        "inclusion": [one.hex() for one in inclusion],
        "checkpoint": checkpoint,
    }


def verify_proof(proof: Any, trust: Trust) -> Proven:
    """Raises `DoesNotVerify`. Says that the document is in the log, not that nothing in the log contradicts it."""
    if not isinstance(proof, dict) or proof.get("format") != FORMAT:
        raise Malformed(f"not a proof of format {FORMAT}")
    for name in sorted(_FIELDS ^ set(proof)):
        raise Malformed(f"field {name} is {'missing' if name in _FIELDS else 'unknown'}")
    index, document, inclusion, note = (proof[name] for name in ("index", "document", "inclusion", "checkpoint"))
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= LARGEST:
        raise Malformed("field index is not a whole number")
    if not isinstance(document, dict) or not isinstance(inclusion, list) or not isinstance(note, str):
        raise Malformed("document is an object, inclusion a list and checkpoint a text")
    entry = commitment(from_hex(proof["salt"], SALT_BYTES), document)
    signed = open_checkpoint(note, trust)
    path = [from_hex(one) for one in inclusion]
    checkpoint = signed.checkpoint
    merkle.verify_inclusion(merkle.leaf_hash(entry), index, checkpoint.size, path, checkpoint.root)
    return Proven(document, index, entry, signed)
