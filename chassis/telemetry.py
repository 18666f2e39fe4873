"""How a service tells what it does: one JSON line per fact, with the correlation id of the request that began it."""

import logging
import secrets
import sys

import structlog
import uuid_utils.compat
from structlog.contextvars import bind_contextvars, get_contextvars

from schemas.envelope import Cause


def configure_logs(service: str, level: str) -> None:
    """JSON lines on standard output, for our own loggers and for libraries alike."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda _logger, _method, event: {"service": service, **event},
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aiokafka", "uvicorn.access", "faststream"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


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
