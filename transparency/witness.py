"""What a witness decides (C2SP tlog-witness, add-checkpoint), without network and storage.

The caller reads `Seen` of the origin under a lock, calls `decide`, stores what comes back, commits, and only then
answers: an answer that is sent before it is stored lets a log be rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from transparency import notes
from transparency.checkpoints import Checkpoint, Trust, open_checkpoint
from transparency.errors import DoesNotVerify, Malformed
from transparency.merkle import EMPTY_ROOT, ProofDoesNotHold, verify_consistency
from transparency.notes import Note
from transparency.signatures import SignerKey, VerifierKey
from transparency.strict import HASH_BYTES, decimal, from_base64, to_base64

MOST_PROOF_LINES: Final = 63
COSIGNED, BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, UNPROCESSABLE = 200, 400, 403, 404, 409, 422
PLAIN: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"


@dataclass(frozen=True)
class AddCheckpoint:
    """The body of a request. `note` is the checkpoint as it was sent, not verified yet."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def __str__(self) -> str:
        lines = (f"old {self.old_size}", *map(to_base64, self.proof), "")
        return "".join(f"{line}\n" for line in lines) + str(self.note)

    @property
    def origin(self) -> str:
        """Says which `Seen` to read and which keys to try."""
        return Checkpoint.parse(self.note.text).origin

    @classmethod
    def parse(cls, body: bytes) -> "AddCheckpoint":
        """Raises `Malformed`, which the caller answers with 400."""
        head, divider, note = body.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise Malformed("the lines before the checkpoint are ASCII") from None
        if not divider or not first.startswith("old "):
            raise Malformed("a request is an `old` line, proof lines, an empty line and a checkpoint")
        if len(lines) > MOST_PROOF_LINES:
            raise Malformed(f"a request has at most {MOST_PROOF_LINES} proof lines")
        proof = tuple(from_base64(line, HASH_BYTES) for line in lines)
        request = cls(decimal(first.removeprefix("old ")), proof, Note.parse(note))
        Checkpoint.parse(request.note.text)
        return request


@dataclass(frozen=True)
class Seen:
    """The latest checkpoint of an origin that this witness cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True)
class Decision:
    """The answer, and what to store before it is sent."""

    status: int
    body: str
    seen: Seen
    content_type: str = PLAIN


def decide(
    request: AddCheckpoint, *, log_keys: Sequence[VerifierKey], seen: Seen, witness: SignerKey, now: int
) -> Decision:
    """Cosign, or say why not. `log_keys`: those of the request's origin, none when the origin is not known.

    `seen` changes only with a 200. `witness` is a key of type 0x04, `now` POSIX time in seconds.
    """
    if not log_keys:
        return Decision(NOT_FOUND, f"{request.origin} is not a log that is witnessed here\n", seen)
    try:
        checkpoint = open_checkpoint(str(request.note), Trust(request.origin, tuple(log_keys))).checkpoint
    except DoesNotVerify as error:
        return Decision(FORBIDDEN, f"{error}\n", seen)
    if request.old_size > checkpoint.size:
        return Decision(BAD_REQUEST, "the old size is larger than the checkpoint's\n", seen)
    conflict = Decision(CONFLICT, f"{seen.size}\n", seen, SIZE)
    if request.old_size != seen.size or (checkpoint.size == seen.size and checkpoint.root != seen.root):
        return conflict
    try:
        verify_consistency(seen.size, seen.root, checkpoint.size, checkpoint.root, request.proof)
    except ProofDoesNotHold as error:
        return Decision(UNPROCESSABLE, f"{error}\n", seen)
    line = notes.sign(request.note.text, witness, at=now)
    return Decision(COSIGNED, str(line), replace(seen, size=checkpoint.size, root=checkpoint.root))


def accept_cosignatures(note: Note, answer: str, trust: Trust) -> Note:
    """The log's side: the checkpoint with those lines of a witness' answer that verify; others are left out.

    Raises `Malformed` when the answer is not signature lines, and `SignatureIsWrong` for a trusted witness' wrong one.
    """
    lines = Note.parse(f"{note.text}\n{answer}")
    if lines.text != note.text:
        raise Malformed("the answer is more than signature lines")
    signed = {(key.name, key.id) for key in lines.verified_by(trust.witnesses)}
    return note.with_signatures(one for one in lines.signatures if (one.name, one.key_id) in signed)
