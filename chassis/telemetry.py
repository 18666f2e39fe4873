"""How a service tells what it does: one JSON line per fact, with the correlation id of the request that began it."""

import io
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
import uuid_utils.compat
from pydantic_core import PydanticSerializationError, to_json
from structlog.contextvars import bind_contextvars, get_contextvars

from schemas.envelope import Cause

_UNSEEN: Final = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def configure_logs(service: str, level: str) -> None:
    """JSON lines on standard output, for our own loggers and for libraries alike."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Half a surrogate pair, which UTF-8 has not, is written as JSON would escape it.
        sys.stdout.reconfigure(errors="backslashreplace")
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda _logger, _method, event: {"service": service, **event},
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(_as_line)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_as_line),
            ],
        )
    )
    handler.addFilter(SayOnce(every_seconds=10))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("httpx", "aiokafka", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _as_line(fields: Any, default: Callable[[Any], Any]) -> str:
    """One line of JSON, readable in Japanese. What breaks a line, moves a cursor or turns the writing is escaped.

    Below U+0020 JSON does so by itself; above, these characters can stand in its texts only.
    """
    try:
        text = to_json(fields, fallback=default).decode()
    except PydanticSerializationError:
        # Half a surrogate pair.
        text = json.dumps(fields, ensure_ascii=False, default=default)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class SayOnce(logging.Filter):
    """Lets a library say the same thing once in a while: clients of a broker that is away say it 30 times a second."""

    def __init__(self, *, every_seconds: float) -> None:
        super().__init__()
        self._every_seconds = every_seconds
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        # The template, not the text: ports and counters in it make no difference.
        what = (record.name, str(record.msg))
        if now - self._said.get(what, -self._every_seconds) < self._every_seconds:
            return False
        self._said[what] = now
        return True


def new_cause(correlation_id: str | None = None, traceparent: str | None = None) -> Cause:
    """The beginning of a chain of events: an HTTP request, or an operator's command."""
    return Cause(
        correlation_id=correlation_id or str(uuid_utils.compat.uuid7()),
        traceparent=traceparent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    )


def bind_cause(cause: Cause) -> None:
    bind_contextvars(correlation_id=cause.correlation_id, traceparent=cause.traceparent)


def current_cause() -> Cause:
    """The chain that the present request belongs to."""
    bound = get_contextvars()
    return Cause(correlation_id=bound["correlation_id"], traceparent=bound.get("traceparent"))
