"""How background work is watched: a task that ends by itself ends its process, and so does a part that hangs."""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import Collection, Coroutine, Iterator
from typing import Any, Final, NoReturn, Protocol

import structlog

log = structlog.get_logger()

#: EX_SOFTWARE: the supervisor should start the process again.
EXIT_BROKEN: Final = 70
#: How many things come between two looks for cycles.
_SELDOM: Final = (10_000, 10, 10)
WATCH_SECONDS: Final = 10.0


def settle() -> None:
    """To be called when a process is put together. What is there by then stays until it ends: the collector of cycles
    never looks at it again, and at what comes later less often. It took a quarter of a busy service's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SELDOM)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """As `settle`, for one long piece of work at a time, in a process that is not settled otherwise."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Progress:
    """When each part last moved. Liveness and `watch` ask this, and no neighbour: a broker's outage restarts nobody."""

    def __init__(self, name: str, *, stale_after_seconds: float) -> None:
        self.name = name
        self._stale_after_seconds = stale_after_seconds
        self._last: float | None = None

    def beat(self) -> None:
        self._last = time.monotonic()

    def rest(self) -> None:
        """Nothing in hand: silence is fine from here on."""
        self._last = None

    @property
    def is_stale(self) -> bool:
        return self._last is not None and time.monotonic() - self._last > self._stale_after_seconds


class Background:
    """The tasks that live as long as the process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    def start(self, name: str, work: Coroutine[Any, Any, Any], *, ends: bool = False) -> None:
        """Run `work` until `stop`. `ends` marks work that may finish; no work may fail."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(done, may_end=ends))

    async def stop(self) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: "asyncio.Task[Any]", *, may_end: bool) -> None:
        self._tasks.discard(task)
        if self._stopping:
            return
        error: BaseException | None
        try:
            error = task.exception()
        except asyncio.CancelledError as cancelled:
            # A library's own: nobody here cancels before `stop`.
            error = cancelled
        if error is None and may_end:
            return
        _end("background.ended", task=task.get_name(), error=type(error).__name__, exc_info=error)


class Part(Protocol):
    """Whatever must move as long as its process lives."""

    @property
    def name(self) -> str: ...

    @property
    def is_stale(self) -> bool: ...


async def watch(parts: Collection[Part], *, every_seconds: float = WATCH_SECONDS) -> None:
    """End the process when a part of it hangs: neither Compose nor a supervisor looks at its liveness."""
    stale: set[str] = set()
    while True:
        await asyncio.sleep(every_seconds)
        was_stale, stale = stale, {part.name for part in parts if part.is_stale}
        # Seen twice: in a process that was frozen, all parts move before the second look.
        if hanging := stale & was_stale:
            _end("background.hangs", parts=sorted(hanging))


def _end(event: str, **why: Any) -> NoReturn:
    """Half a service is worse than none: nobody would notice that mails stopped."""
    log.critical(event, **why)
    sys.stdout.flush()
    os._exit(EXIT_BROKEN)
