"""Are headers read whoever wrote them, and refused by the right name?"""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Attributes, Cause, Message, NotACloudEvent, read_attributes

ID = "623c51f9-c307-55a4-8a5b-2032e567115c"
GOOD = {
    "ce_specversion": b"1.0",
    "ce_id": ID.encode(),
    "ce_type": b"akashi.ApplicationSubmitted.v1",
    "ce_source": b"/akashi/intake",
    "ce_time": b"2026-11-06T01:15:02.418Z",
    "ce_correlationid": b"request",
}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ce_type", b"\xff\xfe", "header_is_not_utf8"),
        ("foreign", b"\x80", "header_is_not_utf8"),
        ("ce_specversion", None, "ce_specversion_is_not_1.0"),
        ("ce_specversion", b"0.3", "ce_specversion_is_not_1.0"),
        ("ce_type", None, "ce_type_is_missing"),
        ("ce_type", b"", "ce_type_is_missing"),
        ("ce_id", None, "ce_id_is_not_a_uuid"),
        ("ce_id", b"", "ce_id_is_not_a_uuid"),
        ("ce_id", b"42", "ce_id_is_not_a_uuid"),
        ("ce_time", b"yesterday", "ce_time_is_not_a_timestamp"),
        ("ce_time", b"", "ce_time_is_not_a_timestamp"),
    ],
)
def test_a_broken_header_is_named(name: str, value: bytes | None, code: str) -> None:
    with pytest.raises(NotACloudEvent) as caught:
        read_attributes({**GOOD, name: value}.items())

    assert caught.value.code == code
    assert str(caught.value) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ce_specversion", "ce_specversion_is_not_1.0"),
        ("ce_type", "ce_type_is_missing"),
        ("ce_id", "ce_id_is_not_a_uuid"),
    ],
)
def test_a_missing_header_is_named(name: str, code: str) -> None:
    with pytest.raises(NotACloudEvent) as caught:
        read_attributes((other, value) for other, value in GOOD.items() if other != name)

    assert caught.value.code == code


def test_no_headers_at_all_are_no_cloud_event() -> None:
    with pytest.raises(NotACloudEvent):
        read_attributes(())


def test_what_may_be_missing_is_filled_in_from_the_event() -> None:
    attributes = read_attributes((name, GOOD[name]) for name in ("ce_specversion", "ce_id", "ce_type"))

    assert attributes == Attributes(UUID(ID), "akashi.ApplicationSubmitted.v1", None, Cause(ID, ID, None))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*GOOD, "traceparent", "other"]),
            st.none() | st.binary(max_size=40) | st.sampled_from(list(GOOD.values())),
        ),
        max_size=8,
    )
)
def test_any_headers_are_read_or_refused_and_never_crash(headers: list[tuple[str, bytes | None]]) -> None:
    try:
        attributes = read_attributes([*GOOD.items(), *headers])
    except NotACloudEvent as error:
        assert error.code.isascii()  # noqa: PT017 - either way is right
    else:
        assert isinstance(attributes.id, UUID)


def test_a_message_does_not_show_its_headers() -> None:
    assert "request" not in repr(Message("applications.v1", b"key", b"{}", tuple(GOOD.items())))
