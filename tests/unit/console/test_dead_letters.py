"""Dead letters: what the list says, and that a redriven record keeps what the group must know."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord

from chassis import dead_letters as parked
from chassis.decoding import business_topic
from console.dead_letters import (
    MAX_REDRIVES,
    Letter,
    find,
    hexdump,
    join,
    letter_of,
    redrive_headers,
    refuse_exhausted,
)
from deploy.local.problem import Problem
from schemas import topics
from schemas.envelope import Message

NOW = datetime(2026, 4, 10, 1, 2, 3, tzinfo=UTC)
LATER = datetime(2026, 4, 11, 1, 2, 3, tzinfo=UTC)


def record(
    topic: str = "certificates.v1",
    *,
    partition: int = 3,
    offset: int = 14,
    key: bytes | None = b"31072-000019",
    value: bytes | None = b"\xff{",
    headers: Sequence[tuple[str, bytes]] = (("ce_id", b"x"), ("odd", b"\xff\x00"), ("odd", b"2")),
) -> ConsumerRecord:
    return ConsumerRecord(topic, partition, offset, 0, 0, key, value, None, 0, 0, headers)


def published(message: Message, *, partition: int = 0, offset: int = 0) -> ConsumerRecord:
    """The message as a reader of its topic gets it."""
    return record(
        message.topic, partition=partition, offset=offset, key=message.key, value=message.value, headers=message.headers
    )


def park(source: ConsumerRecord, *, offset: int = 0, now: datetime = NOW) -> ConsumerRecord:
    return published(parked.letter(source, group="registry", reason="oversized", now=now), offset=offset)


def give_back(letter: ConsumerRecord, *, offset: int = 0) -> ConsumerRecord:
    return record(
        topics.redrive("registry"), offset=offset, key=letter.key, value=letter.value, headers=redrive_headers(letter)
    )


def test_a_redriven_record_is_parked_again_with_one_attempt_more_and_its_own_origin() -> None:
    source = record()
    first = park(source)

    second = park(give_back(first, offset=99), now=LATER)

    assert letter_of(first, "registry").attempts == 1
    assert letter_of(second, "registry").attempts == 2
    assert letter_of(second, "registry").origin == "certificates.v1:3:14" == letter_of(first, "registry").origin
    assert letter_of(second, "registry").id != letter_of(first, "registry").id
    assert (second.key, second.value) == (source.key, source.value)


def test_a_record_keeps_its_own_headers_over_any_number_of_redrives() -> None:
    source = record()
    letter = park(source)
    for _ in range(3):
        letter = park(give_back(letter))

    own = [(name, value) for name, value in letter.headers if not name.startswith(parked.PREFIX)]

    assert own == list(source.headers)
    assert letter_of(letter, "registry").attempts == 4


def test_a_redriven_record_is_read_by_the_contract_of_its_first_topic() -> None:
    assert business_topic(give_back(park(record())), "registry") is topics.CERTIFICATES


@pytest.mark.parametrize(("key", "value"), [(None, b"x"), (b"k", None), (b"\xff", b"\x00" * 10)])
def test_a_record_without_key_or_value_is_given_back_as_it_was(key: bytes | None, value: bytes | None) -> None:
    back = give_back(park(record(key=key, value=value)))

    assert (back.key, back.value) == (key, value)


def test_a_letter_says_where_why_and_how_big() -> None:
    letter = letter_of(park(record(), offset=5), "registry")

    assert letter.as_json() == {
        "id": letter.id,
        "group": "registry",
        "reason": "oversized",
        "origin": "certificates.v1:3:14",
        "parked_at": "2026-04-10T01:02:03+00:00",
        "attempts": 1,
        "redriven": 0,
        "waiting": True,
        "settled": None,
        "size_bytes": 2,
    }
    assert (letter.partition, letter.offset) == (0, 5)


def test_a_record_that_nobody_of_ours_parked_is_listed_all_the_same() -> None:
    letter = letter_of(record("registry.dead-letters.v1", value=None, headers=()), "registry")

    assert (letter.id, letter.reason, letter.attempts, letter.size_bytes) == ("?", "?", 0, 0)


def letters(*records: ConsumerRecord) -> list[Letter]:
    return [letter_of(one, "registry") for one in records]


def test_a_parking_that_was_told_twice_is_one_letter() -> None:
    assert len(join(letters(park(record(), offset=0), park(record(), offset=1)), [])) == 1


def test_a_letter_that_was_given_back_waits_no_more() -> None:
    first = park(record())

    (letter,) = join(letters(first), letters(give_back(first)))

    assert (letter.redriven, letter.waiting) == (1, False)


def test_a_record_that_was_parked_again_waits_as_its_last_letter_only() -> None:
    first = park(record())
    back = give_back(first)
    second = park(back, now=LATER)

    older, newer = join(letters(first, second), letters(back))

    assert (older.attempts, older.waiting, newer.attempts, newer.waiting) == (1, False, 2, True)
    assert older.redriven == newer.redriven == 1


def test_a_letter_that_was_settled_waits_no_more_until_its_record_is_parked_again() -> None:
    first = park(record())
    (identity,) = (letter.id for letter in letters(first))

    (letter,) = join(letters(first), [], {identity: "garbage (見本)"})
    assert (letter.waiting, letter.settled) == (False, "garbage (見本)")

    back = give_back(first)
    older, newer = join(letters(first, park(back)), letters(back), {identity: "garbage (見本)"})
    assert (older.waiting, older.settled) == (False, "")
    assert (newer.waiting, newer.settled) == (True, "")


def test_another_record_has_nothing_to_do_with_it() -> None:
    first, other = park(record()), park(record(offset=15), now=LATER)

    _, untouched = join(letters(first, other), letters(give_back(first)))

    assert (untouched.redriven, untouched.waiting) == (0, True)


def test_a_record_is_given_back_three_times_and_then_a_person_must_insist() -> None:
    first = park(record())
    backs = letters(*[give_back(first)] * MAX_REDRIVES)

    refuse_exhausted(join(letters(first), backs[:-1]))
    with pytest.raises(Problem, match="--force"):
        refuse_exhausted(join(letters(first), backs))


def test_a_letter_is_found_by_the_beginning_of_its_id() -> None:
    known = letters(park(record()), park(record(offset=15)))

    assert find(known, known[1].id[:8].upper()) is known[1]


@pytest.mark.parametrize("wanted", ["", "zzzz"])
def test_a_letter_that_is_not_there_is_not_found(wanted: str) -> None:
    with pytest.raises(Problem, match="no dead letter"):
        find(letters(park(record())), wanted)


def test_two_letters_that_begin_alike_are_not_guessed_between() -> None:
    twins = letters(record(headers=((parked.ID, b"ab1"),)), record(headers=((parked.ID, b"ab2"),)))

    with pytest.raises(Problem, match="2 dead letters"):
        find(twins, "ab")


def test_bytes_are_dumped_without_anything_a_terminal_would_obey() -> None:
    dumped = hexdump(b"\x1b[2Jabc" + bytes(40), limit=32)

    assert dumped.splitlines()[0].startswith("00000000  1b 5b 32 4a 61 62 63 00")
    assert "\x1b" not in dumped
    assert dumped.splitlines()[-1] == "… 15 more bytes"
