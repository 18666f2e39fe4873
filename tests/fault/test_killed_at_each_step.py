"""kill -9 at each step of docs/the-flow.md, right before it is done and right after, when nobody was told yet.

A tripwire on the service's line to database, broker or mail server sees the moment; the product has no fail points.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.fault.load import Sent
from tests.fault.people import look_up, steady_load
from tests.fault.settling import settled
from tests.fault.steps import EACH, STEPS, VIEW, Step
from tests.support.kafka import bury
from tests.support.lines import SIDES, Side
from tests.support.running import Client, eventually
from tests.support.wired import WiredStack

FIRES_SECONDS: Final = 60


async def _kill_at(stack: WiredStack, steps: Sequence[Step], side: Side, contractor: Client) -> None:
    """At one after the other, each time as soon as the service is there again."""
    for step in steps:
        service, pid = step.service, stack.part(step.service).pid
        tripwire = stack.line(service, step.neighbour).trip(*step.words, side=side, pull=partial(stack.kill, service))
        if step.number == VIEW:
            await _look_up(stack, contractor)
        async with asyncio.timeout(FIRES_SECONDS):
            await tripwire.fired.wait()
        # What would happen 10 s later.
        await bury(stack.console.kafka_administrator, service)
        await eventually(partial(stack.has_another, service, pid))


async def _look_up(stack: WiredStack, contractor: Client) -> None:
    """The purchaser opens a certificate, however often the registry dies meanwhile."""

    async def issued() -> str | None:
        guarantees = await contractor.all_items("/api/guarantees")
        return next((one["contract_number"] for one in guarantees if one["form"] == "electronic"), None)

    number = await eventually(issued, FIRES_SECONDS)
    await look_up(contractor, await stack.purchaser("tochigi"), number)


async def _under_load(stack: WiredStack, plans: Collection[Sequence[Step]], side: Side, folder: Path) -> Counter[str]:
    """Kill by these plans while applications come in; the mails that came, repeated only where the notifier died."""
    strikes = sum(step.service == "notifier" for plan in plans for step in plan)
    contractor = await stack.contractor(f"step-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    sent = Sent()
    async with steady_load(contractor, sent):
        await asyncio.gather(*(_kill_at(stack, plan, side, contractor) for plan in plans))
    return await settled(stack, contractor, sent, mails_before, folder, strikes=strikes)


@pytest.mark.parametrize("side", SIDES)
async def test_killed_at_every_step_in_turn_nothing_is_lost_and_nothing_is_doubled(
    wired: WiredStack, side: Side, tmp_path: Path
) -> None:
    mails = await _under_load(wired, STEPS.values(), side, tmp_path)

    # The one step that may be done twice: the server has the letter, and nobody knows.
    assert side == "before" or mails.total() > len(mails)


@pytest.mark.skipif(not EACH, reason="Each step by itself takes a quarter of an hour: AKASHI_FAULT_EACH_STEP=1")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", [step for steps in STEPS.values() for step in steps], ids=str)
async def test_killed_at_this_step_nothing_is_lost_and_nothing_is_doubled(
    wired: WiredStack, step: Step, side: Side, tmp_path: Path
) -> None:
    mails = await _under_load(wired, [[step]], side, tmp_path)

    if step.what == "letter" and side == "after":
        assert mails.total() > len(mails)
