"""PostgreSQL without a connection to spare, without a byte, and restarted: what was accepted comes to its end, nothing comes twice."""

import signal
import uuid
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from deploy.local.stack import SERVICES
from tests.fault.load import Sent
from tests.fault.need import all_connections, filled
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support.running import Client, RunningStack, eventually
from tests.support.wired import WiredStack

TOO_MANY: Final = "TooManyConnectionsError"
DISK_FULL: Final = "DiskFullError"
NO_SPACE: Final = "No space left on device"
REFUSALS: Final = 5
SAID_SECONDS: Final = 60
#: Applications from one restart to the next.
BETWEEN: Final = 12


def _times(stack: RunningStack, part: str, words: str) -> int:
    """How often a part's log says that."""
    return (stack.state / "logs" / f"{part}.log").read_text(errors="replace").count(words)


def _said(stack: RunningStack, part: str, words: str, *, more_than: int) -> bool:
    return _times(stack, part, words) > more_than


async def _turned_away(stack: RunningStack, contractor: Client) -> bool:
    """Whether intake answers openly that it cannot: 503, and when to come again."""
    async with stack.http("intake") as client:
        answer = await client.get("/api/applications", headers={"Authorization": f"Bearer {contractor.token}"})
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in answer.headers


async def test_out_of_connections_nothing_is_lost_and_given_back_everything_goes_on(
    wired: WiredStack, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"crowded-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    before = {service: _times(wired, service, TOO_MANY) for service in SERVICES}
    sent = Sent()

    async with steady_load(contractor, sent), all_connections(wired):
        await eventually(lambda: _turned_away(wired, contractor), SAID_SECONDS)
        for service, times in before.items():
            await eventually(partial(_said, wired, service, TOO_MANY, more_than=times), SAID_SECONDS)

    # What a sender had in hand is noted too late if its lease ran out meanwhile.
    await settled(wired, contractor, sent, mails_before, tmp_path, strikes=1)


async def test_a_full_disk_loses_nothing_and_with_room_again_everything_goes_on(
    wired: WiredStack, tmp_path: Path
) -> None:
    disk = wired.disk
    if disk is None:
        pytest.skip("Only root may mount a small disk for the database")
    contractor = await wired.contractor(f"full-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    before, sent = _times(wired, "postgres", NO_SPACE), Sent()
    told = {service: _times(wired, service, DISK_FULL) for service in SERVICES}

    def was_told() -> bool:
        return any(_said(wired, service, DISK_FULL, more_than=times) for service, times in told.items())

    async with steady_load(contractor, sent):
        with filled(disk):
            await eventually(partial(_said, wired, "postgres", NO_SPACE, more_than=before + REFUSALS), SAID_SECONDS)
            await eventually(was_told, SAID_SECONDS)

    await settled(wired, contractor, sent, mails_before, tmp_path, strikes=1)


async def test_a_database_that_is_restarted_under_load_loses_nothing(wired: WiredStack, tmp_path: Path) -> None:
    contractor = await wired.contractor(f"restarted-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    sent, restarts = Sent(), 3

    def has_come(count: int) -> bool:
        return len(sent.ends) >= count

    async with steady_load(contractor, sent):
        for _ in range(restarts):
            old, accepted = wired.part("postgres").pid, len(sent.ends)
            # As `pg_ctl restart` does: every session is told to go, what is there is written down.
            wired.kill("postgres", signal.SIGINT)
            await eventually(partial(wired.has_another, "postgres", old), SAID_SECONDS)
            await eventually(partial(has_come, accepted + BETWEEN), SAID_SECONDS)

    await settled(wired, contractor, sent, mails_before, tmp_path, strikes=restarts)
