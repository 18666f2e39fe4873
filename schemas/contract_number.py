"""保証契約番号: five digits of a block, a hyphen, five digits of a serial, a check character (NUM-1, NUM-5, NUM-6)."""

import re
from typing import Final

from stdnum.iso7064 import mod_37_36

#: Serials 1 to 99,999; then the next block.
SERIALS_PER_BLOCK: Final = 99_999
FORMAT: Final = re.compile(r"[0-9]{5}-[0-9]{5}[0-9A-Z]")

#: What a keyboard set to Japanese produces for the characters of a number or a key.
_FULL_WIDTH: Final = {0xFF01 + offset: 0x21 + offset for offset in range(94)}
_HYPHENS: Final = dict.fromkeys(map(ord, "‐‑‒–—―−ー－ｰ"), "-")
_SPACES: Final = dict.fromkeys(map(ord, " \t\r\n\u3000\u00a0\u200b\ufeff"), None)


def compose(block: str, serial: int) -> str:
    """The number of a serial in a block."""
    digits = f"{block}{serial:05d}"
    return f"{digits[:5]}-{digits[5:]}{mod_37_36.calc_check_digit(digits)}"


def is_well_formed(number: str) -> bool:
    """Whether the format is right and the check character fits: catches every single typing error (ISO 7064)."""
    return FORMAT.fullmatch(number) is not None and bool(mod_37_36.is_valid(number.replace("-", "")))


def strip_typed(text: str) -> str:
    """Full width to half width by an explicit map, spaces away. Case is kept: it matters in a key."""
    return text.translate(_SPACES).translate(_FULL_WIDTH)


def normalise(typed: str) -> str:
    """A number as people type it: full width, any hyphen or none, lower case, spaces."""
    text = strip_typed(typed.translate(_HYPHENS)).upper()
    if len(text) == 11 and "-" not in text:  # noqa: PLR2004 - ten digits and the check character
        text = f"{text[:5]}-{text[5:]}"
    return text
