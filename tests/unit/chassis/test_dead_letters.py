"""A parked record keeps what it was, where it came from and how often it was tried."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import dead_letters
from chassis.decoding import ORIGIN_TOPIC
from tests.support.builders import a_raw_record, a_record, an_application
from tests.support.clock import NOON


def letter(record, reason="oversized"):
    return dead_letters.letter(record, group="issuer", reason=reason, now=NOON)


def marks(message):
    return {name: value for name, value in message.headers if name.startswith(dead_letters.PREFIX)}


def redriven(message):
    """What an operator's redrive gives back to the group."""
    return a_raw_record(
        topic="issuer.redrive.v1", partition=3, offset=77, key=message.key, value=message.value, headers=message.headers
    )


def test_a_letter_keeps_bytes_key_and_headers():
    record = a_record(an_application(), value=b"\xff\x00", partition=5, offset=42)

    message = letter(record)

    assert (message.topic, message.key, message.value) == ("issuer.dead-letters.v1", record.key, b"\xff\x00")
    assert message.headers[: len(record.headers)] == record.headers


def test_a_letter_says_why_from_where_when_and_how_often():
    said = marks(letter(a_record(an_application(), partition=5, offset=42)))

    assert said[dead_letters.REASON] == b"oversized"
    assert said[ORIGIN_TOPIC] == b"applications.v1"
    assert said[dead_letters.ORIGIN_PARTITION] == b"5"
    assert said[dead_letters.ORIGIN_OFFSET] == b"42"
    assert said[dead_letters.ATTEMPTS] == b"1"
    assert said[dead_letters.PARKED_AT] == b"2026-11-20T03:00:00+00:00"


def test_parking_the_same_record_twice_is_the_same_letter():
    record = a_record(an_application())

    assert letter(record) == letter(record)


def test_another_record_has_another_id():
    first, second = (marks(letter(a_record(an_application()))) for _ in range(2))

    assert first[dead_letters.ID] != second[dead_letters.ID]


def test_a_redriven_record_parked_again_keeps_its_origin_and_counts_on():
    first = letter(a_record(an_application(), partition=5, offset=42))
    second = letter(redriven(first), reason="key_does_not_match")
    third = letter(redriven(second))

    said = marks(second)
    assert said[ORIGIN_TOPIC] == b"applications.v1"
    assert (said[dead_letters.ORIGIN_PARTITION], said[dead_letters.ORIGIN_OFFSET]) == (b"5", b"42")
    assert said[dead_letters.REASON] == b"key_does_not_match"
    assert [marks(m)[dead_letters.ATTEMPTS] for m in (first, second, third)] == [b"1", b"2", b"3"]
    assert len({marks(m)[dead_letters.ID] for m in (first, second, third)}) == 3


def test_no_mark_is_there_twice_after_a_redrive():
    second = letter(redriven(letter(a_record(an_application()))))

    names = [name for name, _ in second.headers]
    assert len(names) == len(set(names))


def test_marks_on_a_business_topic_are_not_believed():
    forged = ((dead_letters.ATTEMPTS, b"99"), (ORIGIN_TOPIC, b"views.v1"))

    said = marks(letter(a_record(an_application(), headers=forged)))

    assert (said[dead_letters.ATTEMPTS], said[ORIGIN_TOPIC]) == (b"1", b"applications.v1")


def test_a_null_value_stays_a_null_value():
    assert letter(a_raw_record(value=None, key=b"k")).value is None


def test_a_record_with_neither_key_nor_value_gets_one_that_can_be_sent():
    assert letter(a_raw_record(value=None, key=None)).value == b""


MARK = st.sampled_from([ORIGIN_TOPIC, dead_letters.ORIGIN_PARTITION, dead_letters.ORIGIN_OFFSET, dead_letters.ATTEMPTS])


@given(st.lists(st.tuples(MARK | st.text(), st.none() | st.binary(max_size=20)), max_size=5))
def test_any_record_of_the_redrive_topic_can_be_parked(headers):
    message = letter(a_raw_record(topic="issuer.redrive.v1", headers=tuple(headers)))

    assert int(marks(message)[dead_letters.ATTEMPTS]) >= 1
    assert all(isinstance(value, bytes) for _, value in message.headers)


@pytest.mark.parametrize("group", ["issuer", "registry"])
def test_the_same_record_parked_by_two_groups_is_two_letters(group):
    record = a_record(an_application())
    ours = dead_letters.letter(record, group=group, reason="x", now=NOON)
    theirs = dead_letters.letter(record, group="intake", reason="x", now=NOON)

    assert uuid.UUID(marks(ours)[dead_letters.ID].decode()) != uuid.UUID(marks(theirs)[dead_letters.ID].decode())
