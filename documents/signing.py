"""Who answers for a PDF? A signer: today a key in a file, one day an HSM, behind the same one method.

A signature is PAdES baseline B: it names the certificate it was made with, and any change of the file breaks it.
"""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

if TYPE_CHECKING:
    from documents.pades import HeldKey


class KeyDoesNotSign(ValueError):
    """The key is not one on P-256, or the first certificate is about another."""


class Signer(Protocol):
    async def sign(self, pdf: bytes, *, reason: str, at: datetime) -> bytes:
        """The same page with an invisible signature that says why and when. What was there is still there, byte for
        byte, at the beginning.
        """
        ...


class LocalSigner:
    """Signs with a key that this process holds: for one machine, demos and tests."""

    def __init__(self, key: "HeldKey") -> None:
        self._key = key

    @classmethod
    def from_pem(cls, key_pem: bytes, chain_pem: bytes) -> Self:
        """A signer of an unencrypted P-256 key and its certificates, the key's own first. Raises `KeyDoesNotSign`."""
        try:
            key = load_pem_private_key(key_pem, password=None)
            certificates = x509.load_pem_x509_certificates(chain_pem)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            raise KeyDoesNotSign("key or certificates to sign documents: no readable PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyDoesNotSign("the key to sign documents is none on P-256")
        if certificates[0].public_key() != key.public_key():
            raise KeyDoesNotSign("the first certificate to sign documents is about another key")
        # Here, because pyHanko takes 0.9 s to import: `documents` alone must not cost that.
        from documents.pades import HeldKey  # noqa: PLC0415

        return cls(HeldKey(key, [each.public_bytes(Encoding.DER) for each in certificates]))

    async def sign(self, pdf: bytes, *, reason: str, at: datetime) -> bytes:
        from documents.pades import sign  # noqa: PLC0415 - as above

        # 20 ms of arithmetic and parsing: beside the event loop, not in it.
        return await asyncio.to_thread(sign, pdf, key=self._key, reason=reason, at=at)
