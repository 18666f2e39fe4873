"""Gives every HTTP request the correlation id that its events, logs and mails will bear."""

import re
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import clear_contextvars

from chassis.metrics import HTTP_SECONDS
from chassis.telemetry import bind_cause, new_cause

log = structlog.get_logger()

CORRELATION_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: Asked every second by machines: counted, not logged.
QUIET = ("/health/", "/metrics")
#: Told apart when counted.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Correlation:
    """Takes `X-Correlation-ID` and `traceparent` from the caller when well-formed, else makes new ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        clear_contextvars()
        cause = new_cause(
            _if_matching(CORRELATION_ID, headers.get(b"x-correlation-id")),
            _if_matching(TRACEPARENT, headers.get(b"traceparent")),
        )
        bind_cause(cause)
        started = time.monotonic()
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-correlation-id", cause.correlation_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        finally:
            seconds = time.monotonic() - started
            # The route's template, never the path: a path may hold a contract number, and is unbounded as a label.
            route: Any = scope.get("route")
            path = getattr(route, "path", "unmatched")
            # Each label is kept for ever, and a client may make up as many methods as it likes.
            method = scope["method"] if scope["method"] in METHODS else "other"
            HTTP_SECONDS.labels(method, path, status).observe(seconds)
            if not scope["path"].startswith(QUIET):
                log.info("http.answered", method=scope["method"], route=path, status=status, seconds=round(seconds, 4))


def _if_matching(pattern: re.Pattern[bytes], value: bytes | None) -> str | None:
    return value.decode() if value is not None and pattern.fullmatch(value) else None
