"""How does a test wait for what happens elsewhere? On the condition itself, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(look: Callable[[], Any], timeout_seconds: float = 20) -> Any:
    """What `look` finds as soon as it finds something; fails when it finds nothing (or False) for too long."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"it never came true: {look!r}"
        await asyncio.sleep(0.02)
