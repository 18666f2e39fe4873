"""How a test takes the last connection of a database server, and the last byte of its disk."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg

from tests.support.wired import WiredStack

END_OURS: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'akashi-%'"


@asynccontextmanager
async def all_connections(stack: WiredStack) -> AsyncIterator[None]:
    """Hold every connection that the server gives, those of the services included."""
    async with stack.superuser() as first:
        held: list[asyncpg.Connection[asyncpg.Record]] = []
        try:
            await _take_all(stack, held)
            # Whoever is quick gets one back.
            while await first.fetch(END_OURS):
                await _take_all(stack, held)
            yield
        finally:
            await asyncio.gather(*(connection.close() for connection in held), return_exceptions=True)


async def _take_all(stack: WiredStack, held: "list[asyncpg.Connection[asyncpg.Record]]") -> None:
    while True:
        try:
            held.append(await stack.connect_superuser())
        except asyncpg.TooManyConnectionsError:
            return


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a page is left on it."""
    with tempfile.NamedTemporaryFile(dir=disk, prefix="ballast-") as ballast:
        size = 0
        while free := shutil.disk_usage(disk).free:
            # Others take of it at the same time.
            with suppress(OSError):
                os.posix_fallocate(ballast.fileno(), size, free)
                size += free
        yield
