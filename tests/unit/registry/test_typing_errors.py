"""KEY-3, KEY-8, NUM-5: what is told of a typing error before anything is looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import authentication_key, contract_number
from services.registry.web.typed import KEY, NUMBER, Fault, faults_of

RIGHT, SECRET = contract_number.compose("10226", 22), "Z28YUE4J3Bux"


def only(faults):
    (fault,) = faults
    return fault


def test_what_is_right_has_no_fault():
    assert faults_of(RIGHT, SECRET) == []


@given(
    st.text(authentication_key.ALPHABET, min_size=12, max_size=12), st.integers(1, contract_number.SERIALS_PER_BLOCK)
)
def test_nothing_that_was_ever_drawn_has_a_fault(key, serial):
    assert faults_of(contract_number.compose("31073", serial), f" {key}　") == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("", "number_missing"),
        (" 　\n", "number_missing"),
        ("10226", "number_format"),
        ("10226-000022", "number_wrong"),
        ("第10226号", "number_format"),
        (SECRET, "number_format"),
    ],
)
def test_a_numbers_fault_is_told(number, text):
    assert only(faults_of(number, SECRET)) == Fault(NUMBER, text)


@given(st.integers(0, 9), st.sampled_from("0123456789"))
def test_every_single_wrong_digit_is_noticed(place, digit):
    digits = RIGHT.replace("-", "")
    typed = digits[:place] + digit + digits[place + 1 :]

    assert bool(faults_of(typed, SECRET)) == (typed != digits)


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("", "key_missing", {}),
        (SECRET[:-1], "key_length", {"count": "11"}),
        (f"{SECRET}x", "key_length", {"count": "13"}),
        (f"0{SECRET[1:]}", "key_character", {"character": "数字の「0」（ゼロ）"}),
        (f"{SECRET[:-1]}l", "key_character", {"character": "英小文字の「l」（エル）"}),
        (f"{SECRET[:-1]}I", "key_character", {"character": "英大文字の「I」（アイ）"}),
        (f"{SECRET[:-1]}-", "key_character", {"character": "「-」"}),
        ("認証キー", "key_character", {"character": "「認」"}),
        (f"{SECRET[:-1]}\u202e", "key_unseen", {}),
        (RIGHT, "key_is_number", {}),
        (RIGHT.replace("-", "ー"), "key_is_number", {}),
    ],
)
def test_a_keys_fault_is_told(key, text, values):
    assert only(faults_of(RIGHT, key)) == Fault(KEY, text, values)


@given(st.text(max_size=40))
def test_no_more_of_a_key_is_repeated_than_one_character_that_is_in_no_key(key):
    for fault in faults_of(RIGHT, key):
        told = fault.values.get("character", "")
        assert not any(character in authentication_key.ALPHABET for character in told.strip("「」")[:1])


def test_both_fields_are_told_of_at_once():
    assert [fault.name for fault in faults_of("", "")] == [NUMBER, KEY]
