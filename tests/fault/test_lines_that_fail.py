"""Networks that break, swallow and crawl, between each service and each of its neighbours, and whoever calls: nothing is
lost or doubled.
"""

import asyncio
import itertools
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.local.stack import SERVICES
from tests.fault.load import Sent, send
from tests.fault.people import people_of, steady_load
from tests.fault.settling import settled
from tests.support.kafka import members_of
from tests.support.lines import SIDES, Line, Side
from tests.support.running import Client, eventually
from tests.support.wired import CALLERS, WiredStack
from tests.support.wires import SmtpWire

#: What passes on a line while its service works.
WORK: Final = {
    "kafka": (("Produce",), ("Fetch",), ("OffsetCommit",)),
    "postgres": (("INSERT INTO",), ("COMMIT", "INSERT INTO")),
    "smtp": (("RCPT",), (SmtpWire.LETTER,)),
    "witness": (("POST",),),
    "intake": (("POST /api/applications ",), ("/messages",), ("/withdrawal",)),
    "issuer": (("/messages",), ("/accept",), ("/return",)),
    "registry": (("/lookup",),),
}
FIRES_SECONDS: Final = 60
#: A session of the group ends after 10 s, one of an idle relay after 15 s, with a transaction open after 10 s.
SESSIONS_END_SECONDS: Final = 40
#: Who calls waits 20 s, and then again; a registry 5 s for a witness.
GIVEN_UP_SECONDS: Final = 60
#: `make fault` waits until statements (60 s) and requests (40 s) were given up, too.
SWALLOWED_SECONDS: Final = float(os.environ.get("AKASHI_FAULT_SWALLOWED_SECONDS", "0"))
#: Of lines that crawl.
LATENCY_SECONDS: Final = 0.05
BYTES_PER_SECOND: Final = 200_000


@dataclass
class Case:
    """Whoever applies, and what came in meanwhile."""

    stack: WiredStack
    contractor: Client
    mails_before: Counter[str]
    folder: Path

    async def settled(self, sent: Sent, *, strikes: int = 0) -> None:
        await settled(self.stack, self.contractor, sent, self.mails_before, self.folder, strikes=strikes)


@pytest.fixture
async def case(wired: WiredStack, tmp_path: Path) -> Case:
    contractor = await wired.contractor(f"lines-{uuid.uuid4().hex[:8]}")
    return Case(wired, contractor, await wired.mails_by_message_id(), tmp_path)


@pytest.mark.parametrize("neighbour", WORK)
async def test_lines_that_are_cut_again_and_again_in_the_middle_of_work_lose_nothing(
    case: Case, neighbour: str
) -> None:
    sent, cuts = Sent(), list(itertools.product(WORK[neighbour], SIDES))

    async with steady_load(case.contractor, sent):
        for words, side in cuts:
            # All connections of a line, when this passes on one of them.
            tripwires = [line.trip(*words, side=side, pull=line.cut) for line in case.stack.lines_to(neighbour)]
            for tripwire in tripwires:
                await eventually(tripwire.fired.is_set, FIRES_SECONDS)

    # A mail server that took a letter and was cut off may get it again. Nobody else says anything twice.
    await case.settled(sent, strikes=len(cuts) if neighbour == "smtp" else 0)


async def _groups_let_go(stack: WiredStack) -> bool:
    return not any([await members_of(stack.console.kafka_administrator, service) for service in SERVICES])


async def _relays_let_go(stack: WiredStack) -> bool:
    async with stack.superuser() as connection:
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'"))


def _gave_up(line: tuple[str, str], in_flight: int, stack: WiredStack) -> bool:
    """Whether somebody asks again: more came than could have been about to."""
    return stack.line(*line).came_in_vain > in_flight


@pytest.mark.parametrize(
    ("neighbour", "side", "they_let_go", "within_seconds"),
    [
        ("kafka", "before", _groups_let_go, SESSIONS_END_SECONDS),
        ("postgres", "after", _relays_let_go, SESSIONS_END_SECONDS),
        ("witness", "before", partial(_gave_up, ("registry", "witness"), 0), GIVEN_UP_SECONDS),
        # Of a round of applications, five may not have been sent yet; and what people do.
        ("intake", "after", partial(_gave_up, (CALLERS, "intake"), 6), GIVEN_UP_SECONDS),
        ("issuer", "after", partial(_gave_up, (CALLERS, "issuer"), 0), GIVEN_UP_SECONDS),
        ("registry", "after", partial(_gave_up, (CALLERS, "registry"), 0), GIVEN_UP_SECONDS),
    ],
    ids=["kafka", "postgres", "witness", "intake", "issuer", "registry"],
)
async def test_a_line_that_swallows_everything_loses_nothing(
    case: Case, neighbour: str, side: Side, they_let_go: Callable[[WiredStack], Any], within_seconds: float
) -> None:
    sent = Sent()

    async with steady_load(case.contractor, sent):
        # With a transaction open, or a record sent and not acknowledged; those first that live on what others tell.
        for line in reversed(case.stack.lines_to(neighbour)):
            tripwire = line.trip(*WORK[neighbour][0], side=side, pull=line.swallow, then="goes on")
            await eventually(tripwire.fired.is_set, FIRES_SECONDS)
        began = time.monotonic()
        # Longer than the other end believes in who says nothing; what is held back arrives after that.
        await eventually(lambda: they_let_go(case.stack), within_seconds, every_seconds=0.5)
        await asyncio.sleep(max(0.0, began + SWALLOWED_SECONDS - time.monotonic()))
        case.stack.mend()

    # A sender that could not note what it sent loses its lease.
    await case.settled(sent, strikes=int(neighbour == "postgres"))


async def test_lines_that_crawl_lose_nothing(case: Case) -> None:
    lines: list[Line] = list(case.stack.lines.values())
    for line in lines:
        line.slow(latency_seconds=LATENCY_SECONDS, bytes_per_second=BYTES_PER_SECOND)
    before = [(line.pieces, line.bytes, line.seconds) for line in lines]

    sent = Sent()
    people = await people_of(case.contractor, sent)
    await asyncio.gather(send(case.contractor, 6, sent=sent), people.one_round())
    await case.settled(sent)

    for line, (pieces, size, seconds) in zip(lines, before, strict=True):
        crawled = (line.pieces - pieces) * LATENCY_SECONDS + (line.bytes - size) / BYTES_PER_SECOND
        assert line.bytes > size, f"nothing crawled from {line.service} to {line.neighbour}"
        # Some were on their way already.
        assert line.seconds - seconds > 0.9 * crawled, f"{line.service} to {line.neighbour} was no slower"
