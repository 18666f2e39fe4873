"""What does a person mean who types into the desk's search: a name, a contract number, an application's id? Pure."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from schemas import contract_number

#: As far as a contract number was typed, the hyphen apart: at least four digits, else it is more likely a name's.
_NUMBER: Final = re.compile(r"[0-9]{4,5}|[0-9]{5}-[0-9]{0,5}[0-9A-Z]?")
_DIGITS: Final = re.compile(r"[0-9]{6,10}[0-9A-Z]?")
_ID: Final = re.compile(r"[0-9A-F]{8,32}")
#: After every character of a number, in the order of bytes.
_LAST: Final = "~"

NOTHING: Final = (None, None)


@dataclass(frozen=True)
class Terms:
    """What is looked for. What fits any of them is found."""

    #: A part of a name as it was typed; None where the query can be nothing but a number or an id.
    text: str | None
    #: From and to, both included.
    numbers: tuple[str, str] | tuple[None, None]
    ids: tuple[UUID, UUID] | tuple[None, None]


def terms_of(query: str) -> Terms:
    """Read a query. An empty one finds everything."""
    # What no name holds, and some of it no text in PostgreSQL.
    text = "".join(char for char in query if unicodedata.category(char) != "Cc").strip()
    number = contract_number.normalise(text)
    if _DIGITS.fullmatch(number):
        number = f"{number[:5]}-{number[5:]}"
    digits = number.replace("-", "")
    numbers = (number, number + _LAST) if _NUMBER.fullmatch(number) else NOTHING
    # Eleven digits are the beginning of many an id, and a number all the same.
    if contract_number.FORMAT.fullmatch(number):
        return Terms(None, numbers, NOTHING)
    ids = (UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "F"))) if _ID.fullmatch(digits) else NOTHING
    whole = ids[0] is not None and ids[0] == ids[1]
    return Terms(None if whole else text, numbers, ids)
