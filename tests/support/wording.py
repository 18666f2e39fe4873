"""Which texts of a room have English, and which have none?

Texts are found in templates (`_("…")`, `gettext("…")`, `{% trans %}`) and in Python (`gettext("…")`, `noted("…")`).
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.extract import extract
from babel.messages.pofile import read_po

KEYWORDS: Final = {"_": None, "gettext": None, "ngettext": (1, 2), "noted": None}
#: `{% block %}`s are not texts, and neither are texts given by a variable.
_OPTIONS: Final = {"trimmed": "true", "silent": "false"}


@cache
def texts_of(folder: Path) -> frozenset[str]:
    """Every text that a folder's templates and modules hold."""
    return frozenset(text for path in sorted(folder.rglob("*")) for text in _texts(path))


def english_of(catalogue: Path) -> dict[str, str]:
    with catalogue.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, locale="en") if message.id}


def _texts(path: Path) -> Iterator[str]:
    method = {".py": "python", ".html": "jinja2.ext:babel_extract"}.get(path.suffix)
    if method is None:
        return
    with path.open("rb") as file:
        for _, message, _, _ in extract(method, file, keywords=KEYWORDS, options=_OPTIONS):
            yield from (message,) if isinstance(message, str) else message
