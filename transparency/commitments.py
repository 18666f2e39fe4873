"""What stands in the log for a document: a hash that says nothing without its salt, and binds with it.

    commitment = SHA-256("akashi leaf v1" ‖ 0x00 ‖ salt ‖ canonical document)

The commitment is the entry of the tree. Destroying the salt (32 random bytes) erases what the log knew; every proof
and every root stays as it was.
"""

import hashlib
import json
from typing import Any, Final

from transparency.errors import Malformed

SALT_BYTES: Final = 32
DOMAIN: Final = b"akashi leaf v1\0"
#: RFC 7493 §2.2: what every reader of JSON can hold.
LARGEST_INTEGER: Final = 2**53 - 1
#: Escapes as §3.2.2.2 wants: the short forms, \\u00xx for other control characters, nothing else.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class NotCanonical(Malformed):
    """The document has no canonical form: a fraction, a number too large, a lone surrogate, a name that is no text."""


def canonical(document: Any) -> bytes:
    """RFC 8785 for texts, whole numbers, booleans, null, lists and objects; fractions are refused.

    Names are sorted by UTF-16 code units (§3.2.3), so that 𠮷 (a surrogate pair) comes before 﨑.
    """
    try:
        return _ENCODER.encode(_ordered(document)).encode()
    except UnicodeEncodeError:
        raise NotCanonical("a text with half a surrogate pair") from None
    except RecursionError:
        raise NotCanonical("nested too deeply") from None


def commitment(salt: bytes, document: Any) -> bytes:
    return commitment_of(salt, canonical(document))


def commitment_of(salt: bytes, document: bytes) -> bytes:
    """As `commitment`, of a document that is canonical."""
    if len(salt) != SALT_BYTES:
        raise Malformed(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(DOMAIN + salt + document).digest()


def _ordered(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise NotCanonical("a number larger than 2^53-1")
        return value
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise NotCanonical("a name that is no text")
        names = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf_16)
        # Mostly texts: spares a call for each.
        return {name: one if type(one := value[name]) is str else _ordered(one) for name in names}
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    raise NotCanonical(f"{type(value).__name__} has no canonical form")


def _utf_16(name: str) -> bytes:
    # Bytes of big-endian UTF-16 compare as its code units do.
    return name.encode("utf-16-be")
