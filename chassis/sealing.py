"""How personal data and keys are kept from those who only carry them.

Personal data: AES-256-GCM under a data key of its own per application, bound to the application's id. The data key
travels sealed to each reader (`Recipient`); destroying it erases the data everywhere, and no proof breaks.
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
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
#: What is sealed begins with it. (HPKE alone begins with a random point: it does so by chance once in 2^64.)
MARK: Final = b"akashi2|"
KEK_INFO: Final = b"akashi key-encryption key v1"
#: Where in it the sealed key ends (a point, the key, a tag), and then the nonce.
_KEK_ENDS: Final = len(MARK) + 32 + KEY_BYTES + 16
_NONCE_ENDS: Final = _KEK_ENDS + NONCE_BYTES


class CannotOpen(Exception):
    """The sealed bytes are not for this reader, not about this thing, or damaged."""


class Recipient:
    """Seals to the holder of one X25519 private key: what one transaction seals to it, for the price of one.

    A key-encryption key is drawn and sealed by HPKE (RFC 9180); each plaintext is sealed under it by AES-256-GCM, bound
    to its `info`, and goes with that key's sealed copy: every one can be opened without the others.
    """

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key
        secret = os.urandom(KEY_BYTES)
        self._cipher = AESGCM(secret)
        self._sealed_key = SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(public_key), info=KEK_INFO)

    def seal(self, plaintext: bytes, *, info: bytes) -> bytes:
        """`info` must be given again to open."""
        nonce = os.urandom(NONCE_BYTES)
        return MARK + self._sealed_key + nonce + self._cipher.encrypt(nonce, plaintext, info)


def open_with(private_key: bytes, sealed: bytes, *, info: bytes) -> bytes:
    """What was sealed to the holder of this key for `info`. Raises `CannotOpen`."""
    try:
        if not sealed.startswith(MARK):
            # As it was before: HPKE alone. Topics keep what was sealed so.
            return SUITE.decrypt(sealed, _parsed(private_key), info=info)
        cipher = _key_encryption_key(private_key, sealed[len(MARK) : _KEK_ENDS])
        return cipher.decrypt(sealed[_KEK_ENDS:_NONCE_ENDS], sealed[_NONCE_ENDS:], info)
    except (InvalidTag, ValueError):
        raise CannotOpen("HPKE") from None


@lru_cache(256)
def _key_encryption_key(private_key: bytes, sealed: bytes) -> AESGCM:
    """Whoever opens one opens its neighbours: they were sealed in one transaction."""
    return AESGCM(SUITE.decrypt(sealed, _parsed(private_key), info=KEK_INFO))


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

    def wrap(self, recipient: Recipient, *, reader: str, application_id: UUID) -> bytes:
        """The key itself as its reader gets it."""
        return recipient.seal(self.secret, info=wrapping_info(application_id, reader))

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
