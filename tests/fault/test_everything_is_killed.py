"""kill -9 for every part while applications come in: nothing is lost, nothing is doubled."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.fault.load import send
from tests.fault.settling import settled
from tests.support.kafka import members_of
from tests.support.running import RunningStack, eventually, log_lines

#: `AKASHI_FAULT_APPLICATIONS=2000` for a long run.
APPLICATIONS = int(os.environ.get("AKASHI_FAULT_APPLICATIONS", "240"))
#: A session of a group ends after 10 s.
GIVEN_UP_SECONDS = 40


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "victims",
    [("intake", "issuer", "registry"), ("kafka", "postgres"), ("notifier",)],
    ids="+".join,
)
async def test_kill_9_loses_nothing_and_doubles_nothing(
    stack: RunningStack, victims: tuple[str, ...], tmp_path: Path
) -> None:
    if "postgres" in victims and stack.outside:
        pytest.skip("testcontainers' database is not restarted here; the local one is")
    contractor = await stack.contractor(f"killed-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    # Each victim twice, evenly over the run.
    plan = {APPLICATIONS * (n + 1) // (2 * len(victims) + 1): victim for n, victim in enumerate(victims * 2)}

    async def kill_on_plan(answered: int) -> None:
        if victim := plan.pop(answered, None):
            stack.kill(victim)

    sent = await send(contractor, APPLICATIONS, after_each=kill_on_plan)

    assert not plan, "every kill happened"
    # Step 8: a letter may go twice only where the notifier died between SMTP and its own note.
    await settled(stack, contractor, sent, mails_before, tmp_path, strikes=2 * victims.count("notifier"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("frozen", ["issuer", "registry", "notifier"])
async def test_a_frozen_process_that_thaws_doubles_nothing(stack: RunningStack, frozen: str, tmp_path: Path) -> None:
    contractor = await stack.contractor(f"frozen-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()

    members = await members_of(stack.console.kafka_administrator, frozen)
    assert members

    async def freeze(answered: int) -> None:
        if answered == 20:
            stack.kill(frozen, signal.SIGSTOP)

    async def is_given_up() -> bool:
        return not members & await members_of(stack.console.kafka_administrator, frozen)

    try:
        sent = await send(contractor, 60, after_each=freeze)
        # Its session ends: what it had in hand is anybody's.
        await eventually(is_given_up, GIVEN_UP_SECONDS)
    finally:
        stack.kill(frozen, signal.SIGCONT)
    sent.add(await send(contractor, 20))

    await settled(stack, contractor, sent, mails_before, tmp_path, strikes=int(frozen == "notifier"))


async def test_a_service_drains_on_sigterm_and_ends_with_0(stack: RunningStack, tmp_path: Path) -> None:
    contractor = await stack.contractor(f"drained-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()

    async def stop_politely(answered: int) -> None:
        if answered == 20:
            for service in ("intake", "issuer", "registry", "notifier"):
                stack.kill(service, signal.SIGTERM)

    sent = await send(contractor, 40, after_each=stop_politely)

    # A drained notifier repeats no mail.
    await settled(stack, contractor, sent, mails_before, tmp_path)
    for service in ("intake", "issuer", "registry", "notifier"):
        assert any(line["event"] == "service.down" for line in log_lines(stack, service))
