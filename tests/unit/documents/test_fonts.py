"""What is drawn depends on the fonts in the repository, and on no other."""

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

FONTS = Path(__file__).parents[3] / "documents" / "fonts"
FILES = sorted(FONTS.glob("*.ttf"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_font_may_be_embedded_and_comes_with_its_licence(path):
    with TTFont(path, lazy=True) as font:
        licence = FONTS / f"OFL-{path.stem.split('-')[0]}.txt"

        assert font["OS/2"].fsType == 0
        assert "fvar" not in font
        assert "SIL Open Font License, Version 1.1" in font["name"].getDebugName(13)
        assert "SIL OPEN FONT LICENSE Version 1.1" in licence.read_text()


def test_the_fallback_has_what_the_first_font_lacks():
    first, fallback = (characters(name) for name in ("BIZUDPGothic-Regular", "NotoSansJP-Regular"))

    assert ord("𠮷") not in first
    assert ord("𠮷") in fallback
    assert {ord(each) for each in "髙﨑濵彅"} <= first


def test_fonts_are_a_small_part_of_a_clone():
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < 30_000_000


def characters(name):
    with TTFont(FONTS / f"{name}.ttf", lazy=True) as font:
        return set(font.getBestCmap())
