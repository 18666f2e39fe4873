"""A record becomes an event or a reason; never anything else, and never a reason with the record's text in it."""

import json
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.consumer import sort_out
from chassis.decoding import ORIGIN_TOPIC, Forgotten, Received, Refused, decode
from schemas import topics
from tests.support.builders import (
    a_raw_record,
    a_record,
    a_tombstone,
    a_wrapped_data_key,
    an_application,
)

SECRET = "秘密のことば"


def reason_for(record, group="issuer"):
    with pytest.raises(Refused) as refused:
        decode(record, group)
    return refused.value.reason


def read(record):
    received = decode(record, "issuer")
    assert isinstance(received, Received)
    return received.event


def outcome_of(record):
    """What became of a record: what was read, or the reason why it never can be."""
    try:
        return decode(record, "issuer")
    except Refused as refused:
        return refused.reason if refused.reason.isascii() else None


def a_header_replaced(event, name, value):
    headers = dict(a_record(event).headers) | {name: value}
    return a_record(event, headers=tuple(headers.items()))


def a_body(event, **changes):
    return json.dumps(event.model_dump(mode="json") | changes).encode()


def nested(depth):
    return b'{"application_id": ' + b"[" * depth + b"]" * depth + b"}"


def test_what_we_publish_is_read_back_with_its_cause():
    event = an_application()

    received = decode(a_record(event), "issuer")

    assert isinstance(received, Received)
    assert received.event == event
    assert received.cause.correlation_id == "test-correlation"
    assert received.cause.causation_id == str(event.event_id)


def test_what_is_as_large_as_it_may_be_is_read():
    event = an_application()

    assert read(a_record(event, value=a_body(event).ljust(topics.MAX_EVENT_BYTES))) == event


def test_a_field_that_a_newer_writer_added_is_passed_over():
    event = an_application()

    assert read(a_record(event, value=a_body(event, from_the_future=SECRET))) == event


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "value_is_null"),
        (b"", "invalid::json_invalid"),
        (b"{", "invalid::json_invalid"),
        (f"{SECRET}".encode(), "invalid::json_invalid"),
        (b"\xff\xfe", "invalid::json_invalid"),
        (b"[]", "invalid::model_type"),
        (b"null", "invalid::model_type"),
        (b"NaN", "invalid::model_type"),
        (b"{}", "invalid:application_id:missing"),
        (b" " * (topics.MAX_EVENT_BYTES + 1), "oversized"),
        (nested(100), "invalid:application_id:uuid_type"),
        (nested(100_000), "invalid::json_invalid"),
    ],
    ids=[
        "null",
        "empty",
        "cut",
        "text",
        "no UTF-8",
        "list",
        "JSON null",
        "NaN",
        "empty object",
        "large",
        "deep",
        "deeper",
    ],
)
def test_a_value_that_is_no_event_is_refused(value, reason):
    assert reason_for(a_record(an_application(), value=value)) == reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("completion_mail_wanted", "yes", "invalid:completion_mail_wanted:bool_type"),
        ("submitted_at", "2026-11-20T12:00:00", "invalid:submitted_at:timezone_aware"),
        ("products", SECRET, "invalid:products:tuple_type"),
        ("surety_id", "", "invalid:surety_id:string_too_short"),
    ],
)
def test_a_field_of_another_kind_is_refused(field, value, reason):
    event = an_application()

    assert reason_for(a_record(event, value=a_body(event, **{field: value}))) == reason


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1", '"1"', "1.5", "9" * 30])
def test_an_amount_that_is_no_whole_number_of_yen_is_refused(number):
    event = an_application(works__price_yen=123_454_321)
    value = event.model_dump_json().replace("123454321", number).encode()

    assert reason_for(a_record(event, value=value)).startswith("invalid:works.price_yen:")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ce_specversion", b"0.3", "ce_specversion_is_not_1.0"),
        ("ce_type", b"", "ce_type_is_missing"),
        ("ce_type", b"akashi.ApplicationSubmitted.v2", "ce_type_is_unknown"),
        ("ce_type", b"akashi.CertificateIssued.v1", "ce_type_is_unknown"),
        ("ce_id", b"not-a-uuid", "ce_id_is_not_a_uuid"),
        ("ce_id", b"5f2c0a8e-7d1b-4c55-9a3e-1d0f6b2e9c47", "ce_id_does_not_match"),
        ("ce_time", b"yesterday", "ce_time_is_not_a_timestamp"),
        ("ce_source", b"\xff", "header_is_not_utf8"),
        ("anything", b"\xff", "header_is_not_utf8"),
        ("ce_type", None, "ce_type_is_missing"),
    ],
)
def test_headers_that_are_not_ours_are_refused(name, value, reason):
    assert reason_for(a_header_replaced(an_application(), name, value)) == reason


