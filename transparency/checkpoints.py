"""Checkpoints (C2SP tlog-checkpoint): size and root of the log, signed by it and seen by witnesses.

<origin>
<size>
<base64 of the root>
[extension lines]
"""

from dataclasses import dataclass, field

from transparency import notes
from transparency.errors import DoesNotVerify, Malformed
from transparency.merkle import EMPTY_ROOT, Frontier
from transparency.notes import Note
from transparency.signatures import COSIGNATURE, ED25519, SignerKey, VerifierKey, public_keys
from transparency.strict import HASH_BYTES, decimal, from_base64, to_base64


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: so many leaves, and this root over them."""

    origin: str
    size: int
    root: bytes
    #: Opaque; nobody audits them, we write none.
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The text of the note, with its last newline."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or "" in lines:  # noqa: PLR2004 - three lines, each with its newline
            raise Malformed("a checkpoint has three lines or more, none of them empty")
        origin, size, root, *extensions = lines
        checkpoint = cls(origin, decimal(size), from_base64(root, HASH_BYTES), tuple(extensions))
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise Malformed("the root of an empty tree is SHA-256 of nothing")
        return checkpoint

    @classmethod
    def of(cls, origin: str, frontier: Frontier) -> "Checkpoint":
        return cls(origin, frontier.size, frontier.root())


@dataclass(frozen=True)
class Trust:
    """Whom the reader of a checkpoint believes."""

    origin: str
    #: The log's keys; one of them must have signed. Several while a key is being replaced.
    log_keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    #: How many witnesses must have cosigned. Two names for one public key are one witness.
    quorum: int = 0

    def __post_init__(self) -> None:
        if not self.log_keys or any(key.kind != ED25519 for key in self.log_keys):
            raise Malformed("a log has a key of signature type 0x01")
        if any(key.kind != COSIGNATURE for key in self.witnesses):
            raise Malformed("a witness has a key of signature type 0x04")
        if not 0 <= self.quorum <= len(public_keys(self.witnesses)):
            raise Malformed(f"{self.quorum} cosignatures cannot come from {len(public_keys(self.witnesses))} witnesses")

    def without_witnesses(self) -> "Trust":
        return Trust(self.origin, self.log_keys)


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint that the log signed and enough witnesses saw."""

    checkpoint: Checkpoint
    note: Note
    #: POSIX time by the log's own clock, if it said so by a timestamped signature.
    signed_at: int | None
    #: Witness → POSIX time at which it saw this.
    witnessed: dict[str, int] = field(default_factory=dict)


def sign(checkpoint: Checkpoint, signer: SignerKey, *, at: int | None = None) -> Note:
    """The checkpoint as a note signed by the log; with `at`, its time in a second, timestamped signature.

    A log must never sign two checkpoints that contradict each other. This function cannot know; its caller must.
    """
    text = str(checkpoint)
    if Checkpoint.parse(text) != checkpoint:
        raise Malformed(f"{checkpoint.origin[:60]!r} cannot be an origin")
    lines = [notes.sign(text, signer)]
    if at is not None:
        lines.append(notes.sign(text, signer.as_cosigner(), at=at))
    return Note(text, tuple(lines))


def open_checkpoint(note: str | bytes, trust: Trust) -> SignedCheckpoint:
    """Read a checkpoint and believe it as far as `trust` goes, or raise `DoesNotVerify`."""
    opened = Note.parse(note)
    own = {key.as_cosigner() for key in trust.log_keys}
    signed = opened.verified_by((*trust.log_keys, *own, *trust.witnesses))
    checkpoint = Checkpoint.parse(opened.text)
    if checkpoint.origin != trust.origin:
        raise DoesNotVerify(f"the checkpoint is of {checkpoint.origin!r}, not of {trust.origin!r}")
    if not any(key in signed for key in trust.log_keys):
        raise notes.NobodySigned(f"the checkpoint is not signed by the log {trust.origin}")
    seen = [key for key in trust.witnesses if key in signed]
    if len(public_keys(seen)) < trust.quorum:
        raise DoesNotVerify(f"{len(public_keys(seen))} of {trust.quorum} witnesses cosigned the checkpoint")
    times = [at for key, at in signed.items() if key in own and at is not None]
    return SignedCheckpoint(checkpoint, opened, max(times, default=None), {key.name: signed[key] or 0 for key in seen})
