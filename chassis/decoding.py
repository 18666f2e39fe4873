"""How a Kafka record becomes an event, or the reason why it never can."""

from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from schemas import topics
from schemas.envelope import Attributes, Cause, NotACloudEvent, read_attributes
from schemas.event import Event

E_co = TypeVar("E_co", bound=Event, covariant=True)

#: A redriven record says here which business topic it was first read from.
ORIGIN_TOPIC: Final = "akashi_origin_topic"


class Refused(Exception):
    """The record can never be taken. `reason` is a code, safe to show: never text of the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Unreadable(ConsumerRecord):  # type: ignore[misc] # aiokafka has no types
    """Stands for a record that the client cannot read: nothing is known but where it lies."""

    @classmethod
    def at(cls, topic: str, partition: int, offset: int) -> Self:
        return cls(topic, partition, offset, 0, 0, None, None, None, 0, 0, ())


@dataclass(frozen=True)
class Received(Generic[E_co]):
    """An event with the chain it belongs to."""

    event: E_co
    cause: Cause
    record: ConsumerRecord


@dataclass(frozen=True)
class Forgotten:
    """A tombstone: the reader forgets what it keeps under `key`."""

    topic: topics.Topic
    key: str
    record: ConsumerRecord


def business_topic(record: ConsumerRecord, group: str) -> topics.Topic:
    """The topic whose contract the record must keep. Raises `Refused` for a redriven record of unknown origin, and for
    one of which nothing is known.
    """
    if isinstance(record, Unreadable):
        raise Refused("cannot_be_read")
    name = record.topic
    if name == topics.redrive(group):
        name = (dict(record.headers).get(ORIGIN_TOPIC) or b"").decode("ascii", "replace")
    for topic in topics.read_by(group):
        if topic.name == name:
            return topic
    raise Refused("topic_is_unknown")


def decode(record: ConsumerRecord, group: str) -> Received[Event] | Forgotten:
    """Read one record by its topic's contract. Raises `Refused`, never anything else, whatever the bytes are."""
    topic = business_topic(record, group)
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        raise Refused("key_is_not_utf8") from None
    if record.value is None:
        if topic.tombstones and key:
            return Forgotten(topic, key, record)
        raise Refused("value_is_null")
    if len(record.value) > topics.MAX_EVENT_BYTES:
        raise Refused("oversized")
    try:
        attributes: Attributes = read_attributes(record.headers)
    except NotACloudEvent as error:
        raise Refused(error.code) from None
    kind = topic.event_of(attributes.type)
    if kind is None:
        raise Refused("ce_type_is_unknown")
    try:
        event = kind.model_validate_json(record.value, strict=True)
    except ValidationError as error:
        raise Refused(_reason(error)) from None
    if event.key != key:
        raise Refused("key_does_not_match")
    if event.event_id != attributes.id:
        raise Refused("ce_id_does_not_match")
    return Received(event, attributes.cause, record)


def _reason(error: ValidationError) -> str:
    """The first fault as `invalid:<field>:<kind>`. Field names are ours; a name we do not know is not repeated."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"invalid:{'.'.join(str(part) for part in first['loc'])}:{first['type']}"
