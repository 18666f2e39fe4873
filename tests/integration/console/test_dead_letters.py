"""Dead letters on a real broker: listed, shown, and given back byte for byte."""

import asyncio
import json
import uuid
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from chassis import dead_letters as parked
from console.environment import Stack
from console.kafka_reading import open_reader
from schemas import topics
from schemas.envelope import Message

GROUP = "registry"


def poison(value: bytes | None = b"\xffpoison") -> ConsumerRecord:
    offset = uuid.uuid4().int % 10**9
    headers = (("ce_type", b"\xff"), ("x", b"1"), ("x", b"2"))
    return ConsumerRecord("certificates.v1", 3, offset, 0, 0, b"\xfekey", value, None, 0, 0, headers)


def park(record: ConsumerRecord, reason: str = "oversized") -> Message:
    return parked.letter(record, group=GROUP, reason=reason, now=datetime.now(UTC))


def publish(stack: Stack, message: Message) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(**stack.kafka_administrator.options()) as producer:
            await producer.send_and_wait(
                message.topic, key=message.key, value=message.value, headers=list(message.headers)
            )

    asyncio.run(send())


def records(stack: Stack, topic: str) -> list[ConsumerRecord]:
    async def read() -> list[ConsumerRecord]:
        async with open_reader(stack.kafka, [topic]) as reader:
            return [one async for some in reader.records_until(await reader.ends(topic)) for one in some]

    return asyncio.run(read())


def identity(message: Message) -> str:
    return dict(message.headers)[parked.ID].decode()


def listed(akashi, message: Message) -> dict[str, object]:
    letters = json.loads(akashi("dead-letters", "list", "--group", GROUP, "--json").stdout)
    (found,) = (letter for letter in letters if letter["id"] == identity(message))
    return dict(found)


def test_a_dead_letter_goes_back_to_its_group_byte_for_byte_and_is_counted(akashi, ready: Stack) -> None:
    record = poison()
    letter = park(record)
    publish(ready, letter)
    origin = f"certificates.v1:3:{record.offset}"
    before = listed(akashi, letter)
    assert (before["origin"], before["attempts"], before["redriven"], before["waiting"]) == (origin, 1, 0, True)

    done = akashi("dead-letters", "redrive", identity(letter)[:12])

    assert (done.exit_code, done.stderr) == (0, "Given back: 1.\n")
    back = _redriven(ready, letter)
    assert (back.key, back.value) == (record.key, record.value)
    assert tuple(back.headers) == letter.headers
    after = listed(akashi, letter)
    assert (after["redriven"], after["waiting"]) == (1, False)

    again = park(back, reason="header_is_not_utf8")
    publish(ready, again)
    once_more = listed(akashi, again)
    assert (once_more["origin"], once_more["attempts"], once_more["waiting"]) == (origin, 2, True)


def _redriven(stack: Stack, letter: Message) -> ConsumerRecord:
    (found,) = (
        record
        for record in records(stack, topics.redrive(GROUP))
        if dict(record.headers)[parked.ID].decode() == identity(letter)
    )
    return found


def test_a_dry_run_gives_nothing_back(akashi, ready: Stack) -> None:
    letter = park(poison())
    publish(ready, letter)

    done = akashi("dead-letters", "redrive", identity(letter), "--dry-run")

    assert "Would be given back: 1" in done.stderr
    assert listed(akashi, letter)["redriven"] == 0


def test_a_fourth_time_needs_force(akashi, ready: Stack) -> None:
    letter = park(poison())
    publish(ready, letter)
    for _ in range(3):
        assert akashi("dead-letters", "redrive", identity(letter)).exit_code == 0

    refused = akashi("dead-letters", "redrive", identity(letter))

    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert akashi("dead-letters", "redrive", identity(letter), "--force").exit_code == 0
    assert listed(akashi, letter)["redriven"] == 4


def test_a_letter_that_was_settled_waits_no_more_and_stays(akashi, ready: Stack) -> None:
    letter = park(poison())
    publish(ready, letter)
    before = records(ready, letter.topic)

    done = akashi("dead-letters", "settle", identity(letter)[:12], "--by", "見本 太郎", "--reason", "nobody's")

    assert (done.exit_code, done.stderr) == (0, "Settled: 1.\n")
    found = listed(akashi, letter)
    assert (found["waiting"], found["settled"]) == (False, "nobody's (見本 太郎)")
    waiting = json.loads(akashi("dead-letters", "list", "--waiting", "--json").stdout)
    assert identity(letter) not in {one["id"] for one in waiting}
    assert [one.value for one in before] == [one.value for one in records(ready, letter.topic)][:-1]
    again = akashi("dead-letters", "settle", identity(letter), "--by", "見本 太郎", "--reason", "nobody's")
    assert (again.exit_code, "does not wait" in again.stderr) == (1, True)


def test_all_that_wait_for_one_reason_go_back_and_no_other(akashi, ready: Stack) -> None:
    ours, other = park(poison(), reason="database:X"), park(poison(), reason="oversized")
    publish(ready, ours)
    publish(ready, other)

    done = akashi("dead-letters", "redrive", "--all", "--reason", "database:", "--group", GROUP)

    assert done.exit_code == 0
    assert (listed(akashi, ours)["redriven"], listed(akashi, other)["redriven"]) == (1, 0)
    assert akashi("dead-letters", "redrive", "--all", "--reason", "database:").stderr == "Given back: 0.\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"name": "\xe8\xa8\xbc"}', '"name": "証"'),
        (b"\xff\x1b[2J", "ff 1b 5b 32 4a"),
        (None, "(no value)"),
    ],
)
def test_a_value_is_shown_only_when_asked_for(akashi, ready: Stack, value: bytes | None, shown: str) -> None:
    letter = park(poison(value))
    publish(ready, letter)

    headers = akashi("dead-letters", "show", identity(letter))
    whole = akashi("dead-letters", "show", identity(letter), "--value")

    assert "akashi_reason: oversized" in headers.stdout
    assert shown not in headers.stdout
    assert shown in whole.stdout
    assert "personal data" in whole.stderr
    assert "\x1b" not in whole.stdout


def test_people_read_a_table_with_short_ids(akashi, ready: Stack) -> None:
    letter = park(poison())
    publish(ready, letter)

    shown = akashi("dead-letters", "list", "--waiting").stdout

    assert identity(letter)[:8] in shown
    assert identity(letter) not in shown
