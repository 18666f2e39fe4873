"""PostgreSQL without a connection to spare, and without a byte: what was accepted comes to its end, nothing comes twice."""

import uuid
from pathlib import Path
from typing import Final

import httpx
import pytest

from deploy.local.stack import SERVICES
from tests.fault.load import Sent, steady_load
from tests.fault.need import all_connections, filled
from tests.fault.settling import settled
from tests.support.running import Client, RunningStack, eventually
from tests.support.wired import WiredStack

NO_SPACE: Final = "No space left on device"
REFUSALS: Final = 5
SAID_SECONDS: Final = 60


def _said(stack: RunningStack, service: str, error: str) -> int:
    return (stack.state / "logs" / f"{service}.log").read_text(errors="replace").count(error)


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
    before = {service: _said(wired, service, "TooManyConnectionsError") for service in SERVICES}
    sent = Sent()

    async with steady_load(contractor, sent), all_connections(wired):
        await eventually(lambda: _turned_away(wired, contractor), SAID_SECONDS)
        for service, times in before.items():
            await eventually(
                lambda service=service, times=times: _said(wired, service, "TooManyConnectionsError") > times,
                SAID_SECONDS,
            )

    await settled(wired, contractor, sent, mails_before, tmp_path)


async def test_a_full_disk_loses_nothing_and_with_room_again_everything_goes_on(
    wired: WiredStack, tmp_path: Path
) -> None:
    disk = wired.disk
    if disk is None:
        pytest.skip("Only root may mount a small disk for the database")
    contractor = await wired.contractor(f"full-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    before, sent = _said(wired, "postgres", NO_SPACE), Sent()

    async with steady_load(contractor, sent):
        with filled(disk):
            await eventually(lambda: _said(wired, "postgres", NO_SPACE) >= before + REFUSALS, SAID_SECONDS)

    await settled(wired, contractor, sent, mails_before, tmp_path)
