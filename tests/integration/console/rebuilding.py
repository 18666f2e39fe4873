"""What a registry holds before it is rebuilt, and what must be so afterwards."""

from typing import Any

from console.audit.rebuild import Rebuilt
from tests.integration.console.world import World, schemas_left

TABLES = "certificate, view, leaf, tile_node, log_head"


async def content(world: World) -> list[Any]:
    """All that is rebuilt, row by row."""
    found = []
    for table in TABLES.split(", "):
        found += [tuple(row) for row in await world.registry.fetch(f"SELECT * FROM {table} AS t ORDER BY t::text")]
    return found


async def checked(world: World, done: Rebuilt) -> None:
    """It is the registry that the topics tell, and nothing was left behind."""
    assert done.refusals == ()
    assert done.swapped
    found = await world.replay()
    assert found.differences == ()
    assert (found.size, found.root) == (done.size, done.root)
    assert await schemas_left(world.stack) == list(done.kept)
