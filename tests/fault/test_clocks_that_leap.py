"""Wall clocks that leap ahead and back, one service's and all: nothing is lost or doubled, and nothing waits for ever."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from console import store
from deploy.local.stack import SERVICES
from reference import reader
from tests.fault.load import Sent, send
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support.running import Client, events_told, eventually
from tests.support.wired import WiredStack

HOURS: Final = timedelta(hours=3)
FAR: Final = timedelta(days=400)
#: What Kafka answers a writer whose clock is more than an hour ahead of its own.
REFUSED: Final = "InvalidTimestampError"
#: What a service notes of the time when it works. (The registry never notes a registration before its issue.)
NOTED: Final = {
    "intake": "SELECT EXISTS (SELECT FROM application WHERE submitted_at BETWEEN $1 AND $2)",
    "issuer": "SELECT EXISTS (SELECT FROM guarantee WHERE issued_at BETWEEN $1 AND $2)",
    "registry": "SELECT EXISTS (SELECT FROM checkpoint WHERE signed_at BETWEEN $1 AND $2)",
    "notifier": "SELECT EXISTS (SELECT FROM letter WHERE ended_at BETWEEN $1 AND $2)",
}
WORKS_SECONDS: Final = 60
NOT_NOW: Final = b"451 4.3.0 not now\r\n"


def far() -> timedelta:
    """As far ahead as applications are still numbered: what waits for the desk then comes to no end by itself."""
    sureties = reader.load().sureties.values()
    last_year = min(max(row.fiscal_year for row in surety.numbering) for surety in sureties)
    return min(FAR, datetime(last_year + 1, 3, 31, tzinfo=UTC) - datetime.now(UTC))


@pytest.fixture
def stack(frail: WiredStack) -> WiredStack:
    if not frail.clocks:
        pytest.skip("There is no libfaketime for this machine")
    return frail


async def _works_by(stack: WiredStack, service: str, leap: timedelta) -> bool:
    """Whether it noted a time that only its leapt clock tells."""
    middle = datetime.now(UTC) + leap
    async with store.connect(stack.console, service) as connection:
        hour = timedelta(hours=1)
        return bool(await connection.fetchval(NOTED[service], middle - hour, middle + hour))


def _times_refused(stack: WiredStack, service: str) -> int:
    return events_told(stack, service, "relay.retrying", error=REFUSED)


def _was_refused(stack: WiredStack, service: str, *, more_than: int) -> bool:
    return _times_refused(stack, service) > more_than


async def _look_up(contractor: Client, purchaser: Client) -> bool:
    """The purchaser opens the contractor's newest electronic certificate."""
    for guarantee in await contractor.all_items("/api/guarantees"):
        if guarantee["form"] == "electronic":
            number = guarantee["contract_number"]
            key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
            body = {"contract_number": number, "authentication_key": key}
            return (await purchaser.call("POST", "/api/certificates/lookup", body)).status_code == 200
    return False


@pytest.mark.parametrize("leaping", [*((service,) for service in SERVICES), SERVICES], ids=[*SERVICES, "all"])
@pytest.mark.timeout(420)
async def test_clocks_that_leap_and_come_back_lose_nothing(
    stack: WiredStack, leaping: Sequence[str], tmp_path: Path
) -> None:
    contractor = await stack.contractor(f"clocks-{uuid.uuid4().hex[:8]}")
    purchaser = await stack.purchaser("tochigi")
    mails_before = await stack.mails_by_message_id()
    sent = Sent()

    async with steady_load(contractor, sent):
        await eventually(partial(_look_up, contractor, purchaser), WORKS_SECONDS)
        first = leaping[0]
        for leap in (HOURS, -HOURS, far()):
            refused = _times_refused(stack, first)
            for service in leaping:
                stack.clocks[service].set_off(leap)
            # Others may have nothing to do meanwhile: they live on what this one tells.
            await eventually(partial(_works_by, stack, first, leap), WORKS_SECONDS)
            await eventually(partial(_look_up, contractor, purchaser), WORKS_SECONDS)
            if leap > timedelta():
                await eventually(partial(_was_refused, stack, first, more_than=refused), WORKS_SECONDS)
            for service in leaping:
                stack.clocks[service].set_off()

    # Nobody takes a letter in hand for one that was left behind: no mail comes twice.
    await settled(stack, contractor, sent, mails_before, tmp_path)


async def test_a_letter_put_off_by_a_clock_that_ran_ahead_leaves_when_the_clock_is_right(
    stack: WiredStack, tmp_path: Path
) -> None:
    contractor = await stack.contractor(f"put-off-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    put_off = events_told(stack, "notifier", "letter.put_off")
    smtp = stack.line("notifier", "smtp")

    stack.clocks["notifier"].set_off(FAR)
    smtp.instead["RCPT"] = NOT_NOW
    sent = await send(contractor, 6)
    await eventually(lambda: events_told(stack, "notifier", "letter.put_off") > put_off, WORKS_SECONDS)
    stack.mend()

    await settled(stack, contractor, sent, mails_before, tmp_path)
