"""Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature.

— <key name> base64(4 bytes of key id ‖ signature)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from transparency import cosignatures
from transparency.errors import DoesNotVerify, Malformed
from transparency.signatures import COSIGNATURE, ED25519, KEY_ID_BYTES, SignerKey, VerifierKey, check_name
from transparency.strict import from_base64, to_base64

#: As golang.org/x/mod/sumdb/note; the specification asks for 16 at least.
MOST_SIGNATURES: Final = 100
LONGEST_NOTE: Final = 1_000_000
_DASH: Final = "— "


class NoteIsMalformed(Malformed):
    """Not a signed note."""


class SignatureIsWrong(DoesNotVerify):
    """A trusted key is named, and this is not its signature: the whole note is refused."""


class NobodySigned(DoesNotVerify):
    """No trusted key is among the signatures."""


@dataclass(frozen=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    blob: bytes

    def __str__(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.blob)}\n"

    @classmethod
    def parse(cls, line: str) -> "Signature":
        """A line without its newline."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            check_name(name)
            raw = from_base64(encoded)
        except Malformed as error:
            raise NoteIsMalformed(f"signature line: {error}") from None
        if not line.startswith(_DASH) or len(raw) <= KEY_ID_BYTES:
            raise NoteIsMalformed(f"{line[:60]!r} is not a signature line")
        return cls(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


@dataclass(frozen=True)
class Note:
    """A note that is well-formed. Its text means nothing before `verified_by` has said who signed it."""

    #: Ends with a newline.
    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, note: str | bytes) -> "Note":
        try:
            message = note.decode() if isinstance(note, bytes) else note
            message.encode()
        except UnicodeError:
            raise NoteIsMalformed("a note is UTF-8") from None
        if len(message) > LONGEST_NOTE:
            raise NoteIsMalformed(f"a note has at most {LONGEST_NOTE} characters")
        if any(c < " " and c != "\n" for c in message):
            raise NoteIsMalformed("a note has no control characters")
        # The last empty line divides: the text may have some of its own.
        text, divider, lines = message.rpartition("\n\n")
        if not divider or not lines.endswith("\n"):
            raise NoteIsMalformed("a note is a text, an empty line, and signature lines")
        signatures = tuple(Signature.parse(line) for line in lines[:-1].split("\n"))
        if len(signatures) > MOST_SIGNATURES:
            raise NoteIsMalformed(f"a note has at most {MOST_SIGNATURES} signatures")
        return cls(f"{text}\n", signatures)

    def verified_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, int | None]:
        """Who of `keys` signed, and when, if the signature says when.

        Signatures of other keys are ignored. Raises `SignatureIsWrong`, and `NobodySigned` when nobody did.
        """
        known = {(key.name, key.id): key for key in keys}
        signed: dict[VerifierKey, int | None] = {}
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is not None:
                # The first of several counts; the others must be right all the same.
                signed.setdefault(key, _verify(self.text, signature, key))
        if not signed:
            raise NobodySigned(f"none of the trusted keys signed ({', '.join(key.name for key in known.values())})")
        return signed

    def with_signatures(self, signatures: Iterable[Signature]) -> "Note":
        """The same note with more signatures; one of the same key takes the older one's place."""
        by_key = {(one.name, one.key_id): one for one in (*self.signatures, *signatures)}
        return Note(self.text, tuple(by_key.values()))


def sign(text: str, signer: SignerKey, *, at: int | None = None) -> Signature:
    """A signature line for a text; `at` is needed by a cosigner's key, and only there."""
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise NoteIsMalformed("the text of a note ends with a newline and has no control characters")
    if (at is None) != (signer.kind == ED25519):
        raise Malformed("a cosignature has a time, and another signature has none")
    blob = signer.sign(text.encode()) if at is None else cosignatures.cosign(text, signer, at)
    return Signature(signer.name, signer.verifier.id, blob)


def _verify(text: str, signature: Signature, key: VerifierKey) -> int | None:
    at, blob, message = None, signature.blob, text.encode()
    if key.kind == COSIGNATURE:
        try:
            at, blob = cosignatures.split(blob)
        except Malformed as error:
            raise SignatureIsWrong(f"the signature of {key.name} is {error}") from None
        message = cosignatures.message(text, at)
    if not key.verifies(message, blob):
        raise SignatureIsWrong(f"the signature of {key.name}+{key.id.hex()} is wrong")
    return at
