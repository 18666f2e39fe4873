"""Everything at once, for as long as one likes: `make soak MINUTES=30 SEED=1`."""

import asyncio
import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fault.faults import some_fault
from tests.fault.load import Sent, steady_load
from tests.fault.settling import HAPPENED, settled
from tests.support.wired import WiredStack

SECONDS: Final = 60 * float(os.environ.get("AKASHI_SOAK_MINUTES", "0.3"))
#: Decides which faults come, in which order, to whom, and how long each lasts.
SEED: Final = int(os.environ.get("AKASHI_FAULT_SEED", "1"))
#: Faults at the same time.
HANDS: Final = 2
LONGEST_PAUSE_SECONDS: Final = 3.0


@pytest.mark.timeout(SECONDS + 600)
async def test_whatever_happens_at_once_nothing_is_lost_and_nothing_is_doubled(
    wired: WiredStack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    contractor = await wired.contractor(f"soak-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    over_at, began, sent = time.monotonic() + SECONDS, time.monotonic(), Sent()
    happened: list[str] = []
    record_property(HAPPENED, happened)

    async def do_harm(hand: int) -> None:
        dice = random.Random(f"{SEED}-{hand}")
        while time.monotonic() < over_at:
            # No wait for anything: when it comes is the fault.
            await asyncio.sleep(dice.uniform(0, LONGEST_PAUSE_SECONDS))
            at = time.monotonic() - began
            happened.append(f"{at:7.1f} s, hand {hand}: {await some_fault(wired, dice)}")

    # As much as there is time to look through afterwards.
    async with steady_load(contractor, sent, every_seconds=max(1.0, SECONDS / 300)):
        await asyncio.gather(*(do_harm(hand) for hand in range(HANDS)))
        wired.mend()
    assert happened
    await settled(wired, contractor, sent, mails_before, tmp_path)
