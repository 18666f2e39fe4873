"""Records that nobody can take, one of each kind for every topic."""

import json
import re
from collections.abc import Iterable, Iterator

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from chassis.kafka import KafkaAccess
from schemas import publish, topics

Headers = list[tuple[str, bytes]]
Record = tuple[str, bytes | None, bytes | None, Headers]

#: Well-formed, and in UTC of the year 0: no clock here can show it.
NO_MOMENT = "0001-01-01T00:00:00+23:59"
NOT_JSON = "invalid::json_invalid"
NO_SUCH_TYPE = ("ce_type", b"akashi.NobodyTold.v9")


def examples() -> Iterator[tuple[topics.Topic, publish.Example]]:
    for _, example in publish.examples():
        yield example.topic, example


def headers_of(example: publish.Example) -> Headers:
    return [(name, value.encode()) for name, value in example.headers.items()]


def garbage_of_every_kind() -> Iterator[tuple[str, Record, str]]:
    """(kind, record, the reason it must be parked with), for the first event of every topic."""
    seen: set[str] = set()
    for topic, example in examples():
        if topic.name in seen:
            continue
        seen.add(topic.name)
        key, value, headers = example.key.encode(), json.dumps(example.value).encode(), headers_of(example)
        other_type = [header for header in headers if header[0] != "ce_type"]
        later_type = [
            ("ce_type", re.sub(r"\d+$", lambda version: str(int(version[0]) + 1), example.headers["ce_type"]).encode())
        ]
        yield "bad JSON", (topic.name, key, b'{"application_id": ', headers), NOT_JSON
        yield "a value that is not UTF-8", (topic.name, key, b'{"application_id": "\xff\xfe"}', headers), NOT_JSON
        yield (
            "a header that is not UTF-8",
            (topic.name, key, value, [*headers, ("x-odd", b"\xff\xfe")]),
            "header_is_not_utf8",
        )
        yield "wrong key", (topic.name, b"someone-else", value, headers), "key_does_not_match"
        yield "unknown type", (topic.name, key, value, [*other_type, NO_SUCH_TYPE]), "ce_type_is_unknown"
        yield "a later version", (topic.name, key, value, [*other_type, *later_type]), "ce_type_is_unknown"
        yield "oversized", (topic.name, key, b" " * 300_000, headers), "oversized"
        time_field = type(example.event()).time_field
        moment = json.dumps(example.value | {time_field: NO_MOMENT}).encode()
        yield "a moment before there was any", (topic.name, key, moment, headers), f"invalid:{time_field}:value_error"
        yield "no headers", (topic.name, key, value, []), "ce_specversion_is_not_1.0"
        if not topic.tombstones:
            yield "null value", (topic.name, key, None, headers), "value_is_null"


def readers_of(topic_name: str) -> tuple[str, ...]:
    return next(topic.readers for topic in topics.BUSINESS if topic.name == topic_name)


async def produce(kafka: KafkaAccess, records: Iterable[Record], *, noted: list[RecordMetadata] | None = None) -> None:
    """Put them onto their topics; where each lies is noted as soon as it is acknowledged, whatever comes of the rest."""
    noted = [] if noted is None else noted
    producer = AIOKafkaProducer(**kafka.options())
    try:
        await producer.start()
        for topic, key, value, headers in records:
            noted.append(await producer.send_and_wait(topic, value, key=key, headers=headers))
    finally:
        await producer.stop()
