"""Garbage on each topic is parked with its reason, and the rest goes on."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiokafka.structs import RecordMetadata

from console.dead_letters import Letter, letters_of
from console.kafka_reading import open_reader
from schemas import topics
from tests.fault.garbage import Record, examples, garbage_of_every_kind, headers_of, produce, readers_of
from tests.fault.load import has_come_to_its_end, mails_told, send
from tests.fault.settling import settled
from tests.support.auditing import FORGED, replayed_all
from tests.support.kafka import uncommitted
from tests.support.running import RunningStack, eventually, running_stack


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """One of its own: on these topics stands for ever what nobody may tell, and a rebuild of that registry is refused."""
    async with running_stack() as running:
        yield running


APPLICATIONS: Final = 5
#: Where something is told of an application that goes well and that nobody looks up.
TOLD: Final = {
    "applications.v1",
    "data-keys.v1",
    "decisions.v1",
    "certificates.v1",
    "registrations.v1",
    "notifications.v1",
}
UNKNOWN_AT_INTAKE: Final = "database:ForeignKeyViolationError"
#: Valid, and pointing at nothing: the golden messages, of which this stack knows no party, application or secret.
#: Event → the groups that must park it, and why; the notifier's halves wait, and are parked at last, once.
STRANGERS: Final = {
    "ApplicationQueued": {"intake": UNKNOWN_AT_INTAKE},
    "ApplicationDecided": {"intake": UNKNOWN_AT_INTAKE},
    "ApplicationWithdrawn": {"intake": UNKNOWN_AT_INTAKE},
    "WithdrawalRefused": {"intake": UNKNOWN_AT_INTAKE},
    "WithdrawalRequested": {"issuer": "application_is_unknown"},
    "CertificateIssued": {"intake": "key_cannot_be_opened", "registry": "pepper_is_unknown"},
    "CertificateRegistered": {"intake": UNKNOWN_AT_INTAKE, "notifier": "application_never_came"},
    "CertificateViewed": {"intake": UNKNOWN_AT_INTAKE, "notifier": "application_never_came"},
    "MailSent": {"intake": UNKNOWN_AT_INTAKE},
    "MailUndeliverable": {"intake": UNKNOWN_AT_INTAKE},
    # Wrapped for keys that are not this stack's; the issuer opens its copy only when the desk looks.
    "DataKeyWrapped": {"notifier": "data_key_cannot_be_opened"},
    # With a surety that reference data does not know.
    "ApplicationSubmitted": {"issuer": "surety_is_unknown", "notifier": "surety_is_unknown"},
}


async def _parked(stack: RunningStack) -> list[Letter]:
    return [letter for group in topics.GROUPS for letter in await letters_of(stack.console.kafka, group)]


@pytest.mark.timeout(300)
async def test_garbage_of_every_kind_is_parked_by_every_reader_and_the_rest_goes_on(
    stack: RunningStack, tmp_path: Path
) -> None:
    before = {letter.id for letter in await _parked(stack)}
    garbage, noted = list(garbage_of_every_kind()), list[RecordMetadata]()
    await produce(stack.console.kafka_administrator, [record for _, record, _ in garbage], noted=noted)
    # Each record, for each group that reads its topic.
    wanted = {
        (group, f"{lies.topic}:{lies.partition}:{lies.offset}"): (kind, reason)
        for (kind, _, reason), lies in zip(garbage, noted, strict=True)
        for group in readers_of(lies.topic)
    }

    async def new() -> list[Letter]:
        return [letter for letter in await _parked(stack) if letter.id not in before]

    async def all_parked() -> bool:
        return wanted.keys() <= {(letter.group, letter.origin) for letter in await new()}

    await eventually(all_parked, 60)
    await _goes_on(stack, tmp_path)
    # And nothing else, nor anything twice.
    parked = await new()
    assert sorted((letter.group, letter.origin) for letter in parked) == sorted(wanted)
    for letter in parked:
        kind, reason = wanted[letter.group, letter.origin]
        assert letter.reason == reason, (kind, letter)


@pytest.mark.timeout(300)
async def test_a_valid_event_that_points_at_nothing_is_parked(stack: RunningStack, tmp_path: Path) -> None:
    before = {letter.id for letter in await _parked(stack)}
    strangers: list[Record] = []
    for topic, example in examples():
        if example.headers["ce_type"].split(".")[1] in STRANGERS:
            value = example.value | ({"surety_id": "nobody"} if "products" in example.value else {})
            strangers.append((topic.name, example.key.encode(), json.dumps(value).encode(), headers_of(example)))
    # Each twice, and in both orders.
    await produce(stack.console.kafka_administrator, [*strangers, *reversed(strangers)])
    expected = {(name, group, reason) for name, groups in STRANGERS.items() for group, reason in groups.items()}

    async def found() -> set[tuple[str, str, str]]:
        new = [letter for letter in await _parked(stack) if letter.id not in before]
        return {(_event(letter), letter.group, letter.reason) for letter in new}

    async def all_parked() -> bool:
        return expected <= await found()

    await eventually(all_parked, 60)
    await _goes_on(stack, tmp_path)
    assert await found() == expected
    assert FORGED & {difference.subject for difference in await replayed_all(stack)}, (
        "the auditor finds what was forged"
    )


def _event(letter: Letter) -> str:
    return dict(letter.headers)["ce_type"].decode().split(".")[1]


async def _goes_on(stack: RunningStack, folder: Path) -> None:
    contractor = await stack.contractor(f"goes-on-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    await settled(stack, contractor, await send(contractor, APPLICATIONS), mails_before, folder)


@pytest.mark.timeout(300)
async def test_everything_told_again_twice_and_backwards_changes_nothing(stack: RunningStack, tmp_path: Path) -> None:
    kafka, names = stack.console.kafka_administrator, [topic.name for topic in topics.BUSINESS]
    contractor = await stack.contractor(f"again-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    parked_before = {letter.id for letter in await _parked(stack)}
    async with open_reader(kafka, names) as reader:
        async for _ in reader.records_until(await reader.ends(*names)):
            pass
        sent = await send(contractor, APPLICATIONS)
        await eventually(lambda: has_come_to_its_end(contractor, sent), 60)

        async def mailed() -> bool:
            return await mails_told(contractor, "sent") == sent.wished_mails

        await eventually(mailed, 60)
        told: list[Record] = [
            (record.topic, record.key, record.value, list(record.headers))
            async for records in reader.records_until(await reader.ends(*names))
            for record in records
        ]
    assert {topic for topic, *_ in told} >= TOLD

    await produce(kafka, [record for record in reversed(told) for _ in range(2)])

    async def all_read() -> bool:
        read = [(group, topic.name) for group in topics.GROUPS for topic in topics.read_by(group)]
        return not any([await uncommitted(kafka, group, name) for group, name in read])

    await eventually(all_read, 60)
    await settled(stack, contractor, sent, mails_before, tmp_path)
    assert [letter for letter in await _parked(stack) if letter.id not in parked_before] == []
