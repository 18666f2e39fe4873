"""Kafka without a byte of its disk left: nothing that was acknowledged is lost, and with room again everything goes on."""

import uuid
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from deploy.local.stack import SERVICES
from deploy.local.status import Stage
from tests.fault.load import Sent
from tests.fault.need import filled
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support.running import eventually
from tests.support.wired import WiredStack

NO_SPACE: Final = "No space left on device"
STOPS_SECONDS: Final = 90
SAID_SECONDS: Final = 60
#: It reads its logs again, and waits between starts that failed.
BACK_SECONDS: Final = 120


@pytest.fixture
def stack(frail: WiredStack) -> WiredStack:
    if frail.broker_disk is None:
        pytest.skip("Only root may mount a small disk for the broker")
    return frail


async def _misses_kafka(stack: WiredStack, service: str) -> bool:
    async with stack.http(service) as client:
        answer = await client.get("/health/ready")
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "kafka" in answer.json()["missing"]


@pytest.mark.timeout(480)
async def test_a_broker_with_a_full_disk_loses_nothing_and_with_room_again_everything_goes_on(
    stack: WiredStack, tmp_path: Path
) -> None:
    assert stack.broker_disk is not None
    contractor = await stack.contractor(f"full-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    sent, pid = Sent(), stack.part("kafka").pid

    def times_said() -> int:
        return (stack.state / "logs" / "kafka.log").read_text(errors="replace").count(NO_SPACE)

    said_before = times_said()

    def serves() -> bool:
        return stack.part("kafka").stage is Stage.READY

    async with steady_load(contractor, sent):
        await eventually(lambda: sent.ends, SAID_SECONDS)
        with filled(stack.broker_disk):
            # It acknowledges nothing that it cannot write, and halts.
            await eventually(lambda: times_said() > said_before and stack.part("kafka").pid != pid, STOPS_SECONDS)
            for service in SERVICES:
                await eventually(partial(_misses_kafka, stack, service), SAID_SECONDS)
            taken = len(sent.ends)
            await eventually(lambda: len(sent.ends) > taken, SAID_SECONDS)
        await eventually(serves, BACK_SECONDS)

    await settled(stack, contractor, sent, mails_before, tmp_path)
