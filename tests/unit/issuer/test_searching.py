"""DESK-8: what a person means who types into the search."""

import uuid

import pytest

from services.issuer.searching import NOTHING, terms_of

NUMBER = "10226-000017"


@pytest.mark.parametrize(
    "typed", ["10226-000017", "１０２２６－００００１７", "10226000017", " 10226ー000017 ", "10226-000017 "]
)
def test_a_whole_number_is_nothing_but_a_number(typed):
    terms = terms_of(typed)

    assert terms.text is None
    assert terms.numbers == (NUMBER, NUMBER + "~")


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("1022", "1022"),
        ("10226", "10226"),
        ("10226-", "10226-"),
        ("１０２２６００", "10226-00"),
        ("10226-0000", "10226-0000"),
    ],
)
def test_a_number_may_be_typed_in_part_and_may_be_part_of_a_name(typed, begins):
    terms = terms_of(typed)

    assert terms.text == typed
    assert terms.numbers == (begins, begins + "~")


@pytest.mark.parametrize("typed", ["", "第1号", "102", "令和8年", "1022A", "橋"])
def test_what_no_number_begins_with_is_a_name(typed):
    terms = terms_of(typed)

    assert (terms.text, terms.numbers, terms.ids) == (typed, NOTHING, NOTHING)


@pytest.mark.parametrize("write", [str, lambda identity: str(identity).upper(), lambda identity: identity.hex])
def test_a_whole_id_is_nothing_but_an_id(write):
    identity = uuid.UUID("01a1ae6c-6792-7092-91a6-05655f0c9d16")
    terms = terms_of(write(identity))

    assert (terms.text, terms.ids) == (None, (identity, identity))


def test_an_id_may_be_typed_in_part():
    low, high = terms_of("01a1ae6c-6792").ids

    assert low == uuid.UUID("01a1ae6c-6792-0000-0000-000000000000")
    assert high == uuid.UUID("01a1ae6c-6792-ffff-ffff-ffffffffffff")


def test_control_characters_are_left_out():
    assert terms_of("高崎\x00\x1f建設").text == "高崎建設"
