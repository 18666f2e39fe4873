"""A rebuild that is killed, at any statement: it has done nothing or all."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from console.audit.rebuild import rebuild
from console.environment import Stack
from deploy.local.state import CLONE
from tests.integration.console.conftest import environment_of
from tests.integration.console.rebuilding import checked, content
from tests.integration.console.world import World, open_world, stack_of_its_own

#: Rebuilds, and kills itself without a word before a statement: the n-th, the n-th of a swap (`+n`), its COMMIT, or the
#: one after that.
KILLED = """
import os, signal, sys
from asyncpg import Connection
from console.audit import rebuild_swap
from console.main import app

end, count, swapping, committed = sys.argv[1], 0, 0, 0

def counted(method):
    async def run(self, statement, *arguments, **named):
        global count, swapping, committed
        count += 1
        if statement == rebuild_swap.CLOSE_GATES:
            swapping = count
        commits = statement == "COMMIT;" and swapping and not committed
        begun = f"+{count - swapping}" if swapping and not committed else None
        if end in (str(count), begun) or (end == "commit" and commits) or (end == "committed" and committed):
            os.kill(os.getpid(), signal.SIGKILL)
        done = await method(self, statement, *arguments, **named)
        if commits:
            committed = count
        return done
    return run

for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_records_to_table"):
    setattr(Connection, name, counted(getattr(Connection, name)))
try:
    app(["audit", "rebuild"])
finally:
    print(swapping, committed)
"""


async def rebuild_in_a_process(stack: Stack, end: object = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(end)),
        cwd=CLONE,
        env={**os.environ, **environment_of(stack)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told, error = await process.communicate()
    return process.returncode or 0, told.decode(), error.decode()


@pytest.fixture(scope="module")
def ready() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


@pytest.fixture
async def world(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as opened:
        yield opened


async def test_killed_anywhere_it_has_done_nothing_or_all(world: World) -> None:
    issued = (await world.traffic(6))[3]
    whole = await content(world)
    damage = "UPDATE certificate SET purchaser_id = 'gunma' WHERE certificate_id = $1"
    await world.registry.execute(damage, issued.certificate_id)
    damaged = await content(world)
    code, told, error = await rebuild_in_a_process(world.stack)
    assert code == 0, error
    swapping, committed = (int(number) for number in told.split()[-2:])
    assert await content(world) == whole
    dice = random.Random(20261129)
    earlier = dice.sample(range(1, swapping), 2)
    # How often it must look who reads is not the same each time.
    between = [f"+{n}" for n in dice.sample(range(committed - swapping - 3), 5)]

    for end in (*earlier, *between, "commit", "committed"):
        await world.registry.execute(damage, issued.certificate_id)
        code, _, error = await rebuild_in_a_process(world.stack, end)
        assert code == -signal.SIGKILL, (end, error)
        assert await content(world) == (whole if end == "committed" else damaged), end

    await world.view(issued)
    done = await rebuild(world.stack)
    await checked(world, done)
    assert done.kept == ()
