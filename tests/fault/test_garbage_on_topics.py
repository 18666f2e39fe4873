"""Garbage on each topic is parked with its reason, and the rest goes on."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from chassis.kafka import KafkaAccess
from console.dead_letters import Letter, letters_of
from schemas import publish, topics
from tests.fault.load import has_come_to_its_end, send
from tests.support.auditing import FORGED, auditors_check, replayed_all
from tests.support.running import RunningStack, eventually, running_stack

Headers = list[tuple[str, bytes]]
Record = tuple[str, bytes | None, bytes | None, Headers]

#: Well-formed, and in UTC of the year 0: no clock here can show it.
NO_MOMENT = "0001-01-01T00:00:00+23:59"
NO_SUCH_TYPE = ("ce_type", b"akashi.NobodyTold.v9")


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """One of its own: on these topics stands for ever what nobody may tell, and a rebuild of that registry is refused."""
    async with running_stack() as running:
        yield running


def _examples() -> Iterator[tuple[topics.Topic, publish.Example]]:
    for _, example in publish.examples():
        yield example.topic, example


def _headers(example: publish.Example) -> Headers:
    return [(name, value.encode()) for name, value in example.headers.items()]


def _garbage() -> Iterator[tuple[str, Record, str]]:
    """(kind, record, the reason it must be parked with), for the first event of every topic."""
    seen: set[str] = set()
    for topic, example in _examples():
        if topic.name in seen:
            continue
        seen.add(topic.name)
        key, value, headers = example.key.encode(), json.dumps(example.value).encode(), _headers(example)
        other_type = [header for header in headers if header[0] != "ce_type"]
        yield "bad JSON", (topic.name, key, b'{"application_id": ', headers), "invalid"
        yield "not UTF-8", (topic.name, key, value, [*headers, ("x-odd", b"\xff\xfe")]), "header_is_not_utf8"
        yield "wrong key", (topic.name, b"someone-else", value, headers), "key_does_not_match"
        yield "unknown type", (topic.name, key, value, [*other_type, NO_SUCH_TYPE]), "ce_type_is_unknown"
        yield "oversized", (topic.name, key, b" " * 300_000, headers), "oversized"
        moment = json.dumps(example.value | {type(example.event()).time_field: NO_MOMENT}).encode()
        yield "a moment before there was any", (topic.name, key, moment, headers), "invalid"
        yield "no headers", (topic.name, key, value, []), "ce_specversion"
        if not topic.tombstones:
            yield "null value", (topic.name, key, None, headers), "value_is_null"


#: Valid, and pointing at nothing: the golden messages, of which this stack knows no party, application or secret.
#: (Event, the groups that must park it; the notifier's halves wait, and only a registration is parked at last.)
STRANGERS = {
    "ApplicationQueued": {"intake"},
    "ApplicationDecided": {"intake"},
    "ApplicationWithdrawn": {"intake"},
    "WithdrawalRefused": {"intake"},
    "WithdrawalRequested": {"issuer"},
    "CertificateIssued": {"intake", "registry"},
    "CertificateRegistered": {"intake", "notifier"},
    "CertificateViewed": {"intake"},
    "MailSent": {"intake"},
    "MailUndeliverable": {"intake"},
    # Wrapped for keys that are not this stack's; the issuer opens its copy only when the desk looks.
    "DataKeyWrapped": {"notifier"},
    # With a surety that reference data does not know.
    "ApplicationSubmitted": {"issuer", "notifier"},
}


async def _produce(kafka: KafkaAccess, records: list[Record]) -> None:
    async with AIOKafkaProducer(**kafka.options()) as producer:
        for topic, key, value, headers in records:
            await producer.send_and_wait(topic, value, key=key, headers=headers)


async def _parked(stack: RunningStack) -> list[Letter]:
    return [letter for group in topics.GROUPS for letter in await letters_of(stack.console.kafka, group)]


@pytest.mark.timeout(300)
async def test_garbage_of_every_kind_is_parked_by_every_reader_and_the_rest_goes_on(
    stack: RunningStack, tmp_path: Path
) -> None:
    before = {letter.id for letter in await _parked(stack)}
    garbage = list(_garbage())
    await _produce(stack.console.kafka_administrator, [record for _, record, _ in garbage])
    expected = sum(len(_readers(record[0])) for _, record, _ in garbage)

    async def new() -> list[Letter]:
        return [letter for letter in await _parked(stack) if letter.id not in before]

    async def all_parked() -> bool:
        return len(await new()) >= expected

    await eventually(all_parked, 60)
    parked = await new()
    assert len(parked) == expected
    reasons = {letter.reason.split(":")[0] for letter in parked}
    for kind, _, reason in garbage:
        assert any(found.startswith(reason) for found in reasons), kind
    await _goes_on(stack, tmp_path)


@pytest.mark.timeout(300)
async def test_a_valid_event_that_points_at_nothing_is_parked(stack: RunningStack, tmp_path: Path) -> None:
    before = {letter.id for letter in await _parked(stack)}
    strangers: list[Record] = []
    for topic, example in _examples():
        if example.headers["ce_type"].split(".")[1] in STRANGERS:
            value = example.value | ({"surety_id": "nobody"} if "products" in example.value else {})
            strangers.append((topic.name, example.key.encode(), json.dumps(value).encode(), _headers(example)))
    await _produce(stack.console.kafka_administrator, strangers)
    expected = {(name, group) for name, groups in STRANGERS.items() for group in groups}

    async def all_parked() -> bool:
        found = {(_event(letter), letter.group) for letter in await _parked(stack) if letter.id not in before}
        return expected <= found

    await eventually(all_parked, 60)
    await _goes_on(stack, tmp_path)
    assert FORGED & {found.subject for found in await replayed_all(stack)}, "the auditor finds what was forged"


def _event(letter: Letter) -> str:
    return dict(letter.headers)["ce_type"].decode().split(".")[1]


def _readers(topic_name: str) -> tuple[str, ...]:
    return next(topic.readers for topic in topics.BUSINESS if topic.name == topic_name)


async def _goes_on(stack: RunningStack, folder: Path) -> None:
    contractor = await stack.contractor(f"goes-on-{uuid.uuid4().hex[:8]}")
    sent = await send(contractor, 5)
    await eventually(lambda: has_come_to_its_end(contractor, sent), 60)
    await auditors_check(stack, folder)
