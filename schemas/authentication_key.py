"""認証キー: how it is drawn, compared and bound. Issuer, registry and intake must agree on every byte (KEY-1…KEY-6)."""

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

from schemas.contract_number import strip_typed

#: Digits and letters without 0 O 1 l I: 57, so that twelve of them hold 70 bits.
ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LENGTH: Final = 12


def draw() -> str:
    """A new key. Case matters."""
    number = secrets.randbelow(len(ALPHABET) ** LENGTH)
    characters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[place])
    return "".join(characters)


def digest(pepper: bytes, contract_number: str, key: str) -> str:
    """What the registry compares: hex of HMAC-SHA256(pepper, number ‖ key)."""
    return hmac.new(pepper, (contract_number + key).encode(), hashlib.sha256).hexdigest()


def normalise(typed: str) -> str:
    """A key as people paste it: full width and spaces. Never case-folded."""
    return strip_typed(typed)


def sealing_info(contract_number: str, certificate_id: UUID) -> bytes:
    """Binds a sealed key to its certificate."""
    return b"akashi authentication-key v1|" + contract_number.encode() + b"|" + certificate_id.bytes


def secret_id(material: bytes) -> str:
    """A name for a pepper or a public key that tells nothing about it."""
    return hashlib.sha256(b"akashi secret id|" + material).hexdigest()[:16]
