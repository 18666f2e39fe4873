"""How does the registry come anew from the event log, while purchasers go on looking things up?

1. One rebuild at a time. What a killed run left is dropped with the shadow's making.
2. A snapshot. What the topics tell, and what waits in its outbox, through the live code into a shadow; both compared.
3. Topics that contradict themselves, facts that have no place, a signed root that the shadow has not: refused.
4. What came meanwhile, again, until it is little. Up to here the registry was only read.
5. Nobody appends: what came since, and 3 again. Whoever reads goes on.
6. Whoever reads from before the last row was there ends.
7. The old tables out, the new ones in: one transaction with 5 and 6. What it can't have at once it tries again.
8. The old tables are dropped, unless one holds a row that no event tells.

Killed before 7 is committed, nothing has happened; after it, all.
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from chassis.clock import SystemClock
from chassis.lifecycle import settled
from console import migrations
from console.audit import rebuild_swap as swapping
from console.audit.fold import Difference
from console.audit.rebuild_feeding import CatchingUp
from console.audit.rebuild_swap import Busy
from console.audit.replay import COUNT_ROWS, Progress, Silent, chosen, now_and_size, snapshots
from console.audit.replay_checkpoints import public_keys_of
from console.audit.replay_compare import Beside, contradicted_since
from console.audit.replay_facts import TOPICS
from console.audit.shadow import LOCK, RUNS, Shadow, open_shadow
from console.environment import Stack
from console.kafka_reading import open_reader
from console.running import explain
from console.store import BUSY, Connection
from deploy.local.problem import Problem
from schemas.topics import MAX_EVENT_BYTES
from services.registry.log import store as log_store
from transparency.merkle import Frontier
from transparency.signatures import VerifierKey

#: A new table has no statistics, and the first look-ups shall not suffer of it.
ANALYZE: Final = "ANALYZE certificate, view, log_head, leaf, tile_node"
SELECT_ERASED: Final = """
SELECT old.index FROM public.leaf AS old JOIN "{shadow}".leaf AS new USING (index, kind, subject)
WHERE old.salt IS NULL AND new.salt IS NOT NULL
"""
ERASE: Final = "UPDATE leaf SET salt = NULL WHERE index = ANY($1::bigint[])"
COUNT_ROWS_NOW: Final = (
    "SELECT (SELECT count(*) FROM certificate) AS certificates, (SELECT count(*) FROM view) AS views"
)

#: When it is caught up enough; how many leaves may be fed while purchasers wait, and how long the topics may take then.
LITTLE: Final = 200
MANY: Final = 1000
READING_SECONDS: Final = 1.5
#: How often it is caught up before that, and how long a swap is tried.
ROUNDS: Final = 20
PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Rebuilt:
    """What one rebuild found and did."""

    #: Why there was no swap.
    refusals: tuple[Difference, ...]
    #: Between the rebuilt registry and the live one as it was at the snapshot.
    differences: tuple[Difference, ...]
    dry_run: bool
    certificates: int
    views: int
    size: int
    root: bytes
    #: Signed sizes whose root is the rebuilt log's.
    checkpoints: int
    unreadable: dict[str, int]
    #: Certificates on certificates.v1 that no event tells to be registered: on their way, parked, or lost with the
    #: outbox of a database that was.
    unregistered: int
    #: Leaves whose place and salt no event tells: taken from the registry's own table and checked.
    taken_over: int
    #: When it began.
    at: datetime
    swapped: bool = False
    #: Salts that were erased and stay so.
    erased: int = 0
    #: Accounts that views name and the registry no longer has: added, disabled and without a name.
    accounts: int = 0
    #: Certificates that were open in a browser by a look that no event tells.
    closed: int = 0
    #: Rows of the old tables that no event tells, and the schemas in which old tables stay.
    untold: int = 0
    kept: tuple[str, ...] = ()
    #: How long look-ups and registrations waited at most, and how often the swap was tried.
    waited_seconds: float = 0.0
    attempts: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        told = {name: [each._asdict() for each in getattr(self, name)] for name in ("refusals", "differences")}
        return {**asdict(self), "root": self.root.hex(), **told}


async def rebuild(
    stack: Stack, *, dry_run: bool = False, keep: bool = False, progress: Progress | None = None
) -> Rebuilt:
    """Rebuild the registry from the topics and its outbox, and swap it in unless it is refused. Topics are only read.

    Raises `Problem` where it can't be done: nothing was changed then, unless the answer to the very swap was lost.
    """
    try:
        await _check_version(stack)
        with settled():
            return await _rebuilt(stack, dry_run=dry_run, keep=keep, progress=progress or Silent())
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        raise problem from None


async def _rebuilt(stack: Stack, *, dry_run: bool, keep: bool, progress: Progress) -> Rebuilt:
    async with (
        open_shadow(stack) as shadow,
        snapshots(stack, "registry") as live,
        open_reader(stack.kafka, [topic.name for topic in TOPICS], fetch_bytes=MAX_EVENT_BYTES) as reader,
    ):
        await _check_place(shadow.admin, shadow.name)
        catching = CatchingUp(reader, shadow.connection, progress)
        keys = public_keys_of(stack)
        return await _Rebuild(catching, shadow, live, progress, keys, dry_run=dry_run, keep=keep).run()


async def _check_version(stack: Stack) -> None:
    if wrong := [one.file for one in await migrations.status(stack, "registry") if one.state != "applied"]:
        names = ", ".join(wrong)
        raise Problem(
            f"The registry's tables are not this version's ({names}): run `akashi migrate` of the same version."
        )


async def _check_place(admin: Connection, shadow: str) -> None:
    # Step 1
    if not await admin.fetchval(LOCK, RUNS, "rebuild"):
        raise Problem("Another rebuild is under way: wait for its end.")
    if views := await admin.fetch(swapping.SELECT_VIEWS, list(swapping.TABLES)):
        names = ", ".join(row["name"] for row in views)
        raise Problem(f"{names} would go on showing the old tables: drop it, and make it again afterwards.")
    if added := await admin.fetch(swapping.SELECT_ADDED, list(swapping.TABLES), shadow):
        names = ", ".join(row["name"] for row in added)
        raise Problem(f"Not by our migrations, and lost by a rebuild: {names}. Drop it, and make it again afterwards.")


class _Refused(Exception):
    def __init__(self, refusals: list[Difference]) -> None:
        super().__init__()
        self.refusals = refusals


@dataclass
class _Rebuild:
    catching: CatchingUp
    shadow: Shadow
    live: Connection
    progress: Progress
    keys: tuple[VerifierKey, ...]
    dry_run: bool
    keep: bool
    _at: datetime = field(default_factory=SystemClock().now)
    _compared: list[Difference] = field(default_factory=list)
    _checkpoints: int = 0
    _erased: set[int] = field(default_factory=set)
    _waited_seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    async def run(self) -> Rebuilt:
        await self.catching.begin()
        refusals = await self._first()
        # Step 3
        if refusals or self.dry_run:
            return await self._rebuilt(refusals)
        verified = await log_store.head(self.shadow.connection)
        await self.shadow.connection.execute(ANALYZE)
        self.progress.stage("catching up 追付", 0)
        # Step 4
        for _ in range(ROUNDS):
            if await self._catch_up() <= LITTLE:
                break
        return await self._swap(verified)

    async def _first(self) -> list[Difference]:
        # Step 2
        catching = self.catching
        async with self.live.transaction(isolation="repeatable_read", readonly=True):
            live_size: int = (await now_and_size(self.live))["size"]
            self.progress.stage("reading 読込", await catching.ahead())
            await catching.read(self.live, early=live_size)
            end, old, newer = await chosen(self.live, catching.facts, live_size)
            self.progress.stage("replaying 再生", catching.feeding.left() + len(old))
            await catching.feed(min(catching.reachable(), max([end, *(index + 1 for index in catching.old)])), old)
            return catching.refusals(held_only=True) or await self._compare(live_size, newer)

    async def _compare(self, live_size: int, newer: set[UUID]) -> list[Difference]:
        """Which signed roots the shadow contradicts."""
        beside = Beside(
            self.shadow.connection,
            self.live,
            self.catching.feeding.size,
            live_size,
            self.catching.reachable(),
            self.keys,
            is_newer=lambda subject: subject in newer,
            advance=self.progress.advance,
        )
        self.progress.stage("comparing 照合", int(await self.live.fetchval(COUNT_ROWS)))
        async with self.shadow.connection.transaction():
            self._compared = [difference async for difference in beside.differences()]
        self._checkpoints = beside.checkpoints
        return beside.contradicted

    async def _catch_up(self) -> int:
        await self.catching.read(self.live)
        return await self.catching.feed_all()

    async def _swap(self, verified: Frontier) -> Rebuilt:
        self.progress.stage("swapping 切替", 0)
        before = (swapping.KEPT if self.keep else swapping.BEFORE) + self.shadow.name.rpartition("_")[2]
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        attempts = 1
        while True:
            try:
                done = await self._attempt(before, verified)
                break
            except _Refused as refused:
                return await self._rebuilt(refused.refusals, attempts=attempts)
            except (Busy, *BUSY):
                if time.monotonic() > give_up_at:
                    raise Problem(
                        f"The registry's tables could not be had for {PATIENCE_SECONDS:.0f} s; nothing was changed: "
                        "wait for the end of what reads them (an audit, an export, a backup), then run it again."
                    ) from None
            # Whoever waited for us goes first.
            await asyncio.sleep(min(0.25 * attempts, 2))
            attempts += 1
            await self._catch_up()
        try:
            # Step 8
            untold, kept = await swapping.retire(self.shadow.admin)
            if self.keep:
                untold, kept = untold + (await swapping.count_untold(self.shadow.admin, before) or 0), [before, *kept]
            return await self._rebuilt([], swapped=True, attempts=attempts, untold=untold, kept=tuple(kept), **done)
        except Exception as error:
            if (why := explain(error)) is None:
                raise
            raise Problem(
                f"Swapped in; but what was before it could not be dropped: the next run does. {why}"
            ) from None

    async def _attempt(self, before: str, verified: Frontier) -> dict[str, Any]:
        admin, shadow, catching = self.shadow.admin, self.shadow.connection, self.catching
        async with admin.transaction():
            # Step 5
            deadline = await swapping.close_gates(admin)
            try:
                if migrated := await admin.fetch(swapping.SELECT_MIGRATED.format(shadow=self.shadow.name)):
                    raise Problem(f"{migrated[0]['name']} was applied meanwhile, and nothing changed: run it again.")
                async with swapping.busy_after(READING_SECONDS):
                    await catching.read(admin)
                if catching.reachable() - catching.feeding.size > MANY:
                    raise Busy
                # Cut off in the middle, it would not know what it fed.
                await catching.feed_all()
                async with swapping.busy_after(deadline.left):
                    erased = {row["index"] for row in await admin.fetch(SELECT_ERASED.format(shadow=self.shadow.name))}
                    await shadow.execute(ERASE, list(erased))
                    self._erased |= erased
                    signed, contradicted = await contradicted_since(shadow, admin, verified, self.keys)
                    if refusals := [*catching.refusals(), *contradicted]:
                        raise _Refused(refusals)
                    # Step 6
                    await swapping.wait_for_readers(admin, self.shadow.name)
                    # Step 7
                    accounts, closed = await swapping.move(admin, self.shadow.name, before)
            finally:
                self._waited_seconds = max(self._waited_seconds, deadline.passed)
        self._checkpoints += signed
        return {"accounts": accounts, "closed": closed}

    async def _rebuilt(self, refusals: list[Difference], **done: Any) -> Rebuilt:
        counts = await (self.shadow.admin if done.get("swapped") else self.shadow.connection).fetchrow(COUNT_ROWS_NOW)
        assert counts is not None, "it counts"
        return Rebuilt(
            refusals=tuple(refusals),
            differences=tuple(self._compared),
            dry_run=self.dry_run,
            **counts,
            size=self.catching.feeding.size,
            root=self.catching.root,
            checkpoints=self._checkpoints,
            erased=len(self._erased),
            waited_seconds=self._waited_seconds,
            unreadable=dict(self.catching.facts.unreadable),
            unregistered=self.catching.facts.unregistered,
            taken_over=self.catching.feeding.taken_over,
            at=self._at,
            seconds=time.monotonic() - self._began,
            **done,
        )
