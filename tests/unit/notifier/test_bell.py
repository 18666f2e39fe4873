"""Who looks for due letters, and when."""

import asyncio

from services.notifier.sender import Bell


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
