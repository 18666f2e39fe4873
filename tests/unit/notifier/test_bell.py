"""Who looks for due letters, and when."""

import asyncio

import pytest

from services.notifier.sender import Bell


async def turn(times: int) -> None:
    """Let everybody else go on so many times."""
    for _ in range(times):
        await asyncio.sleep(0)


async def test_a_ring_calls_everyone() -> None:
    bell = Bell(look_every_seconds=3600)
    ring = bell.next_ring
    assert await bell.calls(ring), "nobody has looked yet"
    waiting = [asyncio.create_task(bell.calls(ring)) for _ in range(4)]

    bell.ring()

    assert await asyncio.gather(*waiting) == [True] * 4


async def test_while_nobody_rings_one_looks_for_all() -> None:
    bell = Bell(look_every_seconds=0.02)
    ring = bell.next_ring

    called = [await bell.calls(ring) for _ in range(6)]

    assert called == [True, False] * 3


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_that_comes_with_a_ring_stops(turns: int) -> None:
    bell = Bell(look_every_seconds=3600)
    ring = bell.next_ring
    await bell.calls(ring)
    waiting = asyncio.create_task(bell.calls(ring))
    await turn(5)

    bell.ring()
    await turn(turns)

    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert await waiting
