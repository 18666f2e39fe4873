"""How does a test wait for what happens elsewhere? On the condition itself, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

#: Of what it waited so far, until it looks again.
_SHARE: Final = 0.05
_OFTEN_SECONDS: Final = 0.02
_SELDOM_SECONDS: Final = 0.25


async def eventually(
    look: Callable[[], Any], timeout_seconds: float = 20, *, every_seconds: float | None = None
) -> Any:
    """What `look` finds as soon as it finds something; fails when it finds nothing (or False) for too long.

    The longer it takes, the less often it looks, if nobody says how often: a look is itself work for the machine that is
    waited for.
    """
    began = time.monotonic()
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        waited = time.monotonic() - began
        assert waited < timeout_seconds, f"it never came true: {look!r}"
        await asyncio.sleep(every_seconds or max(_OFTEN_SECONDS, min(waited * _SHARE, _SELDOM_SECONDS)))
