"""The one place that draws: a template, values and a moment in, one A4 page out.

The same three give the same bytes: no clock, no font and no file of the machine is asked. PDF/A-2u keeps the page
readable for as long as a guarantee is kept, PDF/UA-1 lets it be read aloud.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import typst

from documents.era import JST
from documents.printable import CharacterNotPrintable, refuse_unseen, without_font

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = _HERE / "templates"
_STANDARDS: Final = ("a-2u", "ua-1")
#: Long names make the letters smaller, step by step, before they make a second page.
_SCALES: Final = (1.0, 0.95, 0.9, 0.84, 0.78, 0.7, 0.6)
_ANY_MOMENT: Final = datetime(2019, 5, 1, tzinfo=JST)
#: What `templates/sheet.typ` says about a second page.
_SECOND_PAGE: Final = "more than one page"


class DoesNotFitOnePage(ValueError):
    """Too much text for one page, even in the smallest letters that people read."""


def draw(template: str, values: Mapping[str, Any], *, title: str, author: str, specimen: bool, at: datetime) -> bytes:
    """One page as PDF/A-2u and PDF/UA-1. Raises `CharacterNotPrintable` and `DoesNotFitOnePage`.

    Values come in as data, never as markup: `#` and `$` in a name are printed. May be called from several threads;
    Python's lock is let go meanwhile.
    """
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    given = {**values, "document": {"title": title, "author": author, "specimen": specimen}}
    refuse_unseen(given)
    for scale in _SCALES:
        try:
            return _compile(template, {**given, "scale": scale}, at=at)
        except typst.TypstError as error:
            if _SECOND_PAGE in error.message:
                continue
            raise without_font(error.message) or error from None
    raise DoesNotFitOnePage(title)


@lru_cache(4096)
def unprintable(text: str) -> str | None:
    """The first character with which no document could be drawn, if any: for whoever takes names in."""
    try:
        refuse_unseen(text)
        # The fonts have all of it; of the rest only they themselves can tell.
        text.encode("cp932")
    except CharacterNotPrintable as error:
        return error.character
    except UnicodeEncodeError:
        return _without_glyph(text)
    return None


def _without_glyph(text: str) -> str | None:
    """Asks typst, which takes 2 ms."""
    try:
        _compile("probe", {"texts": [text], "scale": 1}, at=_ANY_MOMENT)
    except typst.TypstError as error:
        refused = without_font(error.message)
        if refused is None:
            raise
        return refused.character
    return None


def _compile(template: str, values: Mapping[str, Any], *, at: datetime) -> bytes:
    # A compiler is made for each page: it takes 0.2 ms, and is nobody else's.
    compiler = typst.Compiler(
        _TEMPLATES / f"{template}.typ", root=_TEMPLATES, font_paths=_fonts(), ignore_system_fonts=True
    )
    drawn = compiler.compile(
        format="pdf",
        sys_inputs={"values": json.dumps(values)},
        pdf_standards=[*_STANDARDS],
        timestamp=at.astimezone(JST).replace(microsecond=0),
    )
    if not isinstance(drawn, bytes):
        raise TypeError("typst drew no single file")
    return drawn


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[_HERE / "fonts"])


__all__ = ["CharacterNotPrintable", "DoesNotFitOnePage", "draw", "unprintable"]
