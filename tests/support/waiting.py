"""How does a test wait for what happens elsewhere? On the condition itself, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(look: Callable[[], Any], timeout_seconds: float = 20, *, every_seconds: float = 0.02) -> Any:
    """What `look` finds as soon as it finds something; fails when it finds nothing (or False) for too long.

    A look that is itself work for the machine, as those through an engine of containers, is taken less often.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"it never came true: {look!r}"
        await asyncio.sleep(every_seconds)
