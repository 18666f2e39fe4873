"""In which language is this request answered? Japanese is written in the templates; a catalogue holds the English.

Catalogues are gettext's (`messages/en.po`, the Japanese text is the msgid) and are read as they are: no build step.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from babel.messages.catalog import Message
from babel.messages.pofile import read_po

LANGUAGES: Final = ("ja", "en")
LANGUAGE: Final[ContextVar[str]] = ContextVar("language", default="ja")


class Wording:
    """The English of a service: the chassis' own catalogue and the service's."""

    def __init__(self, catalogues: Iterable[Path]) -> None:
        self.english: Mapping[str, str] = {
            str(message.id): str(message.string)
            for path in catalogues
            for message in _read(path)
            if message.id and message.string
        }

    def gettext(self, japanese: str) -> str:
        """The text in the language of this request; Japanese where there is no other."""
        if LANGUAGE.get() == "ja":
            return japanese
        return self.english.get(japanese, japanese)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.gettext(one if count == 1 else many)


def noted(japanese: str) -> str:
    """A text that is translated later, where it is shown. Says so to whoever looks for texts without English."""
    return japanese


def _read(path: Path) -> Iterable[Message]:
    with path.open("rb") as file:
        return list(read_po(file, locale="en", ignore_obsolete=True))
