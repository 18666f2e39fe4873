"""Processes that stand still until others have taken over, and then go on; and processes that are replaced in turn."""

import signal
import uuid
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from deploy.local.stack import SERVICES
from tests.fault.load import Sent, has_come_to_its_end, send
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support.kafka import members_of
from tests.support.running import eventually
from tests.support.wired import WiredStack
from tests.support.wires import SmtpWire

#: Who is frozen at what, those first whose work comes last: the others must still bring it to them.
IN_HAND: Final = (
    # The server has the letter, and it is not noted.
    ("notifier", "smtp", SmtpWire.LETTER),
    # With a transaction open that holds locks.
    ("registry", "postgres", "INSERT INTO certificate"),
    ("issuer", "postgres", "INSERT INTO guarantee"),
)
#: With the outbox's lock, what it holds published, and the rows still there for the next relay.
PUBLISHED: Final = tuple((service, "kafka", "Produce") for service in ("notifier", "registry", "issuer"))
APPLICATIONS: Final = 6
TAKEN_OVER_SECONDS: Final = 60


async def _has_moved(stack: WiredStack, service: str, frozen: set[str]) -> bool:
    """Whether Kafka knows members of the group, and none of those."""
    members = await members_of(stack.console.kafka_administrator, service)
    return bool(members) and not members & frozen


@pytest.mark.timeout(300)
@pytest.mark.parametrize("freezes", [IN_HAND, PUBLISHED], ids=["in hand", "published"])
async def test_who_was_frozen_until_others_did_its_work_thaws_and_doubles_nothing(
    wired: WiredStack, freezes: tuple[tuple[str, str, str], ...], tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"moved-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    sent, frozen = Sent(), {}
    for service, neighbour, word in freezes:
        freeze = partial(wired.kill, service, signal.SIGSTOP)
        tripwire = wired.line(service, neighbour).trip(word, side="after", pull=freeze, then="goes on")
        await send(contractor, APPLICATIONS, sent=sent)
        await eventually(tripwire.fired.is_set, TAKEN_OVER_SECONDS)
        frozen[service] = await members_of(wired.console.kafka_administrator, service)
        assert frozen[service]

    async with AsyncExitStack() as seconds:
        try:
            for service in frozen:
                await seconds.enter_async_context(wired.second(service))
            for service, members in frozen.items():
                await eventually(partial(_has_moved, wired, service, members), TAKEN_OVER_SECONDS)
            await eventually(partial(has_come_to_its_end, contractor, sent), TAKEN_OVER_SECONDS)
        finally:
            for service in frozen:
                wired.kill(service, signal.SIGCONT)
        mails = await settled(wired, contractor, sent, mails_before, tmp_path, strikes=1)
    # The letter that was frozen with its sender.
    assert freezes is PUBLISHED or mails.total() > len(mails)


async def test_services_that_are_restarted_one_after_the_other_lose_and_repeat_nothing(
    wired: WiredStack, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"rolling-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    sent = Sent()

    async with steady_load(contractor, sent):
        for service in SERVICES:
            replaced = wired.part(service).pid
            wired.kill(service, signal.SIGTERM)
            await eventually(partial(wired.has_another, service, replaced), 60)
            await eventually(wired.is_whole, 60, every_seconds=0.1)

    await settled(wired, contractor, sent, mails_before, tmp_path)
