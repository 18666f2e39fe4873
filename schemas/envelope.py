"""How an event travels: CloudEvents 1.0, Kafka protocol binding, binary content mode.

The body is the event alone; everything about it is in `ce_` headers, with the extensions
`correlationid` (one per HTTP request, to the mail) and `causationid` (the event that led to this one),
and the W3C `traceparent`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from schemas.event import Event

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Cause:
    """What an event follows from: passed along unchanged from the HTTP request to the mail."""

    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Message:
    """An event ready for a topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(repr=False)


def headers_of(event: Event, *, source: str, topic: str, cause: Cause) -> Headers:
    """The CloudEvents headers of an event; `source` is the service's name."""
    named = {
        "ce_specversion": "1.0",
        "ce_id": str(event.event_id),
        "ce_type": event.type_name(),
        "ce_source": f"/akashi/{source}",
        "ce_subject": event.key,
        "ce_time": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_dataschema": f"urn:akashi:schema:{topic}:{type(event).__name__}",
        "ce_correlationid": cause.correlation_id,
        "ce_causationid": cause.causation_id,
        "traceparent": cause.traceparent,
        "content-type": "application/json; charset=utf-8",
    }
    return tuple((name, value.encode()) for name, value in named.items() if value is not None)


def message_of(event: Event, *, source: str, topic: str, cause: Cause) -> Message:
    return Message(
        topic=topic,
        key=event.key.encode(),
        value=event.model_dump_json().encode(),
        headers=headers_of(event, source=source, topic=topic, cause=cause),
    )


@dataclass(frozen=True)
class Attributes:
    """The CloudEvents attributes a reader needs."""

    id: UUID
    type: str
    time: datetime | None
    cause: Cause


class NotACloudEvent(ValueError):
    """The headers are not those of one of our CloudEvents; `code` says which rule they break."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_attributes(headers: Iterable[tuple[str, bytes | None]]) -> Attributes:
    """Read the headers of a record, whoever wrote it. Raises `NotACloudEvent`, never anything else."""
    try:
        named = {name: (value or b"").decode() for name, value in headers}
    except UnicodeDecodeError:
        raise NotACloudEvent("header_is_not_utf8") from None
    if named.get("ce_specversion") != "1.0":
        raise NotACloudEvent("ce_specversion_is_not_1.0")
    if not named.get("ce_type"):
        raise NotACloudEvent("ce_type_is_missing")
    try:
        event_id = UUID(named.get("ce_id", ""))
    except ValueError:
        raise NotACloudEvent("ce_id_is_not_a_uuid") from None
    try:
        time = datetime.fromisoformat(named["ce_time"]) if "ce_time" in named else None
    except ValueError:
        raise NotACloudEvent("ce_time_is_not_a_timestamp") from None
    cause = Cause(
        correlation_id=named.get("ce_correlationid") or str(event_id),
        causation_id=str(event_id),
        traceparent=named.get("traceparent"),
    )
    return Attributes(id=event_id, type=named["ce_type"], time=time, cause=cause)
