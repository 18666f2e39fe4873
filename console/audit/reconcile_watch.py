"""Comparing again and again, with what was found as Prometheus gauges."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from console.audit.reconcile import KINDS
from console.audit.reconcile_reading import Reconciliation
from console.running import explain
from deploy.local.problem import Problem

Look = Callable[[], Awaitable[Reconciliation]]


class Gauges:
    """What an alarm looks at. Every kind has its series from the beginning, so that 0 is said and not left out."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._differences = Gauge(
            "akashi_reconcile_differences", "Where the services disagree", ["kind"], registry=self.registry
        )
        self._seconds = Gauge("akashi_reconcile_seconds", "How long the last look took", registry=self.registry)
        self._looked_at = Gauge(
            "akashi_reconcile_looked_timestamp_seconds", "When the last look ended", registry=self.registry
        )
        for kind in KINDS:
            self._differences.labels(kind).set(0)

    def show(self, found: Reconciliation) -> None:
        """Replace what was shown. A look that failed shows nothing: its time stands still."""
        for kind in KINDS:
            self._differences.labels(kind).set(found.by_kind[kind])
        self._seconds.set(found.seconds)
        self._looked_at.set(time.time())

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Answer at `/metrics` until the returned function is called. `Problem` where the port is taken."""
        try:
            server, thread = start_http_server(port, host, registry=self.registry)
        except OSError as error:
            raise Problem(
                f"{host}:{port} can't be used for metrics ({error.strerror}): give --metrics-host or --metrics-port "
                "another."
            ) from None

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(_STOP_SECONDS)

        return stop


_STOP_SECONDS: Final = 5.0


async def watch(
    look: Look,
    *,
    every_seconds: float,
    gauges: Gauges,
    tell: Callable[[Reconciliation], None],
    complain: Callable[[Problem], None],
) -> None:
    """Look for ever, until it is cancelled. What cannot be read is complained of and looked at again."""
    while True:
        began = time.monotonic()
        try:
            found = await look()
        except Exception as error:
            problem = explain(error)
            if problem is None:
                raise
            complain(problem)
        else:
            gauges.show(found)
            tell(found)
        await asyncio.sleep(max(0.0, every_seconds - (time.monotonic() - began)))
