"""The few text forms of the log, read strictly: one value has one text, so that a changed text is a changed value."""

import base64
import binascii
import json
import re
from typing import Any, Final

from transparency.errors import Malformed

HASH_BYTES: Final = 32
#: Sizes, indices and times: below 2^63, so that every language and PostgreSQL's bigint can hold them.
LARGEST: Final = 2**63 - 1
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")


def decimal(text: str) -> int:
    """A number in ASCII digits, without sign and leading zeroes."""
    if _DECIMAL.fullmatch(text) is None or (number := int(text)) > LARGEST:
        raise Malformed(f"{text[:40]!r} is not a decimal number without leading zeroes")
    return number


def to_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def from_base64(text: str, length: int | None = None) -> bytes:
    """RFC 4648 §4 with padding; the bits that pad must be zero (§3.5)."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed(f"{text[:60]!r} is not base64") from None
    if to_base64(raw) != text:
        raise Malformed(f"{text[:60]!r} is not base64 in its one form")
    if length is not None and len(raw) != length:
        raise Malformed(f"{text[:60]!r} has {len(raw)} bytes, not {length}")
    return raw


def from_hex(text: object, length: int = HASH_BYTES) -> bytes:
    """Lower-case hexadecimal of exactly `length` bytes."""
    if not isinstance(text, str) or len(text) != 2 * length or _HEX.fullmatch(text) is None:
        raise Malformed(f"{str(text)[:80]!r} is not {length} bytes in lower-case hexadecimal")
    return bytes.fromhex(text)


def from_json(raw: bytes) -> Any:
    """JSON in UTF-8 in which no name occurs twice and every number is whole."""
    try:
        return _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"byte {error.start + 1} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"the name {twice[:40]!r} occurs twice")
    return document


def _refuse_number(text: str) -> Any:
    raise Malformed(f"{text[:40]} is not a whole number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number)
