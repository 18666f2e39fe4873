"""What holds for each of them."""

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError

from documents.rendering import CharacterNotPrintable, DoesNotFitOnePage, draw, unprintable
from tests.integration.documents.samples import (
    AT,
    DOCUMENTS,
    FILE_NAMES,
    KEY,
    LONG,
    NUMBER,
    a_content,
    a_fee_statement,
    a_key_notice,
    a_receipt,
    read,
    text_of,
)

#: One point is 1/72 inch; A4 is 210 mm by 297 mm.
A4 = (595, 842)
every_document = pytest.mark.parametrize("name", DOCUMENTS)


@every_document
def test_it_is_one_page_of_a4(name):
    pages = read(DOCUMENTS[name]()).pages

    assert [(round(page.mediabox.width), round(page.mediabox.height)) for page in pages] == [A4]


@every_document
def test_the_same_facts_give_the_same_bytes(name):
    assert DOCUMENTS[name]() == DOCUMENTS[name]()
    assert DOCUMENTS[name]() != DOCUMENTS[name](works_name="別の工事")


@every_document
def test_drawing_in_several_threads_gives_the_same_bytes(name):
    with ThreadPoolExecutor(4) as threads:
        drawn = set(threads.map(lambda _: DOCUMENTS[name](), range(8)))

    assert drawn == {DOCUMENTS[name]()}


@every_document
def test_it_says_what_it_is_in_japanese(name):
    pdf = read(DOCUMENTS[name]())

    assert pdf.metadata is not None
    assert NUMBER in (pdf.metadata.title or "")
    assert pdf.metadata.author
    root: Any = pdf.root_object
    assert root["/Lang"].startswith("ja")
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]


@every_document
@pytest.mark.parametrize("drawn", ["髙﨑", "𠮷田", "濵栁彅", "①㈱〜～－", "葛󠄀城"])
def test_names_are_printed_as_their_bearers_write_them(name, drawn):
    assert drawn.replace("\U000e0100", "") in text_of(DOCUMENTS[name](works_name=drawn)).replace("\U000e0100", "")


@every_document
@pytest.mark.parametrize(
    ("character", "code"),
    [("😀", "U+1F600"), ("\ue000", "U+E000"), ("\u202e", "U+202E"), ("\u200b", "U+200B")],
)
def test_what_nobody_could_read_is_refused_by_name(name, character, code):
    with pytest.raises(CharacterNotPrintable, match=code.replace("+", r"\+")) as refused:
        DOCUMENTS[name](works_name=f"東山{character}橋")

    assert refused.value.character == character


def test_a_control_character_is_refused_by_name():
    with pytest.raises(CharacterNotPrintable, match=r"U\+0007"):
        DOCUMENTS["key_notice"](works_name="東山\x07橋")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("髙﨑建設", None),
        ("𠮷田組 #x", None),
        ("辻\U000e0100工務店", None),
        ("", None),
        ("𠮷田😀", "😀"),
        ("\u202e", "\u202e"),
    ],
)
def test_names_can_be_asked_about_before_they_are_taken_in(name, first):
    assert unprintable(name) == first


def test_every_character_that_is_let_pass_unasked_has_a_glyph():
    kanji = "".join(
        char
        for code in range(0x20, 0x10000)
        if (char := chr(code)).encode("cp932", "ignore") and not unicodedata.category(char).startswith("C")
    )

    # As one text, so that it is the fonts that answer.
    assert unprintable(f"{kanji}𠮷") is None


@every_document
def test_markup_in_a_name_is_printed_and_never_obeyed(name):
    markup = '#text(red)[x] $x^2$ @foo *b* _i_ `c` <d> \\ "q" {{ 7*7 }}'

    assert markup in text_of(DOCUMENTS[name](works_name=markup))


@every_document
def test_names_of_sixty_characters_fit(name):
    pdf = DOCUMENTS[name](works_name=LONG, contractor_name=LONG)

    assert len(LONG) == 60
    assert len(read(pdf).pages) == 1
    assert text_of(pdf).replace(" ", "").count(LONG) >= 2


