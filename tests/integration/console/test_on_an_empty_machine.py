"""Everything is lost but an export: an equal registry comes of it, on a machine that never saw the other one.

`make proof` does it with 100,000 certificates, and prints how long each step takes.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from console.audit.export import export
from console.audit.export_progress import Silent
from console.audit.importing import import_
from console.audit.rebuild import rebuild
from console.audit.replay import Replayed, replay
from console.environment import Stack
from console.store import connect
from services.registry.log import store as log_store
from tests.integration.console.world import World, open_world, stack_of_its_own

CERTIFICATES: Final = int(os.environ.get("AKASHI_PROOF_CERTIFICATES", "4000"))
BATCH: Final = 1000
#: One in so many of a batch is looked at.
LOOKED_AT: Final = 10
VIEWS: Final = -(-CERTIFICATES // LOOKED_AT)
#: A replay at a tenth of what was measured on two cores.
SLOWEST_PER_SECOND: Final = 100

#: All that a row holds, of what the registry keeps of the event log.
DIGESTS: Final = """
SELECT (SELECT md5(string_agg(md5(t::text), '' ORDER BY certificate_id)) FROM certificate AS t) AS certificate,
    (SELECT md5(string_agg(md5(t::text), '' ORDER BY view_id)) FROM view AS t) AS view,
    (SELECT md5(string_agg(md5(t::text), '' ORDER BY index)) FROM leaf AS t) AS leaf,
    (SELECT md5(string_agg(md5(t::text), '' ORDER BY level, index)) FROM tile_node AS t) AS tile_node,
    (SELECT md5(t::text) FROM log_head AS t) AS log_head
"""


class Steps:
    """What each took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def done(self, what: str) -> None:
        now = time.monotonic()
        print(f"{what}: {now - self._began:.1f} s", flush=True)  # noqa: T201 - what was measured
        self._began = now


@asynccontextmanager
async def _machine() -> AsyncIterator[Stack]:
    with ExitStack() as opened:
        # Its commands have event loops of their own.
        yield await asyncio.to_thread(opened.enter_context, stack_of_its_own())


@pytest.mark.timeout(3000)
async def test_an_export_makes_an_equal_registry_on_an_empty_machine(tmp_path: Path) -> None:
    folder, steps = tmp_path / "export", Steps()
    async with _machine() as here, open_world(here) as world:
        await _fill(world)
        steps.done(f"\n{CERTIFICATES:,} certificates issued and registered, {VIEWS:,} looked at")
        replayed = await replay(here)
        _check(replayed)
        steps.done(f"replayed {replayed.facts:,} facts, fed at {replayed.facts / replayed.feeding_seconds:,.0f}/s")
        exported = await export(here, folder, Silent())
        assert exported.leaves == replayed.size
        steps.done(f"exported {exported.records:,} events and {exported.leaves:,} leaves")
        before = await _digests(here)
    async with _machine() as there:
        steps.done("everything destroyed, and an empty machine set up")
        imported = await import_(there.kafka_administrator, folder, [exported.key], Silent())
        assert (imported.records, imported.verified) == (exported.records, True)
        steps.done("verified and imported")
        rebuilt = await rebuild(there)
        assert rebuilt.swapped, rebuilt.refusals
        waited = f"look-ups would have waited {rebuilt.waited_seconds * 1000:.0f} ms"
        steps.done(f"rebuilt {rebuilt.certificates:,} certificates and {rebuilt.views:,} views; {waited}")
        assert await _digests(there) == before
        again = await replay(there)
        _check(again)
        assert (again.root, again.size) == (replayed.root, replayed.size)
        steps.done("replayed there")


async def _fill(world: World) -> None:
    for begin in range(0, CERTIFICATES, BATCH):
        issued = await world.issue(min(BATCH, CERTIFICATES - begin))
        await world.register(issued)
        for event in issued[::LOOKED_AT]:
            await world.view(event, published=False)
        await world.publish()
        await world.sign()


def _check(replayed: Replayed) -> None:
    assert replayed.differences == ()
    assert (replayed.certificates, replayed.views) == (CERTIFICATES, VIEWS)
    assert replayed.facts / replayed.feeding_seconds > SLOWEST_PER_SECOND


async def _digests(stack: Stack) -> dict[str, str]:
    async with connect(stack, "registry") as registry:
        assert (await log_store.head(registry)).size == CERTIFICATES * 2 + VIEWS
        return dict(await registry.fetchrow(DIGESTS) or {})
