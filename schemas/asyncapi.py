"""Every topic in AsyncAPI 3.0.0: who sends and receives what, with which headers and key. Derived from `topics.py`."""

from collections.abc import Iterable, Iterator, Sequence
from inspect import cleandoc
from typing import Any, Final

from schemas import topics
from schemas.event import Event
from schemas.topics import Topic

#: The version of the AsyncAPI binding, not of Kafka.
_KAFKA_BINDING: Final = {"bindingVersion": "0.5.0"}
_KEEP_FOR_EVER: Final = -1
#: Of a dead-letter or redrive topic, where order is not promised.
_PARTITIONS_OF_A_GROUP: Final = topics.OWN_TOPIC_PARTITIONS
#: Whoever runs `akashi dead-letters`.
_OPERATOR: Final = "operator"

Json = dict[str, Any]


def schema_file(event: type[Event], topic: Topic) -> str:
    """Where the event's JSON Schema lies, seen from the AsyncAPI document."""
    return f"{topic.name}/{event.__name__}.json"


def document(business: Sequence[Topic] = topics.BUSINESS) -> Json:
    """The whole document; its payloads are the JSON Schemas beside it."""
    groups = sorted({group for topic in business for group in topic.readers})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Akashi",
            "version": "1",
            "description": (
                "CloudEvents 1.0, Kafka protocol binding, binary content mode. A topic keeps its order per Kafka key. "
                "Delivery is at least once: the same `ce_id` is the same event. Within a version events only gain "
                "optional fields; readers ignore the fields they do not know."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Any broker of the cluster.",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "host:port"}},
            }
        },
        "channels": {
            **{topic.name: _business_channel(topic) for topic in business},
            **{topics.dead_letters(group): _dead_letters(group) for group in groups},
            **{topics.redrive(group): _redrive(group) for group in groups},
        },
        "operations": {
            name: operation
            for sender, channel, receivers in (
                *((topic.writer, topic.name, topic.readers) for topic in business),
                *((group, topics.dead_letters(group), ()) for group in groups),
                *((_OPERATOR, topics.dead_letters(group), ()) for group in groups),
                *((_OPERATOR, topics.redrive(group), (group,)) for group in groups),
            )
            for name, operation in _operations(sender, channel, receivers)
        },
        "components": {
            "messages": {
                **{event.type_name(): _event_message(event, topic) for topic in business for event in topic.events},
                **{f"{topic.name}.tombstone": _tombstone(topic) for topic in business if topic.tombstones},
                "parked": _parked_message(),
            },
            "schemas": {
                "traceparent": {
                    "type": "string",
                    "description": "W3C Trace Context.",
                    "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                }
            },
            "correlationIds": {
                "request": {
                    "location": "$message.header#/ce_correlationid",
                    "description": "One per HTTP request, passed along to the mail.",
                }
            },
        },
    }


def _business_channel(topic: Topic) -> Json:
    messages = {event.__name__: _reference("components", "messages", event.type_name()) for event in topic.events}
    told = f"Published by {topic.writer}. Key: {topic.key}."
    if topic.tombstones:
        messages["Tombstone"] = _reference("components", "messages", f"{topic.name}.tombstone")
        told += " A null value under a known key: forget it."
    policy = "compact" if topic.compacted else "delete"
    return _channel(topic.name, told, messages, _binding(topic.partitions, policy, topic.max_message_bytes))


def _dead_letters(group: str) -> Json:
    told = (
        f"Records that {group} can never take, byte for byte, with the reason. Key: the record's own. "
        "With `akashi_settled_by`: an operator's note that the one of the same `akashi_id` is done with."
    )
    return _own_channel(topics.dead_letters(group), told)


def _redrive(group: str) -> Json:
    told = f"Parked records given back to {group}, and to no other reader. Key: the record's own."
    return _own_channel(topics.redrive(group), told)


def _own_channel(name: str, told: str) -> Json:
    messages = {"Parked": _reference("components", "messages", "parked")}
    return _channel(name, told, messages, _binding(_PARTITIONS_OF_A_GROUP, "delete", topics.MAX_DEAD_LETTER_BYTES))