def test_a_record_without_headers_is_refused():
    assert reason_for(a_record(an_application(), headers=())) == "ce_specversion_is_not_1.0"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "key_does_not_match"),
        (b"", "key_does_not_match"),
        (b"5f2c0a8e-7d1b-4c55-9a3e-1d0f6b2e9c47", "key_does_not_match"),
        (b"\xff", "key_is_not_utf8"),
    ],
)
def test_a_record_under_another_key_is_refused(key, reason):
    assert reason_for(a_record(an_application(), key=key)) == reason


def test_a_topic_that_the_group_does_not_read_is_refused():
    assert reason_for(a_record(an_application(), topic="views.v1")) == "topic_is_unknown"


def test_an_event_on_a_topic_of_others_is_refused():
    assert reason_for(a_record(an_application(), topic="data-keys.v1")) == "ce_type_is_unknown"


def test_a_null_value_forgets_where_the_topic_has_tombstones():
    application_id = uuid.uuid4()

    forgotten = decode(a_tombstone(application_id), "issuer")

    assert isinstance(forgotten, Forgotten)
    assert forgotten.key == str(application_id)


def test_a_tombstone_without_a_key_is_refused():
    assert reason_for(a_raw_record(topic="data-keys.v1", key=None, value=None)) == "value_is_null"


def test_a_redriven_record_keeps_the_contract_of_the_topic_it_came_from():
    event = a_wrapped_data_key(uuid.uuid4())
    record = a_record(event)
    redriven = a_record(event, topic="issuer.redrive.v1", headers=(*record.headers, (ORIGIN_TOPIC, b"data-keys.v1")))

    assert read(redriven) == event


@pytest.mark.parametrize(
    "origin", [(), ((ORIGIN_TOPIC, None),), ((ORIGIN_TOPIC, b"\xff"),), ((ORIGIN_TOPIC, b"views.v1"),)]
)
def test_a_redriven_record_of_unknown_origin_is_refused(origin):
    event = an_application()
    redriven = a_record(event, topic="issuer.redrive.v1", headers=(*a_record(event).headers, *origin))

    assert reason_for(redriven) == "topic_is_unknown"


ANY_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_type", "ce_id", "ce_time", ORIGIN_TOPIC, "traceparent", "x"]),
        st.none()
        | st.binary(max_size=40)
        | st.sampled_from([b"1.0", b"akashi.ApplicationSubmitted.v1", b"data-keys.v1"]),
    ),
    max_size=6,
)


@given(
    st.sampled_from([*(topic.name for topic in topics.BUSINESS), "issuer.redrive.v1", "elsewhere"]),
    st.none() | st.binary(max_size=60),
    st.none() | st.binary(max_size=300),
    ANY_HEADERS,
)
def test_random_bytes_are_refused_or_forgotten_and_nothing_else(topic, key, value, headers):
    record = a_raw_record(topic=topic, key=key, value=value, headers=tuple(headers))
    assert isinstance(outcome_of(record), Forgotten | str)


@given(st.binary(max_size=200) | st.text().map(lambda text: json.dumps(text).encode()) | st.just(nested(2000)))
def test_a_broken_body_under_right_headers_is_refused_and_nothing_else(value):
    with pytest.raises(Refused):
        decode(a_record(an_application(), value=value), "issuer")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(an_application().model_dump())), ANY_JSON)
@example("contact", {"ciphertext": "\ud800"})
def test_no_value_of_a_field_raises_anything_but_refused(field, value):
    event = an_application()
    assert isinstance(outcome_of(a_record(event, value=a_body(event, **{field: value}))), Received | str)


@given(
    st.text("密秘暗証", min_size=3, max_size=10),
    st.sampled_from(["application_id", "surety_id", "works", "products", "contact", "submitted_at"]),
)
def test_a_reason_never_contains_what_was_sent(secret, field):
    event = an_application()
    value = a_body(event, **{field: {secret: secret}})
    header = ("x-" + secret, secret.encode())
    record = a_record(event, value=value, key=secret.encode(), headers=(*a_record(event).headers, header))

    assert secret not in reason_for(record)


def test_one_bad_record_does_not_keep_its_neighbours_from_being_read():
    good = [a_record(an_application()) for _ in range(2)]
    bad = a_record(an_application(), value=b"{")

    poll = sort_out([good[0], bad, good[1]], "issuer")

    assert [received.record for received in poll.received] == good
    assert poll.refused == [(bad, "invalid::json_invalid")]