@every_document
@pytest.mark.parametrize("letter", ["長", "W"])
def test_the_longest_names_make_letters_smaller_and_not_a_second_page(name, letter):
    pdf = DOCUMENTS[name](works_name=letter * 200, contractor_name=letter * 200)

    assert len(read(pdf).pages) == 1
    assert text_of(pdf).replace(" ", "").count(letter * 200) >= 2


def test_half_width_letters_without_a_space_stay_on_the_page():
    page = read(DOCUMENTS["certificate"](works_name="W" * 200)).pages[0]
    right_edges = []
    page.extract_text(visitor_text=lambda text, _, matrix, *__: right_edges.append(matrix[4]) if "W" in text else None)

    assert right_edges
    assert max(right_edges) < A4[0]


def test_more_than_one_page_is_refused():
    with pytest.raises(DoesNotFitOnePage):
        DOCUMENTS["key_notice"](submission=("長" * 200,) * 60)


@every_document
def test_only_a_specimen_says_so(name):
    assert "見本" not in text_of(DOCUMENTS[name]())
    assert "見本" in text_of(DOCUMENTS[name](specimen=True))


@every_document
def test_only_the_key_notice_holds_the_key(name):
    assert (KEY in text_of(DOCUMENTS[name]())) == (name == "key_notice")


def test_file_names_and_titles_differ_from_each_other():
    titles = {str(read(drawn()).metadata) for drawn in DOCUMENTS.values()}

    assert {
        "certificate": f"保証証書_{NUMBER}.pdf",
        "key_notice": f"認証キーのお知らせ_{NUMBER}.pdf",
        "fee_statement": f"保証料計算書_{NUMBER}.pdf",
        "receipt": f"電子証書照会記録_{NUMBER}_20261123-1205.pdf",
    } == FILE_NAMES
    assert len(titles) == len(DOCUMENTS)


def test_the_moment_of_drawing_needs_a_zone():
    with pytest.raises(ValueError, match="time zone"):
        draw("receipt", {}, title="", author="", specimen=False, at=AT.replace(tzinfo=None))


def test_a_key_notice_does_not_show_its_key_in_logs():
    assert KEY not in repr(a_key_notice())


MARKUP = '#text(red)[x] $x^2$ @foo *b* {{7*7}}\\"q"'
BUILDERS: dict[str, Any] = {
    "certificate": a_content,
    "key_notice": a_key_notice,
    "fee_statement": a_fee_statement,
    "receipt": a_receipt,
}
#: A value of a closed set, not a text.
CODES = {"family"}
TEXTS = [
    (document, name)
    for document, build in BUILDERS.items()
    for name, value in vars(build()).items()
    if isinstance(value, str) and name not in CODES
]


@pytest.mark.parametrize(("document", "field"), TEXTS, ids=lambda value: value)
def test_markup_in_any_field_is_printed_wherever_a_word_would_be(document: str, field: str) -> None:
    try:
        plain = text_of(DOCUMENTS[document](**{field: "みほん"}))
    except ValidationError:
        # Of a form of its own, such as a contract number: nothing else gets in.
        with pytest.raises(ValidationError):
            DOCUMENTS[document](**{field: MARKUP})
        return

    shown = text_of(DOCUMENTS[document](**{field: MARKUP}))

    assert shown.replace(" ", "").count(MARKUP.replace(" ", "")) == plain.count("みほん")


@pytest.mark.parametrize(
    ("part", "field"),
    [(part, field) for part in ("guarantor", "handling_office") for field in getattr(a_content(), part).model_dump()],
)
def test_markup_in_a_part_of_a_certificate_is_printed(part: str, field: str) -> None:
    changed = {**getattr(a_content(), part).model_dump(), field: MARKUP}

    shown = text_of(DOCUMENTS["certificate"](**{part: changed}))

    assert MARKUP.replace(" ", "") in shown.replace(" ", "")
