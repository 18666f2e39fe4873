"""A deploy under load, and a rollback: yesterday's processes beside tomorrow's lose nothing, and say nothing twice."""

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from console import store
from console.kafka_reading import open_reader
from deploy.local.stack import SERVICES
from deploy.local.state import CLONE
from schemas import topics
from tests.fault.load import Sent, has_come_to_its_end, send
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support import tomorrow
from tests.support.kafka import members_of
from tests.support.running import Client, events_told, eventually
from tests.support.wired import WiredStack, wired_stack

BESIDE_SECONDS: Final = 60
#: What a release says that finds its tables changed by one it does not know.
NEWER: Final = "migration.of_a_newer_release"
#: An auditor of tomorrow asks all that one of today asks.
AUDITS: Final = (
    ("compare", "--settle", "60"),
    ("replay",),
    *(("replay", "--service", service) for service in ("issuer", "intake", "notifier")),
)


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[WiredStack]:
    """Of its own: nobody takes back what a migration did."""
    async with wired_stack() as running:
        yield running


async def _told(stack: WiredStack) -> dict[str, Counter[bool]]:
    """How many events of each kind have tomorrow's field, and how many have not."""
    business = {topic.name: topic for topic in topics.BUSINESS}
    found: dict[str, Counter[bool]] = {kind: Counter() for kind in tomorrow.EVENTS}
    async with open_reader(stack.console.kafka, list(business)) as reader:
        async for records in reader.records_until(await reader.ends(*business)):
            for record in records:
                kind = business[record.topic].event_of(dict(record.headers).get("ce_type", b"").decode())
                if kind is not None and kind.__name__ in found:
                    found[kind.__name__][tomorrow.FIELD in json.loads(record.value or b"{}")] += 1
    return found


async def _audited_tomorrow(stack: WiredStack, release: Path) -> None:
    """An auditor with tomorrow's release finds nothing either."""
    for audit in AUDITS:
        await tomorrow.run(release, "console.main", "audit", *audit, **stack.environment)


async def _roll(stack: WiredStack, contractor: Client, sent: Sent, release: Path) -> None:
    """One service after the other; of each, both releases run side by side for a while."""
    for service in SERVICES:
        before = await members_of(stack.console.kafka_administrator, service)
        async with stack.second(service, release=release):

            async def shares(service: str = service, before: set[str] = before) -> bool:
                return len(await members_of(stack.console.kafka_administrator, service)) > len(before)

            await eventually(shares, BESIDE_SECONDS)
            # Of the rest, more is always under way.
            ours = await send(contractor, 4)
            await eventually(partial(has_come_to_its_end, contractor, ours), BESIDE_SECONDS)
            sent.add(ours)
            await stack.replace(service, release)


@pytest.mark.timeout(600)
async def test_a_deploy_and_a_rollback_under_load_lose_nothing(stack: WiredStack, tmp_path: Path) -> None:
    contractor = await stack.contractor(f"deploy-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    new = await tomorrow.make(tmp_path / "tomorrow")
    sent = Sent()

    async with steady_load(contractor, sent):
        # Its tables are there before any of its processes.
        await tomorrow.run(new, "console.main", "migrate", **stack.environment)
        for service in SERVICES:
            async with store.connect(stack.console, service) as connection:
                applied = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migration")}
                assert applied >= set(tomorrow.files_of(service))
        await _roll(stack, contractor, sent, new)
    await settled(stack, contractor, sent, mails_before, tmp_path / "as of today")
    await _audited_tomorrow(stack, new)
    told = await _told(stack)
    assert all(of_kind[True] and of_kind[False] for of_kind in told.values()), told
    warned = {service: events_told(stack, service, NEWER) for service in SERVICES}

    async with steady_load(contractor, sent):
        await _roll(stack, contractor, sent, CLONE)

    await settled(stack, contractor, sent, mails_before, tmp_path / "after the rollback")
    await _audited_tomorrow(stack, new)
    assert all(events_told(stack, service, NEWER) > times for service, times in warned.items())
