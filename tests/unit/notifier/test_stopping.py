"""A sender that is told to stop stops, whatever comes in the same moment."""

import asyncio
from typing import Any

import pytest

from services.notifier.sender import Bell
from services.notifier.smtp import Line, Server


class Slow:
    """A connection whose server takes its time to say goodbye; waits for it as aiosmtplib does."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.is_closed = False

    async def quit(self) -> None:
        await asyncio.wait_for(self.answered.wait(), 60)  # noqa: TID251 - that is what it does

    def close(self) -> None:
        self.is_closed = True


async def turn(times: int) -> None:
    """Let everybody else go on so many times."""
    for _ in range(times):
        await asyncio.sleep(0)


async def stopped(task: "asyncio.Task[Any]") -> bool:
    """Stop it; False when it has ended already."""
    if not task.cancel():
        return False
    with pytest.raises(asyncio.CancelledError):
        await task
    return True


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_that_comes_with_a_ring_stops(turns: int) -> None:
    bell = Bell(look_every_seconds=3600)
    ring = bell.next_ring
    await bell.calls(ring)
    waiting = asyncio.create_task(bell.calls(ring))
    await turn(5)

    bell.ring()
    await turn(turns)

    assert await stopped(waiting) or waiting.result()


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_that_comes_with_the_servers_goodbye_stops(turns: int) -> None:
    client = Slow()
    line = Line(Server("127.0.0.1", 1))
    line._client = client  # type: ignore[assignment]  # all that hanging up needs
    hanging_up = asyncio.create_task(line.hang_up())
    await turn(5)

    client.answered.set()
    await turn(turns)

    if not await stopped(hanging_up):
        hanging_up.result()
    assert client.is_closed
