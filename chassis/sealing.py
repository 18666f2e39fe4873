"""How personal data and keys are kept from those who only carry them.

Personal data: AES-256-GCM under a data key of its own per application, bound to the application's id. The data key
travels wrapped by HPKE (RFC 9180) for each reader; destroying it erases the data everywhere, and no proof breaks.
"""

import base64
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from schemas.sealed import SealedContact, SealedText

S = TypeVar("S", SealedContact, SealedText)

SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
NONCE_BYTES: Final = 12


class CannotOpen(Exception):
    """The sealed bytes are not for this reader, not about this thing, or damaged."""


def seal_to(public_key: bytes, plaintext: bytes, *, info: bytes) -> bytes:
    """Seal for the holder of one X25519 private key; `info` must be given again to open."""
    return SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info=info)


def open_with(private_key: bytes, sealed: bytes, *, info: bytes) -> bytes:
    try:
        return SUITE.decrypt(sealed, _parsed(private_key), info=info)
    except (InvalidTag, ValueError):
        raise CannotOpen("HPKE") from None


@lru_cache(8)
def _parsed(private_key: bytes) -> X25519PrivateKey:
    """Takes half as long as to open something with it, and a process has one or two."""
    return X25519PrivateKey.from_private_bytes(private_key)


@dataclass(frozen=True)
class DataKey:
    """The key of one application's personal data."""

    id: UUID
    secret: bytes = field(repr=False)

    def seal(self, plaintext: bytes, *, about: UUID) -> tuple[bytes, bytes]:
        """Return (nonce, ciphertext), bound to the id of what the data is about."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce, AESGCM(self.secret).encrypt(nonce, plaintext, about.bytes)

    def seal_as(self, kind: type[S], plaintext: bytes, *, about: UUID) -> S:
        """The same as a part of an event, which names the key."""
        nonce, ciphertext = self.seal(plaintext, about=about)
        return kind(data_key_id=self.id, nonce=b64(nonce), ciphertext=b64(ciphertext))

    def open(self, nonce: bytes, ciphertext: bytes, *, about: UUID) -> bytes:
        try:
            return AESGCM(self.secret).decrypt(nonce, ciphertext, about.bytes)
        except (InvalidTag, ValueError):
            raise CannotOpen("AES-GCM") from None


def wrapping_info(application_id: UUID, reader: str) -> bytes:
    """Binds a wrapped data key to its application and its reader."""
    return b"akashi data-key v1|" + application_id.bytes + b"|" + reader.encode()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def unb64(text: str) -> bytes:
    return base64.b64decode(text)
