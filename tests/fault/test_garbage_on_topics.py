"""Garbage on each topic is parked with its reason, and the rest goes on."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.dead_letters import Letter, letters_of
from schemas import topics
from tests.fault.garbage import Record, examples, garbage_of_every_kind, headers_of, produce, readers_of
from tests.fault.load import has_come_to_its_end, send
from tests.support.auditing import FORGED, auditors_check, replayed_all
from tests.support.running import RunningStack, eventually, running_stack


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """One of its own: on these topics stands for ever what nobody may tell, and a rebuild of that registry is refused."""
    async with running_stack() as running:
        yield running


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


async def _parked(stack: RunningStack) -> list[Letter]:
    return [letter for group in topics.GROUPS for letter in await letters_of(stack.console.kafka, group)]


@pytest.mark.timeout(300)
async def test_garbage_of_every_kind_is_parked_by_every_reader_and_the_rest_goes_on(
    stack: RunningStack, tmp_path: Path
) -> None:
    before = {letter.id for letter in await _parked(stack)}
    garbage = list(garbage_of_every_kind())
    await produce(stack.console.kafka_administrator, [record for _, record, _ in garbage])
    expected = sum(len(readers_of(record[0])) for _, record, _ in garbage)

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
    for topic, example in examples():
        if example.headers["ce_type"].split(".")[1] in STRANGERS:
            value = example.value | ({"surety_id": "nobody"} if "products" in example.value else {})
            strangers.append((topic.name, example.key.encode(), json.dumps(value).encode(), headers_of(example)))
    await produce(stack.console.kafka_administrator, strangers)
    expected = {(name, group) for name, groups in STRANGERS.items() for group in groups}

    async def all_parked() -> bool:
        found = {(_event(letter), letter.group) for letter in await _parked(stack) if letter.id not in before}
        return expected <= found

    await eventually(all_parked, 60)
    await _goes_on(stack, tmp_path)
    assert FORGED & {found.subject for found in await replayed_all(stack)}, "the auditor finds what was forged"


def _event(letter: Letter) -> str:
    return dict(letter.headers)["ce_type"].decode().split(".")[1]


async def _goes_on(stack: RunningStack, folder: Path) -> None:
    contractor = await stack.contractor(f"goes-on-{uuid.uuid4().hex[:8]}")
    sent = await send(contractor, 5)
    await eventually(lambda: has_come_to_its_end(contractor, sent), 60)
    await auditors_check(stack, folder)
