"""Which characters may stand in a document?

Every one that a font of ours has and a reader can see. A box in somebody's name, or a mark that silently turns the
direction of writing, is worse than no document.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

#: Controls, marks that nobody sees, private use, halves of a character, line separators of another age.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
#: What typst says when no font has a character, in quotes of Rust's.
_NO_FONT: Final = re.compile(r'the text `"(?:\\u\{(?P<code>[0-9a-f]+)\}|\\?(?P<text>.))', re.DOTALL)


class CharacterNotPrintable(ValueError):
    """No font here has this character, or nobody could see it."""

    def __init__(self, character: str) -> None:
        #: The first one that cannot be printed.
        self.character = character
        shown = f"「{character}」 " if unicodedata.category(character) not in _UNSEEN else ""
        super().__init__(f"{shown}U+{ord(character):04X} cannot be printed")


def refuse_unseen(value: Any) -> None:
    """Raise `CharacterNotPrintable` if a string anywhere in the value has a character that nobody sees."""
    for text in _strings(value):
        for character in text:
            if character != "\n" and unicodedata.category(character) in _UNSEEN:
                raise CharacterNotPrintable(character)


def without_font(message: str) -> CharacterNotPrintable | None:
    """The error that a message of typst's stands for, if it is about a character."""
    found = _NO_FONT.search(message)
    if not found:
        return None
    return CharacterNotPrintable(chr(int(found["code"], 16)) if found["code"] else found["text"])


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _strings(each)
        case Sequence():
            for each in value:
                yield from _strings(each)
