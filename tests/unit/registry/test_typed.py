"""KEY-8: what people type and paste."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import authentication_key, contract_number

NUMBER = contract_number.compose("10226", 22)
KEY = "Z28YUE4J3Bux"


def full_width(text):
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


@pytest.mark.parametrize(
    "typed",
    [
        NUMBER,
        f"  {NUMBER}\n",
        f"　{NUMBER}　",
        full_width(NUMBER),
        NUMBER.lower(),
        full_width(NUMBER.lower()),
        NUMBER.replace("-", ""),
        NUMBER.replace("-", "ー"),
        NUMBER.replace("-", "－"),
        NUMBER.replace("-", "‐"),
        NUMBER.replace("-", "–"),
        NUMBER.replace("-", "−"),
        NUMBER.replace("-", "ｰ"),
        NUMBER.replace("-", " - "),
        f"\ufeff{NUMBER}\u200b",
    ],
)
def test_a_number_is_the_same_however_it_is_typed(typed):
    assert contract_number.normalise(typed) == NUMBER


@pytest.mark.parametrize(
    "typed", [KEY, f" {KEY} ", f"　{KEY}\t\r\n", full_width(KEY), "Z28Y UE4J 3Bux", f"\ufeff{KEY}", f"{KEY}\u00a0"]
)
def test_a_key_is_the_same_however_it_is_pasted(typed):
    assert authentication_key.normalise(typed) == KEY


@given(st.text(authentication_key.ALPHABET, min_size=12, max_size=12))
def test_case_is_never_folded_in_a_key(key):
    assert authentication_key.normalise(key) == key
    assert authentication_key.normalise(full_width(key)) == key


@given(st.text())
def test_normalising_twice_changes_nothing_more(typed):
    once = contract_number.normalise(typed)

    assert contract_number.normalise(once) == once
    assert authentication_key.normalise(authentication_key.normalise(typed)) == authentication_key.normalise(typed)


@given(st.text())
def test_nothing_but_a_number_becomes_one(typed):
    normal = contract_number.normalise(typed)

    if contract_number.FORMAT.fullmatch(normal):
        assert normal.isascii()


@pytest.mark.parametrize("typed", ["１２３４５", "a", "", "10226-00002", "①0226-000017"])
def test_what_is_no_number_stays_none(typed):
    assert not contract_number.FORMAT.fullmatch(contract_number.normalise(typed))
