"""Every text that people see in Japanese has its English, and no English is left over."""

from pathlib import Path

import pytest

from tests.support.wording import english_of, texts_of

ROOT = Path(__file__).parents[3]
#: Folder of templates and modules → its own catalogue.
ROOMS = {
    "chassis": (ROOT / "chassis" / "web", ROOT / "chassis" / "web" / "messages" / "en.po"),
    **{
        name: (ROOT / "services" / name, ROOT / "services" / name / "web" / "messages" / "en.po")
        for name in ("intake", "issuer", "registry")
    },
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_has_its_english(room: str) -> None:
    folder, catalogue = ROOMS[room]
    shared = english_of(ROOMS["chassis"][1])
    own = english_of(catalogue)

    missing = {text for text in texts_of(folder) if not own.get(text) and not shared.get(text)}

    assert not missing, "\n".join(f'msgid "{text}"\nmsgstr ""\n' for text in sorted(missing))


@pytest.mark.parametrize("room", ROOMS)
def test_no_english_is_left_over(room: str) -> None:
    folder, catalogue = ROOMS[room]
    texts = texts_of(folder)
    if room == "chassis":
        texts |= {text for other, _ in ROOMS.values() for text in texts_of(other)}

    assert not set(english_of(catalogue)) - texts


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_put_into_a_text_is_put_into_its_english(room: str) -> None:
    for japanese, english in english_of(ROOMS[room][1]).items():
        assert _places(japanese) == _places(english), japanese


def _places(text: str) -> list[str]:
    return sorted(piece.split(")")[0] for piece in text.split("%(")[1:])
