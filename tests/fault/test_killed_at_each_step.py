"""kill -9 at each step of docs/the-flow.md, right before it is done and right after, when nobody was told yet.

A tripwire on the service's line to database, broker or mail server sees the moment; the product has no fail points.
"""

import asyncio
import itertools
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.fault.load import has_come_to_its_end, send
from tests.fault.settling import settled
from tests.support.lines import Side, Tripwire
from tests.support.running import Client, eventually
from tests.support.wired import WiredStack
from tests.support.wires import PostgresWire, SmtpWire

#: By default the nth step of every service is tried in one load; `AKASHI_FAULT_EACH_STEP=1` tries each by itself.
EACH: Final = bool(os.environ.get("AKASHI_FAULT_EACH_STEP"))
APPLICATIONS: Final = 15
FIRES_SECONDS: Final = 60


@dataclass(frozen=True)
class Step:
    """A moment of one service: its number in the flow, and what passes on which line."""

    service: str
    number: int
    what: str
    neighbour: str
    words: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.service}-{self.number}-{self.what}"


def _commit(service: str, number: int, what: str, *words: str) -> Step:
    return Step(service, number, what, "postgres", ("COMMIT", *words))


def _published(service: str, number: int) -> tuple[Step, Step]:
    """The two moments of a relay."""
    return (
        Step(service, number, "produce", "kafka", ("Produce",)),
        Step(service, number, "outbox", "postgres", ("DELETE FROM outbox",)),
    )


def _read(service: str, number: int) -> Step:
    return Step(service, number, "offsets", "kafka", ("OffsetCommit",))


STEPS: Final = {
    "intake": (
        _commit("intake", 1, "application", "INSERT INTO application"),
        *_published("intake", 2),
        _commit("intake", 9, "registration", "INSERT INTO registration"),
        _read("intake", 9),
    ),
    "issuer": (
        _commit("issuer", 4, "guarantee", "INSERT INTO guarantee"),
        *_published("issuer", 5),
        _read("issuer", 4),
    ),
    "registry": (
        _commit("registry", 6, "certificate", "INSERT INTO certificate"),
        *_published("registry", 7),
        _read("registry", 6),
        _commit("registry", 10, "view", "INSERT INTO view"),
        _commit("registry", 6, "checkpoint", "INSERT INTO checkpoint"),
    ),
    "notifier": (
        _commit("notifier", 8, "halves", "INSERT INTO letter"),
        _commit("notifier", 8, "claim", "attempts = letter.attempts + 1", PostgresWire.A_ROW),
        Step("notifier", 8, "letter", "smtp", (SmtpWire.LETTER,)),
        _commit("notifier", 8, "note", "UPDATE letter SET state = $4", PostgresWire.A_ROW),
        *_published("notifier", 8),
        _read("notifier", 8),
    ),
}


def _rounds() -> list[tuple[Step, ...]]:
    if EACH:
        return [(step,) for steps in STEPS.values() for step in steps]
    return [tuple(filter(None, steps)) for steps in itertools.zip_longest(*STEPS.values())]


def _lay(stack: WiredStack, step: Step, side: Side) -> Tripwire:
    return stack.line(step.service, step.neighbour).trip(*step.words, side=side, pull=lambda: stack.kill(step.service))


async def _look_up(stack: WiredStack, contractor: Client) -> None:
    """The purchaser opens a certificate, however often the registry dies meanwhile."""
    guarantees = await contractor.all_items("/api/guarantees")
    number = next(one["contract_number"] for one in guarantees if one["form"] == "electronic")
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    purchaser = await stack.purchaser("tochigi")
    seen = await purchaser.call(
        "POST", "/api/certificates/lookup", {"contract_number": number, "authentication_key": key}
    )
    assert seen.status_code == 200, seen.text


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("steps", _rounds(), ids=lambda steps: "+".join(map(str, steps)))
async def test_killed_at_this_step_nothing_is_lost_and_nothing_is_doubled(
    wired: WiredStack, steps: tuple[Step, ...], side: Side, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"step-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    tripwires = {step: _lay(wired, step, side) for step in steps}

    sent = await send(contractor, APPLICATIONS)

    if any(step.number == 10 for step in steps):
        await eventually(lambda: has_come_to_its_end(contractor, sent), FIRES_SECONDS)
        await _look_up(wired, contractor)
    for step, tripwire in tripwires.items():
        async with asyncio.timeout(FIRES_SECONDS):
            await tripwire.fired.wait()
    mails = await settled(wired, contractor, sent, mails_before, tmp_path)
    repeated = mails.total() - len(mails)
    if any(step.what == "letter" for step in steps) and side == "after":
        # The server has it, and nobody knows: the one step that may be done twice.
        assert repeated
    elif not any(step.service == "notifier" for step in steps):
        assert not repeated
