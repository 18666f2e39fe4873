"""The documents of the log have one form, whoever builds them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.unit.transparency.building import NOON, a_certificate, a_registration, a_view
from transparency.errors import WrongField
from transparency.leaves import check, utc_text


def test_a_moment_has_one_text():
    tokyo = datetime(2026, 4, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=9)))
    assert utc_text(tokyo) == "2026-04-01T03:00:00.000005Z"
    assert utc_text(NOON) == "2026-04-01T03:00:00.000000Z"
    assert datetime.fromisoformat(utc_text(NOON)) == NOON
    with pytest.raises(ValueError, match="time zone"):
        utc_text(datetime(2026, 4, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("document", [a_certificate(1), a_registration(1), a_view(1)])
def test_what_a_builder_builds_is_known(document):
    assert check(document) == document["type"]
    for name in document:
        without = {key: value for key, value in document.items() if key != name}
        with pytest.raises(WrongField, match=name):
            check(without)
    with pytest.raises(WrongField, match="more does not belong"):
        check(document | {"more": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certificate_id", "A0000000-0000-0000-0000-000000000000"),
        ("certificate_id", 7),
        ("version", "1"),
        ("version", True),
        ("version", -1),
        ("content_sha256", "AB" * 32),
        ("product", ""),
        ("product", "a\nb"),
        ("issued_at", "2026-04-01T03:00:00Z"),
        ("issued_at", "2026-04-01T12:00:00.000000+09:00"),
        ("issued_at", datetime.now(UTC)),
    ],
)
def test_a_field_of_another_form_is_refused_and_named(name, value):
    with pytest.raises(WrongField) as caught:
        a_certificate(1, **{name: value})
    assert caught.value.field == name


def test_a_kind_of_later_days_is_not_judged():
    assert check({"type": "answer", "what": 1}) is None
    with pytest.raises(WrongField):
        check({"type": 5})
