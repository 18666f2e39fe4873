"""kill -9 of anything at any moment, one after the other, while applications come in."""

import asyncio
import contextlib
import os
import random
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.fault.load import send
from tests.fault.settling import settled
from tests.support.running import RunningStack, eventually

#: `make fault` kills 200 times. The seed decides whom, and after which pauses.
KILLS = int(os.environ.get("AKASHI_FAULT_KILLS", "12"))
SEED = int(os.environ.get("AKASHI_FAULT_SEED", "1"))
VICTIMS = ("intake", "issuer", "registry", "notifier", "kafka", "postgres")
#: Brokers and databases take long to come back; mostly it is a service.
WEIGHTS = (6, 6, 6, 6, 1, 1)
ROUND = 20


@pytest.mark.timeout(300 + 12 * KILLS)
async def test_whoever_is_killed_whenever_nothing_is_lost(stack: RunningStack, tmp_path: Path) -> None:
    if stack.outside:
        pytest.skip("testcontainers' database is not restarted here; the local one is")
    dice = random.Random(SEED)
    contractor = await stack.contractor(f"random-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    killing = asyncio.create_task(_kill(stack, dice))
    sent = await send(contractor, ROUND)
    while not killing.done():
        sent.add(await send(contractor, ROUND))
        # As much as there is time to look through afterwards.
        await asyncio.wait({killing}, timeout=1)
    killed = await killing

    # A database that dies takes with it what the notifier was about to note.
    strikes = killed["notifier"] + killed["postgres"]
    await settled(stack, contractor, sent, mails_before, tmp_path, strikes=strikes)


def _runs(stack: RunningStack, name: str) -> bool:
    return stack.part(name).pid is not None


async def _kill(stack: RunningStack, dice: random.Random) -> Counter[str]:
    """As many as asked for, each as soon as it runs and after a pause of its own; how often each was."""
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        (victim,) = dice.choices(VICTIMS, WEIGHTS)
        # No wait for anything: when it comes is the fault.
        await asyncio.sleep(dice.uniform(0, 1.5))
        await eventually(partial(_runs, stack, victim), 60)
        # Where nobody has noticed yet that it is dead, nobody was killed.
        with contextlib.suppress(ProcessLookupError):
            stack.kill(victim)
            killed[victim] += 1
    return killed