def _binding(partitions: int, policy: str, max_message_bytes: int) -> Json:
    configuration = {
        "cleanup.policy": [policy],
        "retention.ms": _KEEP_FOR_EVER,
        "max.message.bytes": max_message_bytes,
    }
    return {"kafka": {"partitions": partitions, "topicConfiguration": configuration, **_KAFKA_BINDING}}


def _channel(name: str, told: str, messages: Json, bindings: Json) -> Json:
    return {
        "address": name,
        "description": told,
        "servers": [_reference("servers", "kafka")],
        "messages": messages,
        "bindings": bindings,
    }


def _operations(sender: str, channel: str, receivers: Iterable[str]) -> Iterator[tuple[str, Json]]:
    yield f"{sender}.sends.{channel}", {"action": "send", "channel": _reference("channels", channel)}
    for group in receivers:
        yield (
            f"{group}.receives.{channel}",
            {
                "action": "receive",
                "channel": _reference("channels", channel),
                "bindings": {"kafka": {"groupId": {"type": "string", "enum": [group]}, **_KAFKA_BINDING}},
            },
        )


def _event_message(event: type[Event], topic: Topic) -> Json:
    key = event.model_json_schema()["properties"][event.key_field]
    return {
        "name": event.type_name(),
        "title": event.__name__,
        "summary": cleandoc(event.__doc__ or "").split("\n\n")[0],
        "headers": _cloud_event_headers(event, topic),
        "correlationId": _reference("components", "correlationIds", "request"),
        "payload": {"$ref": f"./{schema_file(event, topic)}"},
        "bindings": {
            "kafka": {
                "key": {
                    **{keyword: value for keyword, value in key.items() if keyword != "title"},
                    "description": f"The {topic.key}, as in `{event.key_field}` and `ce_subject`.",
                },
                **_KAFKA_BINDING,
            }
        },
    }


def _cloud_event_headers(event: type[Event], topic: Topic) -> Json:
    properties: Json = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid", "description": "Derived from the event: a repeat has the same."},
        "ce_type": {"const": event.type_name()},
        "ce_source": {"const": f"/akashi/{topic.writer}"},
        "ce_subject": {"description": f"The {topic.key}, as in the Kafka key."},
        "ce_time": {"format": "date-time", "description": f"As in `{event.time_field}`, in UTC."},
        "ce_dataschema": {"const": f"urn:akashi:schema:{topic.name}:{event.__name__}"},
        "ce_correlationid": {"description": "One per HTTP request, passed along to the mail."},
        "ce_causationid": {"description": "`ce_id` of the event that led to this one."},
        "content-type": {"const": "application/json; charset=utf-8"},
    }
    optional = {"ce_causationid"}
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": {
            **{name: {"type": "string", **schema} for name, schema in properties.items()},
            "traceparent": _reference("components", "schemas", "traceparent"),
        },
    }


def _tombstone(topic: Topic) -> Json:
    return {
        "name": f"{topic.name}.tombstone",
        "title": "Tombstone",
        "summary": f"Forget what is kept under this {topic.key}.",
        "payload": {"type": "null"},
    }


def _parked_message() -> Json:
    properties = {
        "akashi_id": {"type": "string", "format": "uuid", "description": "Of this parking: a repeat has the same."},
        "akashi_reason": {"type": "string", "description": "A code; never text of the record."},
        "akashi_origin_topic": {"type": "string", "description": "The business topic the record was read from."},
        "akashi_origin_partition": {"type": "string", "pattern": r"^\d+$"},
        "akashi_origin_offset": {"type": "string", "pattern": r"^\d+$"},
        "akashi_attempts": {"type": "string", "pattern": r"^\d+$", "description": "How often it was parked."},
        "akashi_parked_at": {"type": "string", "format": "date-time"},
    }
    return {
        "name": "parked",
        "title": "A record as it was read, with the reason why it could not be taken",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": "The headers of the record, and these.",
            "required": list(properties),
            "properties": properties,
        },
    }


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
