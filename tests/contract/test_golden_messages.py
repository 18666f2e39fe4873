"""Does every message that was ever published still read as the event it was?"""

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types
from pydantic import ValidationError

from schemas import publish, topics
from schemas.certificates import CertificateIssued
from schemas.envelope import Cause, headers_of, message_of
from schemas.event import Event
from schemas.publish import Example

EXAMPLES = [pytest.param(example, id=f"{path.parent.name}/{path.stem}") for path, example in publish.examples()]
EVENTS = [event for topic in topics.BUSINESS for event in topic.events]


def cause_of(example: Example) -> Cause:
    return Cause(
        example.headers["ce_correlationid"], example.headers.get("ce_causationid"), example.headers.get("traceparent")
    )


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_golden_message(event: type[Event]) -> None:
    assert any(type(example.event()) is event for _, example in publish.examples())


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_reads_back_to_the_same_value(example: Example) -> None:
    # Fields added after it was published are left out.
    assert json.loads(example.event().model_dump_json(exclude_unset=True)) == example.value


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_key_and_headers_are_those_of_its_event(example: Example) -> None:
    event = example.event()

    message = message_of(event, source=example.topic.writer, topic=example.topic.name, cause=cause_of(example))

    assert message.topic == example.topic.name
    assert message.key == example.key.encode()
    assert {name: value.decode() for name, value in message.headers} == dict(example.headers)


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_attributes_lead_on_to_the_next_event(example: Example) -> None:
    attributes = example.attributes()

    assert attributes.id == example.event().event_id
    assert attributes.time == example.event().occurred_at
    assert attributes.cause == replace(cause_of(example), causation_id=example.headers["ce_id"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_is_valid_by_the_published_schema(example: Example) -> None:
    event = type(example.event())
    path = publish.ROOT / "published" / example.topic.name / f"{event.__name__}.json"
    schema = json.loads(path.read_text(encoding="utf-8"))

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example.value)
    assert schema["$id"] == example.headers["ce_dataschema"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_fields_of_a_newer_writer_are_ignored(example: Example) -> None:
    newer = replace(example, value={**_with_more(example.value), "added_later": {"whatever": [1]}})

    if not isinstance(newer.event(), CertificateIssued):
        assert newer.event() == example.event()


def test_a_certificate_keeps_the_fields_of_a_newer_issuer_so_that_its_hash_still_fits() -> None:
    issued = next(event for _, e in publish.examples() if isinstance(event := e.event(), CertificateIssued))
    document = issued.model_dump(mode="json")
    document["content"]["added_later"] = "なにか"
    newer = CertificateIssued.model_validate(document)

    assert "added_later" in newer.content.canonical().decode()
    assert newer.content.sha256() != issued.content_sha256


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_more(part) for name, part in value.items()} | {"added_later": "なにか"}
    return [_with_more(part) for part in value] if isinstance(value, list) else value


def test_a_certificate_still_has_the_hash_it_was_issued_with() -> None:
    issued = [event for _, example in publish.examples() if isinstance(event := example.event(), CertificateIssued)]

    assert issued
    assert [event.content.sha256() for event in issued] == [event.content_sha256 for event in issued]


@pytest.mark.parametrize("number", ["NaN", "1e400", "-Infinity"])
def test_a_certificate_with_a_number_that_json_has_not_is_refused(number: str) -> None:
    issued = next(event for _, e in publish.examples() if isinstance(event := e.event(), CertificateIssued))
    text = issued.model_dump_json().replace('"content":{', f'"content":{{"added_later":{number},', 1)

    with pytest.raises(ValidationError):
        CertificateIssued.model_validate_json(text)


def test_hard_names_travel_unchanged() -> None:
    text = "".join(json.dumps(example.value, ensure_ascii=False) for _, example in publish.examples())

    assert "髙﨑" in text
    assert "𠮷田" in text


def test_the_golden_messages_of_an_application_tell_one_story() -> None:
    by_id = {example.headers["ce_id"]: example for _, example in publish.examples()}
    caused = [example for example in by_id.values() if example.headers.get("ce_causationid") in by_id]

    assert len(caused) >= 7
    for example in caused:
        assert (
            example.headers["ce_correlationid"] == by_id[example.headers["ce_causationid"]].headers["ce_correlationid"]
        )
        assert example.headers["ce_time"] >= by_id[example.headers["ce_causationid"]].headers["ce_time"]


def test_headers_without_a_cause_leave_its_names_out() -> None:
    _, example = next(publish.examples())

    names = [
        name
        for name, _ in headers_of(
            example.event(), source=example.topic.writer, topic=example.topic.name, cause=Cause("request")
        )
    ]

    assert "ce_causationid" not in names
    assert "traceparent" not in names
