"""Everything at once, for as long as one likes: `make soak MINUTES=30 SEED=1`."""

import asyncio
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from console.dead_letters import letters_of
from schemas import topics
from tests.fault.faults import some_fault
from tests.fault.garbage import readers_of
from tests.fault.load import Sent
from tests.fault.people import steady_load
from tests.fault.settling import HAPPENED, settled
from tests.support import tomorrow
from tests.support.running import eventually
from tests.support.wired import WiredStack, wired_stack

SECONDS: Final = 60 * float(os.environ.get("AKASHI_SOAK_MINUTES", "0.3"))
#: Decides which faults come, in which order, to whom, and how long each lasts.
SEED: Final = int(os.environ.get("AKASHI_FAULT_SEED", "1"))
#: Faults at the same time.
HANDS: Final = 2
LONGEST_PAUSE_SECONDS: Final = 3.0
PARKED_SECONDS: Final = 60
#: Faults that meet the notifier, its mail server or a database.
AT_THE_NOTIFIER: Final = re.compile("notifier|mailbox|mail server|postgres|database|connections run out")


@pytest.fixture
async def frail() -> AsyncIterator[WiredStack]:
    """Of its own: nobody takes back what a migration did."""
    async with wired_stack(frail=True) as running:
        yield running


async def _garbage_is_parked(stack: WiredStack) -> bool:
    """Whether every reader put aside whatever lies on its topics and nobody can take."""
    parked = {
        (group, letter.origin)
        for group in topics.GROUPS
        for letter in await letters_of(stack.console.kafka_administrator, group)
    }
    return parked >= {
        (group, f"{lies.topic}:{lies.partition}:{lies.offset}")
        for lies in stack.garbage
        for group in readers_of(lies.topic)
    }


def _strikes(happened: str) -> int:
    """How often a fault may have taken from the notifier's senders what they had in hand."""
    fault = happened.partition(", hand ")[2]
    if not AT_THE_NOTIFIER.search(fault):
        return 0
    times = re.search(r", (\d+) times", fault)
    return int(times[1]) if times else 1


@pytest.mark.timeout(SECONDS + 600)
async def test_whatever_happens_at_once_nothing_is_lost_and_nothing_is_doubled(
    frail: WiredStack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    contractor = await frail.contractor(f"soak-{uuid.uuid4().hex[:8]}")
    mails_before = await frail.mails_by_message_id()
    frail.newer = await tomorrow.make(tmp_path / "tomorrow")
    over_at, began, sent = time.monotonic() + SECONDS, time.monotonic(), Sent()
    happened: list[str] = []
    record_property(HAPPENED, happened)

    async def do_harm(hand: int) -> None:
        dice = random.Random(f"{SEED}-{hand}")
        while time.monotonic() < over_at:
            # No wait for anything: when it comes is the fault.
            await asyncio.sleep(dice.uniform(0, LONGEST_PAUSE_SECONDS))
            at = time.monotonic() - began
            happened.append(f"{at:7.1f} s, hand {hand}: {await some_fault(frail, dice)}")

    # As much as there is time to look through afterwards.
    async with steady_load(contractor, sent, every_seconds=max(1.0, SECONDS / 300)):
        await asyncio.gather(*(do_harm(hand) for hand in range(HANDS)))
        frail.mend()
    assert happened
    strikes = sum(map(_strikes, happened))
    await settled(frail, contractor, sent, mails_before, tmp_path / "export", strikes=strikes)
    await eventually(lambda: _garbage_is_parked(frail), PARKED_SECONDS)
