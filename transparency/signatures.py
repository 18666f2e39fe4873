"""Ed25519 keys of signed notes and of cosignatures, and their text forms. The only module that needs `cryptography`.

<name>+<key id>+<base64(type ‖ public key)>                 verifier key, public (C2SP signed-note)
PRIVATE+KEY+<name>+<key id>+<base64(type ‖ seed)>           signer key, secret (golang.org/x/mod/sumdb/note)
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from transparency.errors import Malformed
from transparency.strict import HASH_BYTES, from_base64, to_base64

#: Signature types of C2SP signed-note: the note's text signed as it is, and tlog-cosignature v1.
ED25519: Final = 0x01
COSIGNATURE: Final = 0x04

KEY_BYTES: Final = HASH_BYTES
SIGNATURE_BYTES: Final = 64
KEY_ID_BYTES: Final = 4

_PRIVATE: Final = "PRIVATE+KEY+"


@dataclass(frozen=True)
class VerifierKey:
    """Checks signatures of one type by one key under one name."""

    name: str
    kind: int
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.kind not in {ED25519, COSIGNATURE}:
            raise Malformed(f"signature type {self.kind:#04x} of key {self.name} is not known here")
        if len(self.public_key) != KEY_BYTES:
            raise Malformed(f"the public key of {self.name} has {len(self.public_key)} bytes, not {KEY_BYTES}")

    @cached_property
    def id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]: an identifier, no proof of anything."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(bytes([self.kind]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        name, hexadecimal, encoded = _three_parts(text)
        key = from_base64(encoded)
        verifier = cls(name, key[0] if key else 0, key[1:])
        if verifier.id.hex() != hexadecimal.lower():
            raise Malformed(f"the key of {name} has the id {verifier.id.hex()}, not {hexadecimal[:8]}")
        return verifier

    def as_cosigner(self) -> "VerifierKey":
        """The same key for timestamped signatures of checkpoints."""
        return VerifierKey(self.name, COSIGNATURE, self.public_key)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """RFC 8032; what `message` is for a type of signature, `notes` and `cosignatures` say."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SignerKey:
    """Signs as one name. `seed` is of `secrets.token_bytes(32)`, stays secret, and never serves a second name."""

    name: str
    seed: bytes = field(repr=False)
    kind: int = ED25519

    def __post_init__(self) -> None:
        if len(self.seed) != KEY_BYTES:
            raise Malformed(f"the seed of {self.name} has {len(self.seed)} bytes, not {KEY_BYTES}")

    @cached_property
    def _private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.kind, self._private_key.public_key().public_bytes_raw())

    def secret_text(self) -> str:
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{to_base64(bytes([self.kind]) + self.seed)}"

    @classmethod
    def parse(cls, text: str) -> "SignerKey":
        """Errors say nothing of the key."""
        try:
            name, hexadecimal, encoded = _three_parts(text.removeprefix(_PRIVATE))
            key = from_base64(encoded)
            signer = cls(name, key[1:], key[0])
            fits = text.startswith(_PRIVATE) and signer.verifier.id.hex() == hexadecimal.lower()
        except (Malformed, IndexError):
            fits = False
        if not fits:
            raise Malformed("not a signer key")
        return signer

    def as_cosigner(self) -> "SignerKey":
        """The same key for timestamped signatures of checkpoints."""
        return SignerKey(self.name, self.seed, COSIGNATURE)

    def sign(self, message: bytes) -> bytes:
        return self._private_key.sign(message)


def check_name(name: str) -> None:
    """Key names are not empty and contain neither Unicode spaces, nor control characters, nor plus."""
    if not name or "+" in name or any(c.isspace() or c < " " for c in name) or not _is_unicode(name):
        raise Malformed(f"{name[:60]!r} is not a key name")


def public_keys(keys: Iterable[VerifierKey]) -> set[bytes]:
    return {key.public_key for key in keys}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _three_parts(text: str) -> tuple[str, str, str]:
    name, _, rest = text.partition("+")
    hexadecimal, _, encoded = rest.partition("+")
    if len(hexadecimal) != 2 * KEY_ID_BYTES:
        raise Malformed(f"{text[:60]!r} is not <name>+<key id>+<base64>")
    return name, hexadecimal, encoded
