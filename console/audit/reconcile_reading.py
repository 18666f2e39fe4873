"""Four databases and the dead letters, read side by side at points that fit together."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from console import dead_letters
from console.audit import store
from console.audit.fold import Difference
from console.audit.reconcile import Facts, Judge, Row, dead_letter_waits, outbox_stands
from console.environment import Stack
from console.store import Connection, connect
from reference.reader import Reference
from schemas.topics import GROUPS

#: Effects before their causes: whatever is seen, what it follows from is seen too. Intake is both end and beginning, so
#: it is looked at twice. Each is a snapshot of its own, with what is read from it.
SNAPSHOTS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (
        "intake",
        {
            "answers": store.STREAM_ANSWERS,
            "copies": store.STREAM_COPIES,
            "arrivals": store.STREAM_ARRIVALS,
            "mails": store.STREAM_MAILS,
            "looks": store.STREAM_LOOKS,
        },
    ),
    ("notifier", {"deliveries": store.STREAM_DELIVERIES, "letters": store.STREAM_LETTERS}),
    ("registry", {"registered": store.STREAM_REGISTERED, "views": store.STREAM_VIEWS}),
    ("issuer", {"decisions": store.STREAM_DECISIONS, "issued": store.STREAM_ISSUED}),
    ("intake", {"applications": store.STREAM_APPLICATIONS}),
)


@dataclass(frozen=True)
class Reconciliation:
    """What one look found."""

    differences: tuple[Difference, ...]
    #: What was looked at, and what is under way: `applications`, `certificates`, `queued`, `unanswered`,
    #: `on_their_way`, `letters_put_off`, `outbox`.
    counts: Mapping[str, int]
    #: The moment of the first snapshot.
    at: datetime
    older_than_seconds: float
    seconds: float = field(default=0.0)

    @property
    def agree(self) -> bool:
        return not self.differences

    @property
    def by_kind(self) -> Counter[str]:
        return Counter(difference.kind for difference in self.differences)

    def as_json(self) -> dict[str, Any]:
        return {
            "agree": self.agree,
            **asdict(self),
            "differences": [difference._asdict() for difference in self.differences],
        }


async def reconcile(stack: Stack, reference: Reference, *, older_than_seconds: float) -> Reconciliation:
    """Compare what the four services hold. Reads only."""
    began = time.monotonic()
    told_sureties = frozenset(
        identity for identity, surety in reference.sureties.items() if surety.undeliverable_mail_to is not None
    )
    async with contextlib.AsyncExitStack() as opened:
        snapshots = [(await opened.enter_async_context(_snapshot(stack, service)), service) for service, _ in SNAPSHOTS]
        at: datetime = await snapshots[0][0].fetchval(store.SELECT_NOW)
        for connection, _ in snapshots[1:]:
            # A snapshot is of the moment of its first statement: one after the other, in this order.
            await connection.fetchval(store.SELECT_NOW)
        judge = Judge(at - timedelta(seconds=older_than_seconds), told_sureties, reference.version)
        streams = {
            name: store.stream(connection, statement)
            for (connection, _), (_, read) in zip(snapshots, SNAPSHOTS, strict=True)
            for name, statement in read.items()
        }
        differences = [found async for facts in by_application(streams) for found in judge.differences(facts)]
        for connection, service in snapshots[:-1]:
            row = await connection.fetchrow(store.SELECT_OUTBOX, judge.cutoff)
            assert row is not None
            judge.counts["outbox"] += row["waiting"]
            if row["old"]:
                differences.append(outbox_stands(service, waiting=row["waiting"], oldest=row["oldest"]))
    differences += await _waiting_dead_letters(stack, judge.cutoff)
    return Reconciliation(
        differences=tuple(differences),
        counts={name: judge.counts[name] for name in _COUNTS},
        at=at,
        older_than_seconds=older_than_seconds,
        seconds=time.monotonic() - began,
    )


_COUNTS: Final = (
    "applications",
    "certificates",
    "queued",
    "unanswered",
    "on_their_way",
    "letters_put_off",
    "outbox",
)


@contextlib.asynccontextmanager
async def _snapshot(stack: Stack, service: str) -> AsyncIterator[Connection]:
    """A connection on which everything read is of one moment: that of the first statement."""
    async with (
        # The snapshot must outlast the reading of the others.
        connect(stack, service, idle_in_transaction_timeout="0") as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def by_application(streams: Mapping[str, AsyncIterator[Row]]) -> AsyncIterator[Facts]:
    """Merge streams that are each in the order of `application_id`: one application after the other, nothing held."""
    heads = {name: row async for name, row in _first_of(streams)}
    while heads:
        application_id: UUID = min(row["application_id"] for row in heads.values())
        facts: dict[str, list[Row]] = {}
        for name in [name for name, row in heads.items() if row["application_id"] == application_id]:
            rows = facts.setdefault(name, [])
            row: Row | None = heads.pop(name)
            while row is not None and row["application_id"] == application_id:
                rows.append(row)
                row = await anext(streams[name], None)
            if row is not None:
                heads[name] = row
        yield Facts(application_id, facts)


async def _first_of(streams: Mapping[str, AsyncIterator[Row]]) -> AsyncIterator[tuple[str, Row]]:
    for name, rows in streams.items():
        first = await anext(rows, None)
        if first is not None:
            yield name, first


async def _waiting_dead_letters(stack: Stack, cutoff: datetime) -> list[Difference]:
    found = await asyncio.gather(*(dead_letters.letters_of(stack.kafka, group) for group in GROUPS))
    return [
        dead_letter_waits(letter.id, group=letter.group, reason=letter.reason, origin=letter.origin)
        for letters in found
        for letter in letters
        if letter.waiting and _parked_before(letter.parked_at, cutoff)
    ]


def _parked_before(parked_at: str, cutoff: datetime) -> bool:
    """Whether it was parked before then; what says no time is old."""
    try:
        return datetime.fromisoformat(parked_at) < cutoff
    except (ValueError, TypeError):
        return True
